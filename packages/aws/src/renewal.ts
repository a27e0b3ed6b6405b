import type { AwsCredentials } from './credentials.ts';
import { isExpired } from './error.ts';

/** Credentials that can be taken anew before their end. */
export interface CredentialProvider {
  (): Promise<AwsCredentials>;
  /** AWS takes those with this id no longer: whoever asks next gets new ones. */
  expired?(accessKeyId: string): void;
}

/** What of an SDK client this needs: its calls pass here first, and from here on are built and signed. */
interface Client {
  middlewareStack: {
    // biome-ignore lint/suspicious/noExplicitAny: each client has input and output types of its own.
    add(middleware: any, options: { step: 'initialize'; name: string }): void;
  };
}

/**
 * Lets a client's calls take new credentials and go once more where AWS says that theirs have expired: a machine that
 * slept, sessions that an administrator revoked. A call refused so did nothing, so it may be sent again whatever it
 * changes. Answers the client.
 */
export function renewedWhenExpired<T extends Client>(client: T, credentials: unknown): T {
  const provider = credentials as CredentialProvider | undefined;
  if (typeof provider !== 'function' || !provider.expired) return client;
  client.middlewareStack.add(
    <Request, Answer>(next: (request: Request) => Promise<Answer>) =>
      async (request: Request) => {
        const { accessKeyId } = await provider();
        try {
          return await next(request);
        } catch (error) {
          if (!isExpired(error)) throw error;
          provider.expired!(accessKeyId);
          return next(request);
        }
      },
    { step: 'initialize', name: 'renewedWhenExpired' },
  );
  return client;
}
