import { describe, expect, it } from '@jest/globals';
import { inputsOf, memoryLog } from '@lockkeeper/action';
import {
  type AwsCredentials,
  awsRoute,
  explainAwsError,
  readAwsInputs,
  readRefusal,
  renewing,
  takeRoute,
} from '../src/credentials.ts';
import { judgeRefusal, ruleDescription } from '../src/security-group.ts';

const aws = (name: string, message: string, more: object = {}) =>
  Object.assign(new Error(message), { name, ...more });
const call = { action: 'ec2:RevokeSecurityGroupIngress', resource: 'sg-1' };

describe('a failed call', () => {
  it('that was refused names principal, action and resource as AWS gives them', () => {
    const error = explainAwsError(
      aws(
        'UnauthorizedOperation',
        'You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/deploy/x is not authorized to perform: ec2:DeleteTags on resource: arn:aws:ec2:r:1:security-group-rule/sgr-1 because no identity-based policy allows the ec2:DeleteTags action. Encoded authorization failure message: c2VjcmV0',
      ),
      call,
    );
    expect(error.message).toBe(
      'not allowed: ec2:DeleteTags on arn:aws:ec2:r:1:security-group-rule/sgr-1 for arn:aws:sts::1:assumed-role/deploy/x',
    );
    expect(error.next).toContain('allow ec2:DeleteTags');
  });

  it.each<[Error, string, RegExp]>([
    [
      aws('UnauthorizedOperation', 'You are not authorized to perform this operation.'),
      'denied',
      /^not allowed: ec2:RevokeSecurityGroupIngress on sg-1$/,
    ],
    [aws('AccessDenied', 'x with an explicit deny in a policy'), 'denied', /an explicit deny/],
    [aws('ExpiredToken', 'x'), 'credentials', /have expired/],
    [aws('RequestExpired', 'x'), 'credentials', /have expired/],
    [aws('AuthFailure', 'x'), 'credentials', /does not accept these credentials/],
    [
      aws('CredentialsProviderError', 'Could not load credentials from any providers'),
      'credentials',
      /no AWS credentials were found/,
    ],
    [aws('ThrottlingException', 'Rate exceeded'), 'throttled', /throttles ec2:RevokeSecurityGroupIngress/],
    [aws('RequestLimitExceeded', 'x'), 'throttled', /throttles/],
    [
      aws('Error', 'connect', { cause: aws('Error', 'getaddrinfo ENOTFOUND ec2.x', { code: 'ENOTFOUND' }) }),
      'network',
      /could not be reached.*ENOTFOUND/,
    ],
    [aws('TimeoutError', 'no answer'), 'network', /could not be reached/],
    [aws('InternalError', 'oops'), 'other', /failed: InternalError: oops/],
  ])('%s is %s', (error, kind, message) => {
    const explained = explainAwsError(error, call);
    expect(explained).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  it('for a role names the subject that the trust policy must take', () => {
    const error = explainAwsError(aws('AccessDenied', 'Not authorized'), {
      action: 'sts:AssumeRoleWithWebIdentity',
      resource: 'arn:aws:iam::1:role/deploy',
      subject: 'repo:octo/app:ref:refs/heads/main',
    });
    expect(error.message).toContain("this job's subject is repo:octo/app:ref:refs/heads/main");
  });

  it('is explained once', () => {
    const once = explainAwsError(aws('ExpiredToken', 'x'), call);
    expect(explainAwsError(once, { action: 'other', resource: 'other' })).toBe(once);
  });

  it('reads refusals without a principal', () =>
    expect(readRefusal('denied')).toEqual({ principal: undefined, action: undefined, resource: undefined }));
});

describe('a dry run that was refused', () => {
  const on = (resource: string) =>
    aws(
      'UnauthorizedOperation',
      `User: u is not authorized to perform: ec2:X on resource: ${resource} because y`,
    );
  it('is conclusive for the group', () =>
    expect(judgeRefusal(on('arn:aws:ec2:r:1:security-group/sg-1'), 'ec2:X', 'sg-1').verdict).toBe('refused'));
  it.each(['arn:aws:ec2:r:1:security-group-rule/*', '*'])('is not for %s', (resource) =>
    expect(judgeRefusal(on(resource), 'ec2:X', 'sg-1').verdict).toBe('unclear'),
  );
  it('is not when AWS does not say for what', () =>
    expect(judgeRefusal(aws('UnauthorizedOperation', 'no'), 'ec2:X', 'sg-1').verdict).toBe('unclear'));
});

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

it('a rule’s description holds only what EC2 takes', () =>
  expect(ruleDescription(`it's <b>"x"</b> 한글 100% ok_1.${'y'.repeat(300)}`)).toMatch(
    /^it-s -b--x--\/b- -- 100- ok_1\.y{200,}$/,
  ));
