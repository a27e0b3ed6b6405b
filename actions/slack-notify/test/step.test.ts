import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { actions, contractOf } from '../../../tools/manifest.ts';
import type { Payload } from '../src/message.ts';
import { faultsOf, read } from './scene.ts';

const contract = contractOf(actions().find(({ name }) => name === 'slack-notify')!);
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

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
  return { url: `${url}/services/T0/B0/s3cr3ts3cr3t`, received };
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
  const temp = mkdtempSync(join(tmpdir(), 'slack-'));
  for (const name of ['output', 'state', 'summary']) writeFileSync(join(temp, name), '');
  try {
    const given = { ...contract.inputs, status: 'success', 'github-token': 'ghs_token1234', ...inputs };
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        '--input-type=module',
        '-e',
        `import { run } from ${JSON.stringify(main)}; await run('main', ${JSON.stringify(contract)});`,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...Object.fromEntries(
            Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
          ),
          GITHUB_REPOSITORY: 'octo/app',
          GITHUB_RUN_ID: '99',
          GITHUB_RUN_NUMBER: '128',
          GITHUB_RUN_ATTEMPT: '2',
          GITHUB_WORKFLOW: 'CI/CD',
          GITHUB_JOB: 'notify',
          GITHUB_ACTOR: 'octo',
          GITHUB_API_URL: apiUrl,
          RUNNER_NAME: 'r101',
          GITHUB_OUTPUT: join(temp, 'output'),
          GITHUB_STATE: join(temp, 'state'),
          GITHUB_STEP_SUMMARY: join(temp, 'summary'),
        },
      },
    );
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    const outputs = Object.fromEntries(
      [...readFileSync(join(temp, 'output'), 'utf8').matchAll(/^(\S+?)<<(\S+)\n([\s\S]*?)\n\2$/gm)].map(
        ([, name, , value]) => [name, value],
      ),
    );
    const shown = log
      .split('\n')
      .filter((line) => !line.startsWith('::add-mask::'))
      .join('\n');
    expect(shown + JSON.stringify(outputs) + readFileSync(join(temp, 'summary'), 'utf8')).not.toContain(
      's3cr3t',
    );
    return { code, log: shown, outputs };
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
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
    ['false', 0, '::warning title=Slack::'],
    ['true', 1, '::error ::'],
  ])(
    'with fail-on-error %s ends with %i when Slack refuses, and is never silent',
    async (failOnError, code, mark) => {
      const { url } = await slack(400, 'invalid_blocks');
      const result = await step({ 'webhook-url': url, 'fail-on-error': failOnError }, await gitHub());
      expect(result).toMatchObject({
        code,
        outputs: { sent: 'false', reason: expect.stringContaining('HTTP 400, invalid_blocks') },
      });
      expect(result.log).toContain(`${mark}no Slack message was sent: HTTP 400, invalid_blocks`);
    },
  );

  it('without a webhook is skipped with a notice', async () => {
    const result = await step({}, await gitHub());
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'false', reason: 'webhook-url is empty' } });
    expect(result.log).toContain('::notice title=Slack::webhook-url is empty');
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
