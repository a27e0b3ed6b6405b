import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { messageOf, UserError } from '@lockkeeper/action';
import { countVotes, judgeAnswer, type LookupAnswer } from './address.ts';

const userAgent = 'lockkeeper-ephemeral-ssh-ingress';
const mostBytes = 1024;

/**
 * The address this runner is seen with, or two, one of each kind, by agreement of `quorum` services asked side by
 * side. Services whose answer cannot change the result any more are dropped. Asked directly, never by a proxy:
 * SSH does not go by it.
 */
export async function lookUpAddresses(
  urls: string[],
  {
    quorum,
    timeoutMs = 5_000,
    signal,
    onAnswer,
  }: {
    quorum: number;
    timeoutMs?: number;
    signal?: AbortSignal;
    onAnswer?: (answer: LookupAnswer) => void;
  },
): Promise<string[]> {
  const stop = new AbortController();
  const given = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const answers: LookupAnswer[] = [];
  let outstanding = urls.length;
  try {
    return await new Promise<string[]>((resolve, reject) => {
      const count = () => {
        const result = countVotes(answers, { quorum, outstanding });
        if ('agreed' in result) resolve(result.agreed);
        else if ('disagreed' in result)
          reject(
            new UserError(
              `the address of this runner is not known: ${quorum === 1 ? 'no service gave one' : `no ${quorum} services agree`}. ${result.disagreed}`,
              {
                next: 'run the job again, name other services in ip-lookup-url, or give the address in cidr',
              },
            ),
          );
      };
      for (const url of urls)
        void ask(url, given, timeoutMs)
          .then((body) => judgeAnswer(url, body))
          .catch((error: unknown) => ({ url, failure: messageOf(error) }))
          .then((answer) => {
            if (signal?.aborted) return reject(signal.reason);
            answers.push(answer);
            outstanding--;
            if (!stop.signal.aborted) onAnswer?.(answer);
            count();
          });
    });
  } finally {
    stop.abort();
  }
}

function ask(url: string, signal: AbortSignal, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest;
    const limit = AbortSignal.timeout(timeoutMs);
    const failed = (error: Error) =>
      reject(limit.aborted ? new Error(`no answer within ${timeoutMs / 1000} s`) : error);
    const asked = request(
      url,
      {
        agent: false,
        headers: { 'user-agent': userAgent, accept: 'text/plain' },
        signal: AbortSignal.any([signal, limit]),
      },
      (response) => {
        if (response.statusCode !== 200) {
          response.destroy();
          reject(new Error(`answered HTTP ${response.statusCode}`));
          return;
        }
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
          if (body.length <= mostBytes) return;
          response.destroy();
          reject(new Error(`answered more than ${mostBytes} bytes`));
        });
        response.on('end', () => resolve(body));
        response.on('error', failed);
      },
    );
    asked.on('error', failed);
    // Without this, Node drops a request that is answered so without a word.
    asked.on('upgrade', (response, socket) => {
      socket.destroy();
      reject(new Error(`answered HTTP ${response.statusCode}`));
    });
    asked.end();
  });
}
