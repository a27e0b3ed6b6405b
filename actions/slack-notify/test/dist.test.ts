import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { SlackFault } from '@lockkeeper/lab';
import { faultsOf, liveTexts } from './faults.ts';
import { cleanUp, gitHub, messagesOf, type StepRun, serve, slack, step } from './stage.ts';

const clean = cleanUp();
afterEach(clean.now);

describe('the step', () => {
  it('names a failed job of a called workflow from the second page of the API although its own job is green', async () => {
    const opened = await slack([], clean);
    const result = await step(
      { 'webhook-url': opened.webhookUrl, title: 'Deploy', 'mention-on-failure': '@here' },
      { github: { api_url: await gitHub(clean) } },
    );
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'true', reason: '' }, annotations: [] });
    expect(result.summary).toContain('✅ Slack notify: sent');
    const [message, ...more] = messagesOf(opened);
    expect(more).toEqual([]);
    const [headline, run] = liveTexts(message!);
    expect(headline).toBe('<!here> :x: *Deploy failed*');
    const page = 'https://github.com/octo/app/actions/runs/99';
    // The duration is that of this attempt, not of jobs that only the first one ran.
    expect(run).toMatch(/ after 1 min( \d+ s)?\n/);
    expect(run!.replace(/ after .*/, '')).toBe(
      `<${page}/attempts/2|Run #128 (attempt 2)> of octo/app failed in *<${page}/job/100#step:3:1|release / deploy (eu) › Roll>*\nNext: <${page}/job/100#step:3:1|open the log of that step>`,
    );
    expect(JSON.stringify(message)).toContain('Ship it — Mona');
    expect(faultsOf(message!, { mentions: ['<!here>'] })).toEqual([]);
  });

  it('on GitHub Enterprise Server asks that server, and links to it', async () => {
    const opened = await slack([], clean);
    const asked: string[] = [];
    const api = await serve((request, response) => {
      asked.push(request.url!);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"total_count":0,"jobs":[]}');
    }, clean);
    await step(
      { 'webhook-url': opened.webhookUrl },
      { github: { api_url: `${api}/api/v3`, server_url: 'https://ghe.example' } },
    );
    expect(asked.map((url) => url.replace(/\?.*/, '')).sort()).toEqual([
      '/api/v3/repos/octo/app/actions/runs/99/attempts/2',
      '/api/v3/repos/octo/app/actions/runs/99/attempts/2/jobs',
    ]);
    expect(JSON.stringify(messagesOf(opened))).toContain(
      '<https://ghe.example/octo/app/actions/runs/99/attempts/2|',
    );
    expect(JSON.stringify(messagesOf(opened))).not.toContain('github.com');
  });

  it.each<[string, (api: { url: string }) => Promise<string>, RegExp]>([
    [
      'refuses',
      () =>
        serve(
          (_, response) =>
            response
              .writeHead(403, { 'content-type': 'application/json' })
              .end('{"message":"Resource not accessible by integration"}'),
          clean,
        ),
      /add permissions: actions: read to the job$/,
    ],
    [
      'is another program',
      () => serve((_, response) => response.end('<html>'), clean),
      /the Actions API failed: /,
    ],
    ['is not there', async () => 'http://127.0.0.1:9', /the Actions API failed: /],
  ])('sends what needs tells when the API %s, and says why', async (_, api, why) => {
    const opened = await slack([], clean);
    const result = await step(
      { 'webhook-url': opened.webhookUrl, needs: '{"deploy":{"result":"failure","outputs":{}}}' },
      { github: { api_url: await api({ url: '' }) } },
    );
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'true' } });
    expect(result.annotations).toEqual([
      { level: 'warning', title: 'Slack', message: expect.stringMatching(why) },
    ]);
    expect(liveTexts(messagesOf(opened)[0]!)[1]).toContain('failed in *deploy*');
  });

  it('without a webhook is skipped with a notice', async () => {
    const result = await step({}, { github: { api_url: await gitHub(clean) } });
    expect(result).toMatchObject({
      code: 0,
      outputs: { sent: 'false', reason: 'webhook-url is empty (forks have no secrets)' },
    });
    expect(result.annotations).toEqual([
      { level: 'notice', title: 'Slack', message: expect.stringMatching(/^webhook-url is empty/) },
    ]);
  });

  it("notices that a webhook is not Slack's own, other than one on this computer", async () => {
    // 0.0.0.0 is no loopback address, and yet leads nowhere else.
    const elsewhere = (await slack([], clean)).webhookUrl.replace('http://127.0.0.1', 'https://0.0.0.0');
    const { annotations } = await step({ 'webhook-url': elsewhere, 'github-token': '' });
    expect(annotations).toEqual([
      { level: 'notice', title: 'Slack', message: "webhook-url is not Slack's own: 0.0.0.0" },
      { level: 'warning', title: 'Slack', message: expect.stringContaining('no TLS is spoken there') },
    ]);
  });

  it('prints the payload in a dry run and sends nothing', async () => {
    const opened = await slack([], clean);
    const result = await step(
      { 'webhook-url': opened.webhookUrl, 'dry-run': 'true' },
      { github: { api_url: await gitHub(clean) } },
    );
    expect(result).toMatchObject({ code: 0, outputs: { sent: 'false', reason: 'dry-run' } });
    expect(result.log).toContain('"color": "#d1242f"');
    expect(opened.calls).toEqual([]);
  });

  it('tells every mistake at once', async () => {
    const { code, annotations } = await step({
      'webhook-url': 'http://hooks.slack.com/services/T0/B0/s3cr3ts3cr3t',
      status: 'green',
      needs: 'jobs',
      fields: Array.from({ length: 51 }, (_, i) => `F${i}: v`).join('\n'),
      url: 'app.example',
    });
    expect(code).toBe(1);
    expect(annotations.map(({ message }) => message.split(':')[0])).toEqual([
      'webhook-url',
      'needs',
      'status',
      'fields',
      'url',
    ]);
  });

  it('leaves a Slack that is silent when the run is cancelled', async () => {
    const cancel = new AbortController();
    const silent = await serve(() => cancel.abort(), clean);
    const result = await step(
      { 'webhook-url': `${silent}/services/T0/B0/s3cr3ts3cr3ts3cr3t`, 'github-token': '' },
      { cancel: cancel.signal },
    );
    expect(result.outputs).toEqual({ sent: 'false', reason: 'the step was cancelled before Slack took it' });
    expect(result.ms).toBeLessThan(7_000);
  });
});

