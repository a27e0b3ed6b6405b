import { messageOf, UserError } from '@lockkeeper/action';

const denied = new Set([
  'UnauthorizedOperation',
  'AccessDenied',
  'AccessDeniedException',
  'Client.UnauthorizedOperation',
]);
const expired = new Set(['ExpiredToken', 'ExpiredTokenException', 'RequestExpired']);
const unknownKey = new Set([
  'AuthFailure',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'SignatureDoesNotMatch',
  'InvalidSignatureException',
  'InvalidAccessKeyId',
]);
const throttled = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'TooManyRequestsException',
  'EC2ThrottledException',
  'SlowDown',
]);

/** The wire's error code; the SDK gives it as `name` for errors it does not model, with `Exception` added for some it does. */
export function awsErrorCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code = (error as { Code?: unknown }).Code;
  return typeof code === 'string' ? code : error.name;
}

/** Whether AWS refused for want of a permission. */
export function isDenied(error: unknown): boolean {
  return denied.has(awsErrorCode(error)) || (error instanceof Error && denied.has(error.name));
}

/** Whether AWS refused because the session is over. EC2 says the same of a request signed long ago. */
export function isExpired(error: unknown): boolean {
  return expired.has(awsErrorCode(error));
}

/** Principal, action and resource as a refusal states them: `User: … is not authorized to perform: … on resource: …`. */
export function readRefusal(message: string): { principal?: string; action?: string; resource?: string } {
  return {
    principal: /User: (\S+)/.exec(message)?.[1],
    action: /perform: ([\w-]+:\w+)/.exec(message)?.[1],
    resource: /on resource: (\S+?)\.?(?:\s|$)/.exec(message)?.[1],
  };
}

/**
 * What a failed AWS call means for the user. A refusal names the missing IAM action and the resource,
 * from AWS's own words where it gives them (it does not always), else from what we asked for.
 */
export function explainAwsError(
  error: unknown,
  call: {
    /** The IAM action, e.g. `ec2:RevokeSecurityGroupIngress`. */
    action: string;
    /** Id or ARN; `*` for calls that IAM grants only on everything. */
    resource: string;
    /** The `sub` of the OIDC token, for a refused role. */
    subject?: string;
  },
): UserError {
  if (error instanceof UserError) return error;
  const code = awsErrorCode(error);
  const said = messageOf(error).replace(/\s*Encoded authorization failure message:.*$/s, '');
  const make = (message: string, next?: string) => new UserError(message, { next, cause: error });

  if (call.action === 'sts:AssumeRoleWithWebIdentity') {
    const subject = call.subject ? ` this job's subject is ${call.subject}` : '';
    if (denied.has(code))
      return make(
        `AWS refused the role ${call.resource}:${subject || ` ${said}`}`,
        `let the role's trust policy accept exactly this subject, audience sts.amazonaws.com, from the provider token.actions.githubusercontent.com`,
      );
    if (
      /^(InvalidIdentityToken|IDPRejectedClaim|InvalidIdentityTokenException|IDPRejectedClaimException)/.test(
        code,
      )
    )
      return make(
        `AWS does not accept GitHub's token for ${call.resource}: ${said}`,
        'add the identity provider token.actions.githubusercontent.com with the audience sts.amazonaws.com to the account (IAM → Identity providers)',
      );
  }
  if (isDenied(error)) {
    const { principal, action = call.action, resource = call.resource } = readRefusal(said);
    return make(
      `not allowed: ${action} on ${resource}${principal ? ` for ${principal}` : ''}${/explicit deny/i.test(said) ? ' (an explicit deny)' : ''}`,
      `allow ${action} on ${resource} in the IAM policy of ${principal ?? 'the role or user that the job uses'}`,
    );
  }
  if (isExpired(error))
    return make(
      `the AWS credentials have expired (${call.action} on ${call.resource})`,
      'use role-to-assume, which renews them; a session that another step made usually lasts an hour',
    );
  if (unknownKey.has(code))
    return make(
      `AWS does not accept these credentials (${call.action}): ${said}`,
      'check that the access key exists, is active, and belongs to this partition, and that secret and session token are of the same key',
    );
  if (throttled.has(code) || /Rate exceeded/i.test(said))
    return make(
      `AWS throttles ${call.action} in this account and region, also after several tries: ${said}`,
      'run the job again; the limit is shared by everything that calls this API in the account and region',
    );
  if (code === 'CredentialsProviderError' || /Could not load credentials|Credential is missing/i.test(said))
    return make(
      'no AWS credentials were found',
      'set role-to-assume (and permissions: id-token: write), or run aws-actions/configure-aws-credentials in an earlier step, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in env',
    );
  const network = networkCause(error);
  if (network)
    return make(
      `AWS could not be reached for ${call.action}: ${network}`,
      'check the region, AWS_ENDPOINT_URL* and the proxy variables of this runner',
    );
  return make(
    `${call.action} on ${call.resource} failed: ${code && !said.includes(code) ? `${code}: ` : ''}${said}`,
  );
}

function networkCause(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as { code?: unknown }).code;
    if (at.name === 'TimeoutError') return at.message;
    if (
      typeof code === 'string' &&
      /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EPIPE|CERT_|DEPTH_ZERO|UNABLE_TO|ERR_TLS)/.test(
        code,
      )
    )
      return messageOf(at);
  }
  return undefined;
}
