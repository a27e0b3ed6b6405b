import { request } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { createSecureContext, getCACertificates } from 'node:tls';
import { afterAll, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { observe, probe } from '../src/index.ts';
import { certificate } from './certificate.ts';
import { Servers } from './servers.ts';

// What a probe costs over the bare request: processor time, which others on the machine do not blur. The
// server runs in the same process, so that its part is in both figures.

const servers = new Servers();
afterAll(() => servers.close());

const authority = certificate();
const tls = { verify: true, ca: authority.cert };
const secureContext = createSecureContext({ ca: [...getCACertificates('default'), authority.cert] });
const expectation = {
  status: [[200, 200] as [number, number]],
  json: [['database', 'true'] as [string, string]],
  version: 'v2',
  versionFrom: { kind: 'json', path: 'version' } as const,
};

const bare = (url: URL) =>
  new Promise<void>((resolve, reject) => {
    const options = { agent: false as const, secureContext, headers: { connection: 'close' } };
    const asking = (url.protocol === 'https:' ? requestSecurely : request)(url, options, (response) => {
      response.resume().on('end', resolve);
    });
    asking.on('error', reject).end();
  });

const judged = async (url: URL) => {
  const seen = observe(await probe({ url, timeout: 20_000, tls }, { clock: systemClock }), expectation);
  if (seen.outcome !== 'good') throw new Error(seen.problem);
};

/** Milliseconds of processor time for each of `n`, eight at a time. */
async function cost(ask: (url: URL) => Promise<void>, url: URL, n: number): Promise<number> {
  const before = process.cpuUsage();
  let begun = 0;
  const prober = async () => {
    while (begun++ < n) await ask(url);
  };
  await Promise.all(Array.from({ length: 8 }, prober));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / n;
}

it.each(['http', 'https'])(
  'a judged probe over %s costs at most twice the bare request and 1 ms',
  async (scheme) => {
    const answer = JSON.stringify({ version: 'v2', database: true });
    const port =
      scheme === 'http'
        ? await servers.http((_, response) => response.end(answer))
        : await servers.https(certificate({ hosts: ['127.0.0.1'], issuer: authority }), (_, response) =>
            response.end(answer),
          );
    const url = new URL(`${scheme}://127.0.0.1:${port}/`);
    for (const ask of [bare, judged]) await cost(ask, url, 50);
    const rounds: Array<[number, number]> = [];
    for (let round = 0; round < 3; round++)
      rounds.push([await cost(bare, url, 60), await cost(judged, url, 60)]);
    const [request, whole] = [0, 1].map(
      (which) => rounds.map((round) => round[which]!).sort((a, b) => a - b)[1]!,
    );
    console.info(
      `${scheme}: request ${request!.toFixed(2)} ms, judged probe ${whole!.toFixed(2)} ms of processor time`,
    );
    expect(whole).toBeLessThan(2 * request! + 1);
  },
  60_000,
);