describe.each([
  ['lacks its scheme', 'hooks.slack.com/services/T0/B0/s3cr3ts3cr3t'],
  ['has a blank in it', 'https://hooks.slack.com/services/T0/B0/ s3cr3ts3cr3t'],
  ['has its name before it', 'SLACK=https://hooks.slack.com/services/T0/B0/s3cr3ts3cr3t'],
  ['is another scheme', 'slack://hooks.slack.com/services/T0/B0/s3cr3ts3cr3t'],
  ['has a login', 'https://mona:s3cr3ts3cr3t@hooks.slack.com/services/T0/B0/x'],
])('a webhook-url that %s', (_, url) => {
  it('is refused, and not repeated', async () => {
    const { code, log, summary } = await step({ 'webhook-url': url }, { secrets: ['s3cr3ts3cr3t'] });
    expect(code).toBe(1);
    expect(log).toMatch(/webhook-url: (is not a URL|holds a user name)/);
    expect(`${log}${summary}`).not.toContain('s3cr3ts3cr3t');
  });
});

// Side by side, because most of them wait.
describe('the step at a Slack that answers with', () => {
  interface Case {
    faults?: SlackFault[];
    inputs?: Record<string, string>;
    /** In place of the lab's Slack. */
    at?: () => Promise<string>;
  }
  const refused = (status: number, reason: string): Case => ({
    faults: [{ kind: 'refused', status, reason }],
  });
  const cases = {
    '200 ok': {},
    '400 invalid_blocks': refused(400, 'invalid_blocks'),
    '400 invalid_blocks, fail-on-error': {
      ...refused(400, 'invalid_blocks'),
      inputs: { 'fail-on-error': 'true' },
    },
    '403 action_prohibited': refused(403, 'action_prohibited'),
    '404 channel_not_found': refused(404, 'channel_not_found'),
    '410 channel_is_archived': refused(410, 'channel_is_archived'),
    '429 once': { faults: [{ kind: 'rate-limited', retryAfter: 0.4 }] },
    '429 for ever': {
      faults: Array.from({ length: 9 }, () => ({ kind: 'rate-limited' as const, retryAfter: 0.1 })),
    },
    '429 for an hour': { faults: [{ kind: 'rate-limited', retryAfter: 3600 }] },
    '500 twice': { faults: [{ kind: 'server-error' }, { kind: 'server-error' }] },
    'a reset': { faults: [{ kind: 'reset' }] },
    'a lost answer': { faults: [{ kind: 'lost-response' }] },
    'a redirect': { faults: [{ kind: 'redirect', location: 'https://login.example/?from=slack' }] },
    'a login page': refused(200, '<!doctype html><title>Sign in</title>'),
    'what is not HTTP': { at: notHttp },
  } satisfies Record<string, Case>;
  type Name = keyof typeof cases;

  const all = cleanUp();
  const runs = new Map<Name, StepRun & { posted: number; calls: number }>();
  beforeAll(async () => {
    const waiting = Object.entries<Case>(cases);
    const next = async (): Promise<void> => {
      const taken = waiting.shift();
      if (!taken) return;
      const [name, { faults = [], inputs, at }] = taken;
      const opened = await slack(faults, all);
      const url = at ? await at() : opened.webhookUrl;
      const run = await step({ 'webhook-url': url, 'github-token': '', ...inputs });
      runs.set(name as Name, { ...run, posted: opened.messages.length, calls: opened.calls.length });
      return next();
    };
    await Promise.all([next(), next(), next(), next()]);
  }, 60_000);
  afterAll(all.now);

  async function notHttp(): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    all.later(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/B0/s3cr3ts3cr3ts3cr3t`;
  }

  it.each<[Name, number, number]>([
    ['200 ok', 1, 1],
    ['429 once', 2, 1],
    ['500 twice', 3, 1],
    ['a reset', 2, 1],
    // The one case in which a message is there twice.
    ['a lost answer', 2, 2],
  ])('%s: delivered in %i tries, and there %i times', (name, tries, posted) =>
    expect(runs.get(name)).toMatchObject({
      code: 0,
      outputs: { sent: 'true', reason: '' },
      annotations: [],
      calls: tries,
      posted,
    }),
  );

  it.each<[Name, number, string]>([
    [
      '400 invalid_blocks',
      1,
      'HTTP 400, invalid_blocks: Slack does not take a block of the message; run with dry-run: true',
    ],
    ['403 action_prohibited', 1, "HTTP 403, action_prohibited: the workspace's administrators do not let"],
    ['404 channel_not_found', 1, 'HTTP 404, channel_not_found: the channel of this webhook is gone'],
    ['410 channel_is_archived', 1, 'HTTP 410, channel_is_archived: the channel of this webhook is archived'],
    ['429 for ever', 4, 'HTTP 429, rate_limited: too many messages at once through this webhook (4 tries)'],
    [
      '429 for an hour',
      1,
      'HTTP 429, rate_limited: too many messages at once through this webhook; trying again in 1 h would be too late',
    ],
    ['a redirect', 1, 'HTTP 302, a redirect to login.example, which is not followed'],
    ['a login page', 1, 'HTTP 200, an HTML page: that is not what Slack says'],
    ['what is not HTTP', 0, 'it could not be reached: no HTTP is spoken there'],
  ])('%s: green with a warning, after %i tries, and not there', (name, tries, reason) => {
    const run = runs.get(name)!;
    const told = expect.stringContaining(reason);
    expect(run).toMatchObject({ code: 0, outputs: { sent: 'false', reason: told }, calls: tries, posted: 0 });
    expect(run.annotations).toEqual([
      {
        level: 'warning',
        title: 'Slack',
        message: expect.stringContaining(`no Slack message was sent: ${reason}`),
      },
    ]);
    expect(run.summary).toContain('❌ Slack notify: not sent');
  });

  it('400 invalid_blocks, fail-on-error: red, with the same reason and outputs', () => {
    const run = runs.get('400 invalid_blocks, fail-on-error')!;
    const told = expect.stringContaining('HTTP 400, invalid_blocks: Slack does not take a block');
    expect(run).toMatchObject({ code: 1, outputs: { sent: 'false', reason: told } });
    expect(run.annotations).toEqual([{ level: 'error', message: told }]);
    expect(run.summary).toContain('❌ Slack notify: not sent');
  });

  it('429 once: waits as long as the body asks', () =>
    expect(runs.get('429 once')!.log).toContain('trying again in 400 ms'));
});
