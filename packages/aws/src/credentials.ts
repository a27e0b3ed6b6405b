import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { type Inputs, type Log, messageOf, UserError } from '@lockkeeper/action';
import type { Clock } from '@lockkeeper/wait';
import { explainAwsError } from './error.ts';
import type { CredentialProvider } from './renewal.ts';

type Env = Record<string, string | undefined>;

export interface AwsSettings {
  region: string;
  /** '' = the SDK's default chain. */
  roleToAssume: string;
}

/**
 * The inputs `region` and `role-to-assume`; without the first the environment's region counts, then that of the
 * resource the action is about, for those that name one by ARN. '' for it: that input is refused already, so that
 * nobody need be told of the region as well.
 */
export function readAwsInputs(inputs: Inputs, env: Env, regionOfResource?: string): AwsSettings {
  const given = inputs.text('region');
  const region = given || env.AWS_REGION || env.AWS_DEFAULT_REGION || regionOfResource || '';
  if (!region && regionOfResource === undefined)
    inputs.problem(
      'region',
      'is required; expected a region such as ap-northeast-2, here or in AWS_REGION of the environment',
    );
  else if (region && !/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/.test(region))
    inputs.reject('region', region, 'a region such as ap-northeast-2');
  const roleToAssume = inputs.matching(
    'role-to-assume',
    /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/,
    'the ARN of a role, such as arn:aws:iam::123456789012:role/deploy',
  );
  return { region, roleToAssume };
}

const endpointVariable = /^AWS_(ENDPOINT_URL(_[A-Z0-9_]+)?|IGNORE_CONFIGURED_ENDPOINT_URLS)$/;
const proxyVariables = [
  'HTTPS_PROXY',
  'https_proxy',
  'HTTP_PROXY',
  'http_proxy',
  'ALL_PROXY',
  'all_proxy',
  'NO_PROXY',
  'no_proxy',
] as const;

/** Where AWS is reached: the endpoint and proxy variables of an environment. Goes into state. */
export type AwsRoute = Record<string, string>;

/** The variables that decide where AWS calls go, as main saw them. */
export function awsRoute(env: Env): AwsRoute {
  const route: AwsRoute = {};
  for (const [name, value] of Object.entries(env))
    if (value && (endpointVariable.test(name) || (proxyVariables as readonly string[]).includes(name)))
      route[name] = value;
  return route;
}

/**
 * Gives the environment back the route that main used: a step in between can have set other variables for
 * all later steps and posts. Warns of each that differed. The SDK reads these from the environment itself.
 */
export function takeRoute(route: AwsRoute, env: Env, log: Log): void {
  const now = awsRoute(env);
  for (const name of new Set([...Object.keys(route), ...Object.keys(now)])) {
    if (route[name] === now[name]) continue;
    log.warning(
      `${name} was changed after this action started; what it was then is used again: ${route[name] === undefined ? 'not set' : withoutPassword(route[name])}`,
    );
    if (route[name] === undefined) delete env[name];
    else env[name] = route[name];
  }
}

function logRoute(env: Env, log: Log): void {
  for (const [name, value] of Object.entries(awsRoute(env)))
    log.info(`AWS is reached by ${name}=${withoutPassword(value)}`);
}

/** A proxy's URL may carry user and password. */
function withoutPassword(value: string): string {
  return value.replace(/\/\/[^/@]*@/, '//***@');
}

export interface AwsOptions {
  region: string;
  /** ARN; '' or undefined = the SDK's default chain. */
  roleToAssume?: string;
  /** A fresh OIDC token of this job for the audience. */
  idToken: (audience: string) => Promise<string>;
  /** Shown in CloudTrail; made to fit STS's rules. */
  sessionName: string;
  env: Env;
  clock: Clock;
  log: Log;
  mask: (secret: string) => void;
}

export interface AwsCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/** What every SDK client of ours is made with: `new EC2Client(config)`. */
export interface AwsConfig {
  region: string;
  /** Missing = the SDK's default chain. */
  credentials?: CredentialProvider;
  retryMode: 'standard';
  maxAttempts: number;
  requestHandler: {
    connectionTimeout: number;
    requestTimeout: number;
    throwOnRequestTimeout: true;
    httpAgent: HttpAgent;
    httpsAgent: HttpsAgent;
  };
}

