import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';
import { openSlack, type Slack, type SlackFault } from '@lockkeeper/lab';
import { type ActionRun, runAction } from '@lockkeeper/runner';
import { actions, contractOf } from '../../../tools/manifest.ts';
import type { Payload } from '../src/message.ts';

// The committed bundle, run as the runner does, against a Slack and a GitHub API on this computer.

const directory = fileURLToPath(new URL('..', import.meta.url));
const contract = contractOf(actions().find(({ name }) => name === 'slack-notify')!);

export interface StepRun {
  code: number | undefined;
  /** What the step itself wrote. */
  log: string;
  outputs: Record<string, string>;
  annotations: Array<{ level: string; title?: string; message: string }>;
  summary: string;
  ms: number;
}

/**
 * Runs the step and holds what must be so of every run: nothing but the runner's own list of inputs shows a secret,
 * not even where the runner masks it, and the outputs are those of action.yml.
 */
export async function step(
  inputs: Record<string, string>,
  {
    secrets = [],
    github = {},
    ...run
  }: { secrets?: string[] } & Partial<Omit<ActionRun, 'inputs' | 'directory' | 'secrets'>> = {},
): Promise<StepRun> {
  const webhook = inputs['webhook-url'] ?? '';
  const { main, leaks } = await runAction({
    directory,
    inputs,
    canaries: [...secrets, ...(webhook ? [webhook] : [])],
    secrets: { SLACK_WEBHOOK_URL: webhook },
    github: {
      repository: 'octo/app',
      repository_owner: 'octo',
      run_id: '99',
      run_number: '128',
      run_attempt: '2',
      workflow: 'CI/CD',
      actor: 'octo',
      token: 'ghs_token1234',
      ...github,
    },
    settings: { name: 'r101' },
    ...run,
  });
  const { code, log, outputs, annotations, summary, doubts, ms } = main!;
  expect(leaks).toEqual([]);
  expect(doubts).toEqual([]);
  const said = log.slice(log.indexOf('##[endgroup]') + 1).join('\n');
  expect(said).not.toContain('***');
  expect(summary).not.toContain('***');
  // A step that its inputs stop has nothing to tell but that.
  if (Object.keys(outputs).join() !== 'reason')
    expect(Object.keys(outputs).sort()).toEqual([...contract.outputs].sort());
  return { code, log: said, outputs, annotations, summary, ms };
}

/** What the test opened, closed at its end whatever happened. */
export function cleanUp() {
  const open: Array<() => Promise<void>> = [];
  return {
    later: (close: () => Promise<void>) => void open.push(close),
    now: async () => {
      await Promise.all(open.splice(0).map((close) => close()));
    },
  };
}
type CleanUp = ReturnType<typeof cleanUp>;

export async function serve(handle: RequestListener, { later }: CleanUp): Promise<string> {
  const server: Server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  later(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function slack(faults: SlackFault[], { later }: CleanUp): Promise<Slack> {
  const opened = await openSlack();
  later(() => opened.close());
  opened.faults.push(...faults);
  return opened;
}

export const messagesOf = ({ messages }: Slack) => messages.map(({ payload }) => payload as Payload);

/** The Actions API of an attempt with 101 jobs on two pages, of which the last but one failed. */
export const gitHub = (clean: CleanUp) =>
  serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const say = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const attempt = '/repos/octo/app/actions/runs/99/attempts/2';
    if (request.headers.authorization !== 'token ghs_token1234')
      return say(401, { message: 'Bad credentials' });
    if (url.pathname === attempt)
      return say(200, {
        run_started_at: new Date(Date.now() - 60_000).toISOString(),
        head_commit: { message: 'Ship it\n\nat last', author: { name: 'Mona' } },
      });
    if (url.pathname !== `${attempt}/jobs`) return say(404, { message: 'Not Found' });
    const page = Number(url.searchParams.get('page') ?? 1);
    const job = (id: number) => ({
      id,
      name: id === 100 ? 'release / deploy (eu)' : id === 101 ? 'notify' : `test ${id}`,
      html_url: `https://github.com/octo/app/actions/runs/99/job/${id}`,
      status: id === 101 ? 'in_progress' : 'completed',
      conclusion: id === 100 ? 'failure' : id === 101 ? null : 'success',
      runner_name: `r${id}`,
      started_at: '2026-11-20T03:00:00Z',
      completed_at: id === 101 ? null : '2026-11-20T03:01:00Z',
      steps: [
        { name: 'Roll', number: 3, status: 'completed', conclusion: id === 100 ? 'failure' : 'success' },
      ],
    });
    const all = Array.from({ length: 101 }, (_, i) => job(i + 1));
    say(200, { total_count: 101, jobs: all.slice((page - 1) * 100, page * 100) });
  }, clean);
