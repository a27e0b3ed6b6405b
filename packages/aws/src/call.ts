import { UserError } from '@lockkeeper/action';
import { awsErrorCode, explainAwsError, isDenied } from './error.ts';

/**
 * How a failed call is to be taken: `denied` for want of permission or credentials, `refused` by the service
 * (asking again gives the same answer), or `unsure`: throttled, a server's error or a lost answer, after which
 * only a look tells what happened.
 */
export type CallFailureKind = 'denied' | 'refused' | 'unsure';

/** An AWS call that failed, in words that name the IAM action and the resource. */
export class AwsCallError extends UserError {
  override readonly name = 'AwsCallError';
  readonly kind: CallFailureKind;
  /** The service's own code, such as `TargetGroupNotFound`. */
  readonly code: string;

  constructor(
    kind: CallFailureKind,
    code: string,
    message: string,
    options: { next?: string; details?: string; cause?: unknown } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.code = code;
  }
}

/** Milliseconds after which one call, the SDK's own retries included, is given up: its answer is lost. */
const longestCall = 15_000;

/**
 * Sends one call with a time limit and says in words what went wrong. `action` is the IAM action, `resource` what
 * it was about. The SDK retries throttling and server errors by itself; what comes out here is its last word.
 */
export async function callAws<T>(
  action: string,
  resource: string,
  send: (abortSignal: AbortSignal) => Promise<T>,
  { signal, limit = longestCall }: { signal?: AbortSignal; limit?: number } = {},
): Promise<T> {
  const timeout = AbortSignal.timeout(limit);
  try {
    return await send(signal ? AbortSignal.any([signal, timeout]) : timeout);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (timeout.aborted)
      throw new AwsCallError(
        'unsure',
        'Timeout',
        `${action} on ${resource} had no answer within ${limit / 1000} s`,
        {
          cause: error,
        },
      );
    throw callError(error, action, resource);
  }
}

/** An error of the SDK with its kind: whether a look at AWS must tell what became of the call. */
export function callError(error: unknown, action: string, resource: string): AwsCallError {
  const { message, next, details } = explainAwsError(error, { action, resource });
  return new AwsCallError(kindOf(error), awsErrorCode(error), message, { next, details, cause: error });
}

const withoutValidCredentials = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'AuthFailure',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'SignatureDoesNotMatch',
  'InvalidSignatureException',
  'CredentialsProviderError',
]);

function kindOf(error: unknown): CallFailureKind {
  const code = awsErrorCode(error);
  // A UserError comes from taking the role: no call was made, and none will succeed.
  if (isDenied(error) || withoutValidCredentials.has(code) || error instanceof UserError) return 'denied';
  if (/throttl|RequestLimitExceeded|TooManyRequests|SlowDown/i.test(code)) return 'unsure';
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status !== undefined && status >= 400 && status < 500 ? 'refused' : 'unsure';
}
