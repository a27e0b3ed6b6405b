import { DescribeSecurityGroupRulesCommand } from '@aws-sdk/client-ec2';
import { DescribeTargetGroupsCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { fromWebToken } from '@aws-sdk/credential-provider-web-identity';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type OidcEndpoint, OidcIssuer } from '../../src/account/index.ts';
import { everything, refusal, type Served, serveAccount } from './endpoint.ts';

const roleArn = 'arn:aws:iam::123456789012:role/deploy';
const subject = 'repo:octo/shop:environment:production';

describe('signing in to the lab account', () => {
  let served: Served;
  let oidc: OidcIssuer;
  let tokens: OidcEndpoint;

  beforeEach(async () => {
    served = await serveAccount({
      issuer: async (clock) => {
        oidc = await OidcIssuer.create({ clock });
        return oidc;
      },
    });
    tokens = await oidc.serve();
    served.account.addRole({
      arn: roleArn,
      trust: { subjects: ['repo:octo/shop:environment:*'], audience: 'sts.amazonaws.com' },
      policy: everything,
    });
  });
  afterEach(async () => {
    await served.close();
    await tokens.close();
  });

  const rules = (options?: Parameters<Served['ec2']>[0]) =>
    served.ec2(options).send(new DescribeSecurityGroupRulesCommand({}));
  const groups = (options?: Parameters<Served['elb']>[0]) =>
    served.elb(options).send(new DescribeTargetGroupsCommand({}));

  /** Takes the role as the SDK does, with its own STS client. */
  const assume = (
    webIdentityToken: string,
    more: { roleArn?: string; durationSeconds?: number; policy?: string } = {},
  ) =>
    fromWebToken({
      roleArn,
      webIdentityToken,
      roleSessionName: 'run-12',
      clientConfig: { endpoint: served.url, region: 'ap-northeast-2', maxAttempts: 1 },
      ...more,
    })();
  const token = (change: Partial<Parameters<OidcIssuer['issue']>[0]> = {}) =>
    oidc.issue({ subject, audience: 'sts.amazonaws.com', ...change });

  describe('with an identity token', () => {
    it('opens a session that may call the account', async () => {
      const credentials = await assume(await token());
      expect(credentials.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
      expect(credentials.expiration!.getTime() - Date.now()).toBeGreaterThan(3_590_000);
      await rules({ credentials: credentials as { accessKeyId: string; secretAccessKey: string } });
      expect(
        served.account.calls.map(({ action, principal, outcome }) => [action, principal, outcome]),
      ).toEqual([
        ['AssumeRoleWithWebIdentity', 'arn:aws:sts::123456789012:assumed-role/deploy/run-12', 'ok'],
        ['DescribeSecurityGroupRules', 'arn:aws:sts::123456789012:assumed-role/deploy/run-12', 'ok'],
      ]);
    });

    it('keeps the token out of the call log', async () => {
      const jwt = await token();
      await assume(jwt);
      expect(JSON.stringify(served.account.calls)).not.toContain(jwt);
    });

    it.each([
      ['of another repository', { subject: 'repo:octo/other:environment:production' }],
      ['of a branch instead of an environment', { subject: 'repo:octo/shop:ref:refs/heads/main' }],
      ['of a repository whose name begins alike', { subject: 'repo:octo/shop2:environment:production' }],
    ])('refuses a token %s', async (_, change) => {
      expect(await refusal(assume(await token(change)))).toMatchObject({
        name: 'AccessDenied',
        status: 403,
        message: 'Not authorized to perform sts:AssumeRoleWithWebIdentity',
      });
    });

    it('does not tell whether a role exists', async () => {
      const other = assume(await token(), { roleArn: 'arn:aws:iam::123456789012:role/nobody' });
      expect(await refusal(other)).toMatchObject({
        name: 'AccessDenied',
        message: 'Not authorized to perform sts:AssumeRoleWithWebIdentity',
      });
    });

    it('refuses a token for another audience', async () => {
      const refused = await refusal(assume(await token({ audience: 'https://github.com/octo' })));
      expect(refused).toMatchObject({
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: 'Incorrect token audience',
      });
    });

    it('refuses a token whose time in the lab is over', async () => {
      const jwt = await token();
      served.clock.advance(299_000);
      await assume(jwt);
      served.clock.advance(2_000);
      expect(await refusal(assume(jwt))).toMatchObject({
        name: 'ExpiredTokenException',
        status: 400,
        message: expect.stringMatching(
          /^Token expired: current date\/time \d+ must be before the expiration date\/time \d+$/,
        ),
      });
    });

    it('refuses a token that another key signed, one of another issuer, and one that is none', async () => {
      const forger = await OidcIssuer.create({ clock: served.clock });
      const stranger = await OidcIssuer.create({ clock: served.clock, issuer: 'https://example.com' });
      const wanted = { subject, audience: 'sts.amazonaws.com' };
      for (const jwt of [await forger.issue(wanted), await stranger.issue(wanted), 'not-a-token']) {
        expect(await refusal(assume(jwt))).toMatchObject({
          name: 'InvalidIdentityTokenException',
          status: 400,
        });
      }
    });

    it.each([
      ['shorter than 15 minutes', 600],
      ['longer than the role allows', 7200],
    ])('refuses a session %s', async (_, durationSeconds) => {
      const refused = await refusal(assume(await token(), { durationSeconds }));
      expect(refused).toMatchObject({ name: 'ValidationError', status: 400 });
    });

    it('narrows the session by a policy of its own, which has to be one', async () => {
      const narrow = { Statement: [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }] };
      const credentials = (await assume(await token(), { policy: JSON.stringify(narrow) })) as {
        accessKeyId: string;
        secretAccessKey: string;
      };
      await rules({ credentials });
      expect(await refusal(groups({ credentials }))).toMatchObject({ name: 'AccessDenied', status: 403 });
      for (const policy of ['{', '{"Statement":[{"Effect":"Allow"}]}']) {
        expect(await refusal(assume(await token(), { policy }))).toMatchObject({
          name: 'MalformedPolicyDocumentException',
          status: 400,
        });
      }
    });

    it('ends the session when its time in the lab is over', async () => {
      const credentials = (await assume(await token(), { durationSeconds: 900 })) as {
        accessKeyId: string;
        secretAccessKey: string;
        sessionToken: string;
      };
      served.clock.advance(899_000);
      await rules({ credentials });
      served.clock.advance(1_000);
      expect(await refusal(rules({ credentials }))).toMatchObject({ name: 'RequestExpired', status: 400 });
      expect(await refusal(groups({ credentials }))).toMatchObject({ name: 'ExpiredToken', status: 403 });
    });

    it('ends all sessions of before when it is told to, and none of after', async () => {
      type Keys = { accessKeyId: string; secretAccessKey: string; sessionToken: string };
      const before = (await assume(await token())) as Keys;
      served.account.expireSessions();
      expect(await refusal(rules({ credentials: before }))).toMatchObject({ name: 'RequestExpired' });
      await rules({ credentials: (await assume(await token())) as Keys });
    });
  });

  describe('with an access key', () => {
    it('refuses a key that it does not know', async () => {
      const credentials = { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x' };
      expect(await refusal(rules({ credentials }))).toMatchObject({ name: 'AuthFailure', status: 401 });
      expect(await refusal(groups({ credentials }))).toMatchObject({
        name: 'InvalidClientTokenId',
        status: 403,
      });
    });

    it('refuses a wrong secret', async () => {
      const credentials = { accessKeyId: served.user.accessKeyId, secretAccessKey: 'wrong' };
      expect(await refusal(rules({ credentials }))).toMatchObject({ name: 'AuthFailure', status: 401 });
      expect(await refusal(groups({ credentials }))).toMatchObject({
        name: 'SignatureDoesNotMatch',
        status: 403,
      });
    });

    it('refuses the keys of a session without its token', async () => {
      const { accessKeyId, secretAccessKey } = await assume(await token());
      expect(await refusal(rules({ credentials: { accessKeyId, secretAccessKey } }))).toMatchObject({
        name: 'AuthFailure',
      });
    });

    it('refuses a request signed for another region', async () => {
      expect(await refusal(groups({ region: 'eu-west-1' }))).toMatchObject({
        name: 'SignatureDoesNotMatch',
        message: expect.stringContaining('ap-northeast-2'),
      });
    });
  });

  it('refuses a request that nobody signed, and an action that it has not', async () => {
    const post = async (body: string) => {
      const response = await fetch(served.url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      return { status: response.status, body: await response.text() };
    };
    expect(await post('Action=DescribeInstances&Version=2016-11-15')).toMatchObject({
      status: 403,
      body: expect.stringContaining('<Code>MissingAuthenticationToken</Code>'),
    });
    expect(await post('Action=RunInstances&Version=2016-11-15')).toMatchObject({
      status: 400,
      body: expect.stringContaining('The action RunInstances is not valid for this web service'),
    });
    expect(await post('Action=DescribeLoadBalancers&Version=2012-06-01')).toMatchObject({
      status: 400,
      body: expect.stringContaining('ELB 2015-12-01'),
    });
  });

  describe("the runner's token endpoint", () => {
    const ask = async (url: string, bearer: string) => {
      const response = await fetch(url, { headers: { authorization: `Bearer ${bearer}` } });
      return { status: response.status, body: (await response.json()) as { value?: string } };
    };

    it("hands out tokens of the job's subject for the audience that is asked for", async () => {
      const grant = tokens.grant({ subject, claims: { repository: 'octo/shop' } });
      const { status, body } = await ask(
        `${grant.requestUrl}&audience=sts.amazonaws.com`,
        grant.requestToken,
      );
      expect(status).toBe(200);
      expect(JSON.parse(Buffer.from(body.value!.split('.')[1]!, 'base64url').toString())).toMatchObject({
        iss: 'https://token.actions.githubusercontent.com',
        sub: subject,
        aud: 'sts.amazonaws.com',
        repository: 'octo/shop',
      });
      expect((await assume(body.value!)).accessKeyId).toMatch(/^ASIA/);
    });

    it('refuses a bearer that it did not grant, or that was taken back', async () => {
      const grant = tokens.grant({ subject });
      expect((await ask(grant.requestUrl, 'guess')).status).toBe(401);
      grant.revoke();
      expect((await ask(grant.requestUrl, grant.requestToken)).status).toBe(401);
    });
  });
});
