import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Call } from '@lockkeeper/lab';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { listen, openStage, shut } from './stage.ts';

// The committed bundle, run as the runner does: main.ts, and what only processes of their own can show.

const contract = contractOf(actions().find(({ name }) => name === 'ephemeral-ssh-ingress')!);

let stage: Awaited<ReturnType<typeof openStage>>;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const rules = () => stage.group.rules;
const errorsOf = (phase: { annotations: Array<{ level: string; message: string }> } | undefined) =>
  (phase?.annotations ?? []).filter(({ level }) => level === 'error').map(({ message }) => message);

it('opens the port for the address that it looked up, waits for the host, tells every output, closes it, and shows no credential', async () => {
  const host = createServer();
  const { host: hostPort } = new URL(await listen(host));
  let during: string[] = [];
  const { main, post, leaks, survivors } = await stage.run(
    { probe: hostPort },
    {
      onEvent: (event) => {
        if (event.kind === 'step-finished' && event.phase === 'main')
          during = rules().map(({ id, cidr }) => `${id} ${cidr}`);
      },
    },
  );
  await shut(host);
  expect({ main: main!.code, post: post!.code, errors: errorsOf(main) }).toEqual({
    main: 0,
    post: 0,
    errors: [],
  });
  const { cidr, 'security-group-rule-ids': ids, 'swept-rule-ids': swept, ...rest } = main!.outputs;
  expect(during).toEqual([`${ids} ${cidr}`]);
  expect({ cidr, swept }).toEqual({ cidr: '20.102.35.7/32', swept: '' });
  expect([...Object.keys(main!.outputs), 'reason'].sort()).toEqual([...contract.outputs].sort());
  expect(rest['expires-at']).toMatch(/^20\d\d-.*Z$/);
  expect(main!.summary).toContain('🔓 Open until this job ends');
  expect(post!.summary).toContain('🔒 Nothing of this step is open');
  expect(main!.log.join('\n')).toContain(`${hostPort} accepts connections after`);
  expect(rules()).toEqual([]);
  expect({ leaks, survivors }).toEqual({ leaks: [], survivors: [] });
  const everything = [main!.log, post!.log, JSON.stringify(main!.state), main!.summary].flat().join('\n');
  const sessions = [...stage.account.principals.values()].filter(({ sessionToken }) => sessionToken);
  expect(sessions).toHaveLength(2);
  for (const { accessKeyId, secretAccessKey, sessionToken } of sessions)
    for (const secret of [accessKeyId, secretAccessKey, sessionToken!])
      expect(everything).not.toContain(secret);
});

it('refuses bad input all at once, before it calls anybody', async () => {
  const { main, post } = await stage.run({
    'security-group-id': 'sg-1',
    port: '0, 22-80',
    cidr: '0.0.0.0/0',
    ttl: '2',
  });
  expect(errorsOf(main)).toEqual([
    expect.stringMatching(/^security-group-id: "sg-1" is not valid/),
    expect.stringMatching(/^port: "0" is not valid/),
    expect.stringMatching(/^port: "22-80" is not valid/),
    expect.stringMatching(/^cidr: "0\.0\.0\.0\/0" is wider than one address/),
    expect.stringMatching(/^ttl: "2" is not valid/),
  ]);
  expect(main!.outputs.reason).toBe(errorsOf(main).join('; '));
  expect(post!.code).toBe(0);
  expect(stage.account.calls).toEqual([]);
});

it('closes in post what a kill -9 right after opening left', async () => {
  let pid: number | undefined;
  stage.account.onCall(({ action, dryRun }) => {
    if (action === 'AuthorizeSecurityGroupIngress' && !dryRun) process.kill(pid!, 'SIGKILL');
  });
  let left = 0;
  const { main, post } = await stage.run(
    {},
    {
      onEvent: (event) => {
        if (event.kind === 'process-started') pid = event.pid;
        if (event.kind === 'step-finished' && event.phase === 'main') left = rules().length;
      },
    },
  );
  expect({ signal: main!.signal, left, code: post!.code }).toEqual({ signal: 'SIGKILL', left: 1, code: 0 });
  expect(rules()).toEqual([]);
  // Nobody else can say why the step is red.
  expect(post!.annotations).toContainEqual(
    expect.objectContaining({
      level: 'warning',
      message: expect.stringMatching(/^The step was ended .*\nNext: gh run rerun/),
    }),
  );
});

it('stops at once when the job is cancelled while it waits for the host, and closes in post', async () => {
  const { main, post } = await stage.run(
    { probe: '127.0.0.1:1', 'probe-timeout': '5m' },
    { cancelAt: { line: 'is not open yet' } },
  );
  expect(main!.conclusion).toBe('cancelled');
  expect(main!.ms).toBeLessThan(7_000);
  expect(post!.code).toBe(0);
  expect(rules()).toEqual([]);
});

