import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inputsOf, memoryLog } from '@lockkeeper/action';
import { Account, labClock, serveAws } from '@lockkeeper/lab';
import { type AwsCredentials, awsRoute, readAwsInputs, renewing, takeRoute } from '../src/credentials.ts';
import { openScalingGroups } from '../src/index.ts';

describe('credentials of a role', () => {
  const minutes = 60_000;
  it.each([
    ['an hour', 60, 54, 1],
    ['an hour, near its end', 60, 55, 2],
    ['eight minutes, in the first half', 8, 3, 1],
    ['eight minutes, in the second half', 8, 4, 2],
  ])('that last %s', async (_, lifetime, asked, times) => {
    let now = 0;
    let taken = 0;
    const provide = renewing(
      async (): Promise<AwsCredentials> => {
        taken++;
        return {
          accessKeyId: `k${taken}`,
          secretAccessKey: 's',
          expiration: new Date(now + lifetime * minutes),
        };
      },
      { now: () => now },
    );
    await provide();
    now = asked * minutes;
    expect((await provide()).accessKeyId).toBe(`k${times}`);
  });

  it('are taken once for calls side by side, and again after a failure', async () => {
    let taken = 0;
    const provide = renewing(
      async (): Promise<AwsCredentials> => {
        if (++taken === 1) throw new Error('no token');
        return { accessKeyId: `k${taken}`, secretAccessKey: 's' };
      },
      { now: () => 0 },
    );
    await expect(provide()).rejects.toThrow('no token');
    const all = await Promise.all([provide(), provide()]);
    expect(all.map(({ accessKeyId }) => accessKeyId)).toEqual(['k2', 'k2']);
  });
});

describe('credentials that AWS has ended', () => {
  const clock = labClock(1);
  const account = new Account({ clock, seed: 7 });
  const policy = {
    Version: '2012-10-17' as const,
    Statement: [{ Effect: 'Allow' as const, Action: ['*'], Resource: '*' }],
  };
  let aws: Awaited<ReturnType<typeof serveAws>>;
  let taken = 0;
  const provide = renewing(
    async () => {
      const credentials = { accessKeyId: `ASIA${++taken}`, secretAccessKey: 's', sessionToken: `t${taken}` };
      const { accessKeyId } = account.addUser({ ...credentials, policy });
      account.principals.set(accessKeyId, { ...account.principals.get(accessKeyId)!, ...credentials });
      // As the SDK gives an hour's session.
      return { ...credentials, expiration: new Date(Date.now() + 3_600_000) };
    },
    { now: Date.now },
  );
  beforeAll(async () => {
    aws = await serveAws(account);
  });
  afterAll(() => aws.close());

  it('are taken anew by each call that meets it, once for all of them', async () => {
    const config = { region: account.region, endpoint: aws.url, credentials: provide };
    const one = await openScalingGroups(config);
    const other = await openScalingGroups(config);
    try {
      await Promise.all([one.describe(['a']), other.describe(['a'])]);
      const before = taken;
      account.expireSessions();
      await Promise.all([one.describe(['a']), other.describe(['a']), one.describe(['b'])]);
      expect(taken).toBe(before + 1);
    } finally {
      one.close();
      other.close();
    }
  });

  it('are an error where the new ones have ended as well', async () => {
    account.faults.add({ kind: 'expired', match: { times: 2 } });
    const scaling = await openScalingGroups({
      region: account.region,
      endpoint: aws.url,
      credentials: provide,
      maxAttempts: 1,
    });
    await expect(scaling.describe(['a'])).rejects.toThrow(/credentials have expired/);
    scaling.close();
  });
});

describe('the route to AWS', () => {
  it('is the endpoint and proxy variables alone', () =>
    expect(
      awsRoute({
        AWS_ENDPOINT_URL: 'http://a',
        AWS_ENDPOINT_URL_STS: 'http://b',
        HTTPS_PROXY: 'http://p',
        AWS_SECRET_ACCESS_KEY: 's',
        NO_PROXY: '',
      }),
    ).toEqual({ AWS_ENDPOINT_URL: 'http://a', AWS_ENDPOINT_URL_STS: 'http://b', HTTPS_PROXY: 'http://p' }));

  it('is put back to what main saw, each change told, no password shown', () => {
    const env: Record<string, string | undefined> = {
      AWS_ENDPOINT_URL: 'http://evil',
      HTTPS_PROXY: 'http://x',
    };
    const log = memoryLog();
    takeRoute({ AWS_ENDPOINT_URL: 'http://a', HTTP_PROXY: 'http://user:pass@p' }, env, log);
    expect(env).toEqual({ AWS_ENDPOINT_URL: 'http://a', HTTP_PROXY: 'http://user:pass@p' });
    expect(log.lines).toHaveLength(3);
    expect(log.lines.join()).not.toContain('pass');
  });
});

describe('inputs', () => {
  it('take the region of the environment when none is given', () =>
    expect(readAwsInputs(inputsOf({}), { AWS_REGION: 'eu-west-1' })).toEqual({
      region: 'eu-west-1',
      roleToAssume: '',
    }));
  it('refuse what is no region', () => {
    const inputs = inputsOf({ region: 'Seoul' });
    readAwsInputs(inputs, {});
    expect(() => inputs.done()).toThrow(
      'region: "Seoul" is not valid; expected a region such as ap-northeast-2',
    );
  });
});
