import { checkPolicy, like, type PolicyDocument } from './iam.ts';
import type { OidcIssuer } from './oidc.ts';
import { AwsError } from './query.ts';
import type { Operations } from './turn.ts';

/** The Security Token Service actions that the lab knows (API version 2011-06-15). */
export function sts(oidc: OidcIssuer | undefined): Operations {
  return {
    /** Signed by nobody: the token is the proof. */
    async AssumeRoleWithWebIdentity({ account, query, call }) {
      const roleArn = query.required('RoleArn');
      const sessionName = query.required('RoleSessionName');
      const token = query.required('WebIdentityToken');
      const seconds = query.integer('DurationSeconds') ?? 3600;
      call.resources.push(roleArn);
      if (!/^arn:aws:iam::\d{12}:role\/.+$/.test(roleArn)) {
        throw new AwsError('ValidationError', `${roleArn} is invalid`);
      }
      if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) {
        throw new AwsError(
          'ValidationError',
          `1 validation error detected: Value '${sessionName}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*`,
        );
      }
      if (seconds < 900) {
        throw new AwsError(
          'ValidationError',
          `1 validation error detected: Value '${seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900`,
        );
      }
      if (!oidc) {
        throw new AwsError('InvalidIdentityToken', 'No OpenIDConnect provider found in your account');
      }
      const claims = await oidc.verify(token);
      const role = account.roles.get(roleArn);
      const audiences = new Set([...account.roles.values()].map(({ trust }) => trust.audience));
      if (!audiences.has(claims.audience)) {
        throw new AwsError('InvalidIdentityToken', 'Incorrect token audience');
      }
      // AWS does not tell a caller whether the role is missing or does not trust it.
      if (
        !role ||
        role.trust.audience !== claims.audience ||
        !role.trust.subjects.some((pattern) => like(pattern, claims.subject))
      ) {
        throw new AwsError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403);
      }
      if (seconds > role.maxSessionSeconds) {
        throw new AwsError(
          'ValidationError',
          'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
        );
      }
      const session = account.openSession(role, sessionName, seconds, sessionPolicy(query.text('Policy')));
      call.principal = session.arn;
      return {
        SubjectFromWebIdentityToken: claims.subject,
        Audience: claims.audience,
        Provider: `arn:aws:iam::${account.accountId}:oidc-provider/${oidc.issuer.replace(/^https?:\/\//, '')}`,
        AssumedRoleUser: { Arn: session.arn, AssumedRoleId: session.userId },
        Credentials: {
          AccessKeyId: session.accessKeyId,
          SecretAccessKey: session.secretAccessKey,
          SessionToken: session.sessionToken,
          // In the caller's time: that is the clock it will hold this against.
          Expiration: account.wallTime(session.expiresAt!),
        },
      };
    },

    /** Needs no permission, as on AWS. */
    GetCallerIdentity({ account, principal }) {
      return { Arn: principal!.arn, UserId: principal!.userId, Account: account.accountId };
    },
  };
}

function sessionPolicy(text: string | undefined): PolicyDocument | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    const policy = JSON.parse(text) as PolicyDocument;
    checkPolicy(policy);
    return policy;
  } catch (error) {
    throw new AwsError('MalformedPolicyDocument', error instanceof Error ? error.message : String(error));
  }
}