it('waits for AWS five times in main and seven times in post, and for the look-up meanwhile', async () => {
  const { account } = stage;
  stage.slowDown(100);
  const answeredAt = new Map<Call, number>();
  account.onCall((call) => answeredAt.set(call, account.clock.now()));
  /** A call that comes when no other is under way had to wait for those before it. */
  const waits = (calls: Call[]) => {
    const idle = (at: number, before: Call[]) => before.every((one) => answeredAt.get(one)! <= at);
    return calls.filter(({ at }, index) => idle(at, calls.slice(0, index))).length;
  };
  const { main } = await stage.run({}, { phases: ['main'] });
  const opening = account.calls.splice(0);
  await stage.run({}, { phases: ['post'], state: main!.state });
  expect({ main: waits(opening), post: waits(account.calls) }).toEqual({ main: 5, post: 7 });
});

it('is red when the host stays shut, says what was opened and what can be the cause, and closes it', async () => {
  const { main, post } = await stage.run({ probe: '127.0.0.1:1', 'probe-timeout': '1s' });
  expect(main).toMatchObject({
    code: 1,
    outputs: {
      cidr: '20.102.35.7/32',
      'security-group-rule-ids': expect.stringMatching(/^sgr-/),
      reason: expect.stringMatching(/^waited 1 s: 127\.0\.0\.1:1 refuses the connection/),
    },
  });
  expect(errorsOf(main)[0]).toContain('check that sshd runs');
  expect(main!.summary).toMatch(
    /🔓 Open until.*❌ waited 1 s: 127\.0\.0\.1:1 refuses the connection.*Next:.*systemctl status ssh/s,
  );
  expect(post!.code).toBe(0);
  expect(rules()).toEqual([]);
});

it('names the subject when the role does not trust this job', async () => {
  stage.role.trust = { ...stage.role.trust, subjects: ['repo:octo/other:*'] };
  const { main } = await stage.run();
  expect(main!.code).toBe(1);
  expect(errorsOf(main)[0]).toContain("this job's subject is repo:octo/boats:environment:production");
});

describe('when a later step has changed the environment', () => {
  const endpoint = () => ({ AWS_ENDPOINT_URL: stage.url, AWS_EC2_METADATA_DISABLED: 'true' });

  it('takes the role anew in post, where main took it', async () => {
    const { main } = await stage.run({}, { phases: ['main'] });
    const { post } = await stage.run(
      { 'security-group-id': '', 'role-to-assume': '' },
      {
        phases: ['post'],
        state: main!.state,
        jobEnv: { AWS_ENDPOINT_URL: 'http://127.0.0.1:9', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
      },
    );
    expect(post!.code).toBe(0);
    expect(post!.log.join('\n')).toContain('AWS_ENDPOINT_URL was changed after this action started');
    expect(rules()).toEqual([]);
  });

  it('names the rule and the command when the credentials are gone and there is no role to take', async () => {
    const { accessKeyId, secretAccessKey } = stage.account.addUser({ policy: stage.role.policy });
    const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const inputs = { 'role-to-assume': '' };
    const { main } = await stage.run(inputs, { phases: ['main'], jobEnv: { ...endpoint(), ...keys } });
    expect(main!.code).toBe(0);
    const { post } = await stage.run(inputs, {
      phases: ['post'],
      state: main!.state,
      jobEnv: { ...endpoint(), AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    });
    const [rule] = rules();
    const command = `aws ec2 revoke-security-group-ingress --region ap-northeast-2 --group-id ${stage.group.id} --security-group-rule-ids ${rule!.id}`;
    expect(post!.code).toBe(1);
    expect(errorsOf(post)).toEqual([
      `port 22 of ${stage.group.id} for 20.102.35.7/32 (${rule!.id}) could not be closed and is still open: no AWS credentials were found\nNext: ${command}`,
    ]);
    expect(post!.summary).toContain(command);
  });
});

it('closes early in a later step of the job, the group not named, and leaves what other jobs hold', async () => {
  const other = await stage.run({ cidr: '203.0.113.9' }, { phases: ['main'] });
  const open: string[][] = [];
  const { conclusion, log } = await stage.job([{}, { mode: 'close', 'security-group-id': '' }], (event) => {
    if (event.kind === 'step-finished' && event.phase === 'main' && event.index >= 0)
      open.push(rules().map(({ cidr }) => cidr));
  });
  const [others, own] = ['203.0.113.9/32', '20.102.35.7/32'];
  expect({ conclusion, open }).toEqual({ conclusion: 'success', open: [[others, own], [others]] });
  expect(log.join('\n')).toContain('was closed already');
  await stage.run({}, { phases: ['post'], state: other.main!.state });
  expect(rules()).toEqual([]);
});
