import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { runAction } from '@lockkeeper/runner';
import { actions, contractOf } from '../../../tools/manifest.ts';
import type { Payload } from '../src/message.ts';
import { faultsOf, read } from './scene.ts';

// The committed bundle, run as the runner does, against a Slack and a GitHub API on this computer.

const directory = fileURLToPath(new URL('..', import.meta.url));
const contract = contractOf(actions().find(({ name }) => name === 'slack-notify')!);
const secret = 's3cr3ts3cr3t';

let servers: Server[] = [];
afterEach(async () => {
  const all = servers;
  servers = [];
  for (const server of all) server.closeAllConnections();
  await Promise.all(all.map((server) => new Promise((resolve) => server.close(resolve))));
});

async function serve(handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function slack(status = 200, answer = 'ok') {
  const received: Payload[] = [];
  const url = await serve((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      received.push(JSON.parse(body));
      response.writeHead(status).end(answer);
    });
  });
  return { url: `${url}/services/T0/B0/${secret}`, received };
}

/** The Actions API with 101 jobs on two pages; the last but one failed. */
const gitHub = () =>
  serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const page = Number(url.searchParams.get('page') ?? 1);
    const job = (id: number) => ({
      id,
      name: id === 100 ? 'deploy (eu)' : id === 101 ? 'notify' : `test ${id}`,
      html_url: `https://github.com/octo/app/actions/runs/99/job/${id}`,
      status: id === 101 ? 'in_progress' : 'completed',
      conclusion: id === 100 ? 'failure' : id === 101 ? null : 'success',
      runner_name: `r${id}`,
      started_at: '2026-11-21T03:00:00Z',
      completed_at: id === 101 ? null : '2026-11-21T03:01:00Z',
      steps: [
        { name: 'Roll', number: 3, status: 'completed', conclusion: id === 100 ? 'failure' : 'success' },
      ],
    });
    const all = Array.from({ length: 101 }, (_, i) => job(i + 1));
    const next = `<http://${request.headers.host}${url.pathname}?per_page=100&page=2>; rel="next"`;
    response.writeHead(200, { 'content-type': 'application/json', ...(page === 1 ? { link: next } : {}) });
    response.end(JSON.stringify({ total_count: 101, jobs: all.slice((page - 1) * 100, page * 100) }));
  });

async function step(inputs: Record<string, string>, apiUrl: string) {
  const { main, leaks } = await runAction({
    directory,
    inputs,
    canaries: [secret],
    secrets: { SLACK_WEBHOOK_URL: inputs['webhook-url'] ?? '' },
    github: {
      repository: 'octo/app',
      repository_owner: 'octo',
      run_id: '99',
      run_number: '128',
      run_attempt: '2',
      workflow: 'CI/CD',
      actor: 'octo',
      api_url: apiUrl,
      token: 'ghs_token1234',
    },
    settings: { name: 'r101' },
  });
  const { code, log, outputs, annotations, summary, doubts } = main!;
  expect(leaks).toEqual([]);
  expect(doubts).toEqual([]);
  // What the runner had to mask would have been a leak elsewhere; its own list of the inputs comes first.
  const said = log.slice(log.indexOf('##[endgroup]') + 1).join('\n');
  expect(said).not.toContain('***');
  expect(summary).not.toContain('***');
  // A step that its inputs stop has nothing to tell.
  if (Object.keys(outputs).length > 0)
    expect(Object.keys(outputs).sort()).toEqual([...contract.outputs].sort());
  return { code, log: said, outputs, annotations, summary };
}

describe('the step', () => {
  it('names a failed job from the second page of the API although its own job is green', async () => {
    const { url, received } = await slack();
    const result = await step(
      { 'webhook-url': url, title: 'Deploy', 'mention-on-failure': '@here' },
      await gitHub(),
    );
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'true', reason: '' } });
    expect(received).toHaveLength(1);
    expect(result.annotations).toEqual([]);
    expect(read(received[0]!)[1]).toBe('<!here> :x: *Deploy failed*');
    expect(read(received[0]!)[2]).toMatch(
      /^<https:\/\/github\.com\/octo\/app\/actions\/runs\/99\/attempts\/2\|Run #128 \(attempt 2\)> of octo\/app failed in \*<https:\/\/github\.com\/octo\/app\/actions\/runs\/99\/job\/100#step:3:1\|deploy \(eu\) › Roll>\*/,
    );
    expect(faultsOf(received[0]!, { mentions: ['<!here>'] })).toEqual([]);
  });

  it('sends without names when the API refuses, and says how to mend that', async () => {
    const { url, received } = await slack();
    const api = await serve((_, response) =>
      response
        .writeHead(403, { 'content-type': 'application/json' })
        .end('{"message":"Resource not accessible by integration"}'),
    );
    const result = await step(
      { 'webhook-url': url, needs: '{"deploy":{"result":"failure","outputs":{}}}' },
      api,
    );
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'true' } });
    expect(result.log).toContain('permissions: actions: read');
    expect(read(received[0]!)[2]).toContain('failed in *deploy*');
  });

  it.each([
    ['false', 0, { level: 'warning', title: 'Slack' }],
    ['true', 1, { level: 'error' }],
  ])(
    'with fail-on-error %s ends with %i when Slack refuses, and is never silent',
    async (failOnError, code, mark) => {
      const { url } = await slack(400, 'invalid_blocks');
      const result = await step({ 'webhook-url': url, 'fail-on-error': failOnError }, await gitHub());
      expect(result).toMatchObject({
        code,
        outputs: { sent: 'false', reason: expect.stringContaining('HTTP 400, invalid_blocks') },
      });
      expect(result.annotations).toContainEqual({
        ...mark,
        message: expect.stringContaining('no Slack message was sent: HTTP 400, invalid_blocks'),
      });
    },
  );

  it('without a webhook is skipped with a notice', async () => {
    const result = await step({}, await gitHub());
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'false', reason: 'webhook-url is empty' } });
    expect(result.annotations).toEqual([
      { level: 'notice', title: 'Slack', message: expect.stringMatching(/^webhook-url is empty/) },
    ]);
  });

  it("notices that a webhook is not Slack's own, other than one on this computer", async () => {
    // 0.0.0.0 is no loopback address, and yet leads nowhere else.
    const elsewhere = (await slack()).url.replace('http://127.0.0.1', 'https://0.0.0.0');
    const { annotations } = await step({ 'webhook-url': elsewhere }, await gitHub());
    expect(annotations).toEqual([
      { level: 'notice', title: 'Slack', message: "webhook-url is not Slack's own: 0.0.0.0" },
      { level: 'warning', title: 'Slack', message: expect.stringContaining('could not be reached') },
    ]);
  });

  it('prints the payload in a dry run and sends nothing', async () => {
    const { url, received } = await slack();
    const result = await step({ 'webhook-url': url, 'dry-run': 'true' }, await gitHub());
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'false', reason: 'dry-run' } });
    expect(result.log).toContain('"color": "#d1242f"');
    expect(received).toEqual([]);
  });

  it('does not repeat a webhook that is no URL', async () => {
    const result = await step({ 'webhook-url': 'hooks.slack.com/services/T0/s3cr3ts3cr3t' }, await gitHub());
    expect(result.code).toBe(1);
    expect(result.log).toContain('webhook-url: is not a URL that can be posted to');
  });
});
