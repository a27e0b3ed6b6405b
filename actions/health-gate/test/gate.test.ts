import { describe, expect, it } from '@jest/globals';
import { inputsOf, memoryLog } from '@lockkeeper/action';
import { type Sample, tallyOf } from '@lockkeeper/probe';
import { fakeClock } from '@lockkeeper/wait';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { combine, judge, percentile, type UrlReport } from '../src/gate.ts';
import { parseInputs } from '../src/inputs.ts';

const { inputs: defaults } = contractOf(actions().find(({ name }) => name === 'health-gate')!);

/** Judges a server that answers by the time (ms) since the start. */
async function judgeServer(
  answer: (at: number, url: URL) => Partial<Sample>,
  values: Record<string, string> = {},
) {
  const clock = fakeClock();
  const log = memoryLog();
  const inputs = parseInputs(inputsOf({ url: 'http://app.example/', ...values }, defaults));
  const ask = async (url: URL): Promise<Sample> => {
    const at = clock.now();
    await clock.sleep(40);
    return {
      answered: true,
      at,
      ms: 40,
      address: '192.0.2.1:80',
      status: 200,
      headers: {},
      body: '',
      truncated: false,
      ...answer(at, url),
    } as Sample;
  };
  const report = await judge(inputs, { ask, clock, log });
  return { verdict: report.verdict, reason: report.reason, report, log, took: clock.now() };
}
const version = (v: string): Partial<Sample> => ({ body: JSON.stringify({ version: v }) }) as Partial<Sample>;
const gate = { 'expected-version': 'v2', 'version-from': 'json:version' };

it('is healthy after three good answers in a row', async () =>
  expect(await judgeServer(() => ({}))).toMatchObject({ verdict: 'healthy', took: 4040 }));

it('waits for the new version', async () =>
  expect(await judgeServer((at) => version(at < 3000 ? 'v1' : 'v2'), gate)).toMatchObject({
    verdict: 'healthy',
    reason: '10 good answers in a row, version v2',
  }));

it('says that the old version is still served', async () =>
  expect(await judgeServer(() => version('v1'), gate)).toMatchObject({
    verdict: 'unhealthy',
    reason: 'still serves v1, expected v2',
  }));

it('ends early when too many probes go unanswered', async () => {
  const { verdict, took } = await judgeServer((at) =>
    at < 1000
      ? {}
      : { answered: false, kind: 'connect', code: 'ECONNREFUSED', message: 'connection refused' },
  );
  expect([verdict, took < 15_000]).toEqual(['unhealthy', true]);
});

it('is unhealthy when one URL of two is', async () =>
  expect(
    await judgeServer((_, url) => (url.hostname === 'b.example' ? { status: 503 } : {}), {
      url: 'http://a.example/, http://b.example/',
    }),
  ).toMatchObject({
    verdict: 'unhealthy',
    reason: expect.stringMatching(
      /^http:\/\/b\.example\/: 0 of \d+ probes were good, never 3 in a row; last: answered 503, expected 200$/,
    ),
  }));

it('speaks when something changes, not at every probe', async () => {
  const { log } = await judgeServer((at) => (at < 20_000 ? { status: 503 } : {}));
  expect(log.lines).toEqual([
    'http://app.example/: answered 503, expected 200 (40 ms, after 40 ms)',
    'http://app.example/: good (40 ms, after 20 s)',
  ]);
});

describe('combine', () => {
  const url = (name: string, verdict: UrlReport['verdict']): UrlReport => ({
    url: name,
    verdict,
    reason: `${name} is ${verdict}`,
    observations: [],
    tally: tallyOf([]),
  });
  it('gives the same verdict whatever the order of the URLs', () => {
    const [a, b, c] = [url('a', 'healthy'), url('b', 'inconclusive'), url('c', 'unhealthy')];
    expect([combine([a, b, c]).verdict, combine([c, b, a]).verdict, combine([b, a]).verdict]).toEqual([
      'unhealthy',
      'unhealthy',
      'inconclusive',
    ]);
  });
});

it.each([
  [[], 95, 0],
  [[10], 95, 10],
  [Array.from({ length: 20 }, (_, i) => i + 1), 95, 19],
  [[1, 2, 3, 4], 50, 2],
])('takes the nearest rank of %j at %d', (values, p, result) => expect(percentile(values, p)).toBe(result));
