import { describe, expect, it } from '@jest/globals';
import { inputsOf, memoryLog } from '@lockkeeper/action';
import { type AwsCredentials, awsRoute, readAwsInputs, renewing, takeRoute } from '../src/credentials.ts';

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