/**
 * The SDK client configuration of an action: the default chain, or a role taken with this job's OIDC token
 * and taken anew when its session nears the end. Endpoints (AWS_ENDPOINT_URL*) are read by the SDK from the
 * environment, the web identity call to STS included; proxies are honoured by the agents. Both are logged.
 */
export function awsConfig(options: AwsOptions): AwsConfig {
  const { region, roleToAssume, env, log } = options;
  logRoute(env, log);
  const proxyEnv = Object.fromEntries(
    proxyVariables.filter((name) => env[name]).map((name) => [name, env[name]]),
  );
  const agent = { keepAlive: true, maxSockets: 50, proxyEnv };
  const config: AwsConfig = {
    region,
    retryMode: 'standard',
    // The default is 3; a throttled account needs more patience than that, and a deploy has it.
    maxAttempts: 6,
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: 10_000,
      throwOnRequestTimeout: true,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
    },
  };
  if (roleToAssume) config.credentials = webIdentityCredentials({ ...options, roleToAssume }, config);
  return config;
}

// As the SDK's own clients count: what ends within five minutes is as good as ended.
const nearTheEnd = 5 * 60_000;

/**
 * Credentials of a role, shared by all clients of the action and renewed with a fresh token before they end, or when
 * AWS has ended them. They are kept here alone: a client of the SDK keeps what it is given until shortly before its
 * `expiration`, so it is given one that is over, and asks for each call.
 */
export function renewing(
  obtain: () => Promise<AwsCredentials>,
  clock: Pick<Clock, 'now'>,
): CredentialProvider {
  let held: { credentials: AwsCredentials; renewAt: number } | undefined;
  let pending: Promise<AwsCredentials> | undefined;
  const renew = async () => {
    const startedAt = clock.now();
    const credentials = await obtain();
    const end = credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY;
    // A session of less than ten minutes (a lab, a strict role) is renewed at half its life.
    held = { credentials, renewAt: Math.max(end - nearTheEnd, startedAt + (end - startedAt) / 2) };
    return credentials;
  };
  const current = async () => {
    if (held && clock.now() < held.renewAt) return held.credentials;
    pending ??= renew().finally(() => {
      pending = undefined;
    });
    return pending;
  };
  return Object.assign(async () => ({ ...(await current()), expiration: new Date(0) }), {
    expired(accessKeyId: string) {
      // Not those that another call has taken meanwhile.
      if (held?.credentials.accessKeyId === accessKeyId) held = undefined;
    },
  });
}

function webIdentityCredentials(
  { roleToAssume, idToken, sessionName, clock, log, mask }: AwsOptions & { roleToAssume: string },
  { region, requestHandler, maxAttempts }: AwsConfig,
): CredentialProvider {
  return renewing(async () => {
    let token: string;
    try {
      token = await idToken('sts.amazonaws.com');
    } catch (error) {
      throw new UserError(
        `role-to-assume needs this job's OIDC token, and GitHub gave none: ${messageOf(error)}`,
        {
          next: 'add to the job: permissions: { id-token: write, contents: read }',
          cause: error,
        },
      );
    }
    mask(token);
    const { fromWebToken } = await import('@aws-sdk/credential-provider-web-identity');
    try {
      const credentials = await fromWebToken({
        roleArn: roleToAssume,
        roleSessionName: sessionName.replace(/[^\w+=,.@-]/g, '-').slice(0, 64),
        webIdentityToken: token,
        clientConfig: { region, requestHandler, maxAttempts },
      })();
      mask(credentials.accessKeyId);
      mask(credentials.secretAccessKey);
      if (credentials.sessionToken) mask(credentials.sessionToken);
      log.info(
        `role ${roleToAssume} taken${credentials.expiration ? ` until ${credentials.expiration.toISOString()}` : ''}`,
      );
      return credentials;
    } catch (error) {
      throw explainAwsError(error, {
        action: 'sts:AssumeRoleWithWebIdentity',
        resource: roleToAssume,
        subject: subjectOf(token),
      });
    }
  }, clock);
}

/** Who the token says we are: the `sub` claim, which a trust policy must name. Not a secret; the token is. */
function subjectOf(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const subject = (claims as { sub?: unknown }).sub;
    return typeof subject === 'string' ? subject : undefined;
  } catch {
    return undefined;
  }
}
