import { describe, expect, it } from '@jest/globals';
import { type Observation, type Sample, tallyOf } from '@lockkeeper/probe';
import fc from 'fast-check';
import { addressRows, deadAddresses, outOfReach } from '../src/addresses.ts';
import { EvenSample } from '../src/even-sample.ts';
import { nextCommand } from '../src/next-command.ts';
import { combine, reportFile, type UrlReport } from '../src/report.ts';
import { ShunnedAddresses } from '../src/shunned-addresses.ts';
import { inputsFor, judgeScene, serves } from './scene.ts';

const good = (at: number, part: Partial<Observation> = {}): Observation => ({
  at,
  ms: 10,
  address: '192.0.2.1:443',
  outcome: 'good',
  ...part,
});
const url = (name: string, verdict: UrlReport['verdict'], observations: Observation[] = []): UrlReport => ({
  url: name,
  verdict,
  reason: `is ${verdict}`,
  observations,
  tally: tallyOf(observations),
});
const span = { from: 0, to: 1000 };

describe('several URLs together', () => {
  it('have the worst verdict of each, whatever their order', () =>
    fc.assert(
      fc.property(
        fc
          .array(fc.constantFrom('healthy', 'inconclusive', 'unhealthy'), { minLength: 1, maxLength: 6 })
          .chain((verdicts) =>
            fc.tuple(fc.constant(verdicts), fc.shuffledSubarray(verdicts, { minLength: verdicts.length })),
          ),
        ([verdicts, shuffled]) => {
          const verdictOf = (all: string[]) =>
            combine(
              all.map((verdict, index) => url(`u${index}`, verdict as UrlReport['verdict'])),
              span,
            ).verdict;
          const worst = ['unhealthy', 'inconclusive', 'healthy'].find((one) =>
            verdicts.includes(one as never),
          );
          expect([verdictOf(verdicts), verdictOf(shuffled)]).toEqual([worst, worst]);
        },
      ),
    ));

  it('give the reason of those that are worst, by name', () =>
    expect(combine([url('a', 'healthy'), url('b', 'unhealthy'), url('c', 'unhealthy')], span).reason).toBe(
      'b: is unhealthy; c: is unhealthy',
    ));

  it('tell the version that was seen last, and all in the order of time', () => {
    const a = url('a', 'healthy', [good(1, { version: 'v1' }), good(9, { version: 'v3' })]);
    const b = url('b', 'healthy', [good(5, { version: 'v2' })]);
    for (const urls of [
      [a, b],
      [b, a],
    ])
      expect(combine(urls, span)).toMatchObject({ liveVersion: 'v3', versionsSeen: ['v1', 'v2', 'v3'] });
  });

  it('measure nothing where nothing was measured', () =>
    expect(combine([url('a', 'inconclusive')], span)).toMatchObject({
      samples: 0,
      errorRate: 0,
      p50: 0,
      p95: 0,
      max: 0,
      liveVersion: '',
    }));
});

describe('addresses', () => {
  const rows = addressRows([
    good(1),
    good(2, { outcome: 'bad' }),
    good(3, { passedOver: [{ address: '[2001:db8::1]:443', code: 'ENETUNREACH' }] }),
    good(4, { address: '[2001:db8::2]:443' }),
    good(5, { passedOver: [{ address: '192.0.2.9:443', code: 'ECONNREFUSED' }] }),
    good(6, { address: '', outcome: 'no-answer' }),
  ]);

  it('are each counted for themselves, IPv4 and IPv6', () =>
    expect(rows).toEqual([
      { address: '192.0.2.1:443', family: 'IPv4', answered: 4, good: 3, refused: 0 },
      { address: '[2001:db8::1]:443', family: 'IPv6', answered: 0, good: 0, refused: 1, code: 'ENETUNREACH' },
      { address: '[2001:db8::2]:443', family: 'IPv6', answered: 1, good: 1, refused: 0 },
      { address: '192.0.2.9:443', family: 'IPv4', answered: 0, good: 0, refused: 1, code: 'ECONNREFUSED' },
    ]));

  it('that lead nowhere are found, but for those that only this machine cannot reach', () =>
    expect(
      [deadAddresses(rows), rows.filter(outOfReach)].map((some) => some.map(({ address }) => address)),
    ).toEqual([['192.0.2.9:443'], ['[2001:db8::1]:443']]));

  it('of localhost are no finding', () =>
    expect(
      deadAddresses(
        addressRows([
          good(1, { address: '127.0.0.1:80', passedOver: [{ address: '[::1]:80', code: 'ECONNREFUSED' }] }),
        ]),
      ),
    ).toEqual([]));
});

it('the report file holds every probe, the limits and what they were held against', async () => {
  const report = await judgeScene(
    { answer: (_, __, count) => ({ ...serves('v2'), headers: { 'x-host': `i-${count % 2}` } }) },
    { soak: '2s', 'version-from': 'json:version', 'served-by': 'header:X-Host' },
  );
  const file = JSON.parse(JSON.stringify(reportFile(report)));
  expect(file).toMatchObject({
    format: 1,
    verdict: 'healthy',
    liveVersion: 'v2',
    urls: [
      {
        url: 'http://app.example/',
        versionsSeen: ['v2'],
        servedBy: { 'i-0': expect.any(Number), 'i-1': expect.any(Number) },
        addresses: [{ address: '192.0.2.1:80', family: 'IPv4' }],
        soak: { limits: expect.arrayContaining([expect.objectContaining({ name: 'p95', state: 'held' })]) },
        probesLeftOut: 0,
      },
    ],
  });
  expect(file.urls[0].probes).toHaveLength(report.samples);
});

it('keeps an even part of a long row', () =>
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 4, max: 100 }), (length, most) => {
      const sample = new EvenSample<number>(most);
      for (let i = 0; i < length; i++) sample.add(i);
      const gaps = new Set(sample.kept.slice(1).map((item, index) => item - sample.kept[index]!));
      expect(sample.added).toBe(length);
      expect(sample.kept.length).toBeLessThanOrEqual(most);
      expect(gaps.size).toBeLessThanOrEqual(1);
      // Up to the end, not only its beginning.
      if (length > 0) expect(sample.kept.at(-1)!).toBeGreaterThanOrEqual((length - 1) / 2);
    }),
  ));

it.each<[Record<string, string>, string]>([
  [{ url: 'https://app.example/health/' }, 'curl -sSi -m 5 https://app.example/health/'],
  [
    {
      url: 'https://app.example/health?token=abcdefgh1',
      headers: "X-Forwarded-Proto: https\nAuthorization: Bearer abcdefgh2\nX-Note: it's",
      resolve: 'app.example=2001:db8::1',
      method: 'POST',
      'tls-verify': 'false',
    },
    "curl -sSi -m 5 -X POST -k --connect-to 'app.example:443:[2001:db8::1]:443' -H 'X-Forwarded-Proto: https' -H 'Authorization: ***' -H 'X-Note: it'\\''s' 'https://app.example/health?token=***'",
  ],
  [
    { url: 'https://app.example/', 'ca-certificates': '-----BEGIN CERTIFICATE-----\nMIIB' },
    'curl -sSi -m 5 --cacert ca-certificates.pem https://app.example/',
  ],
  [{ url: 'tcp://app.example:5432' }, 'nc -vz -w 5 app.example 5432'],
  [
    { url: 'wss://app.example/ws' },
    "curl -sSi -m 5 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' https://app.example/ws",
  ],
])('names the command that shows a person what the gate saw: %j', (values, command) => {
  const inputs = inputsFor(values);
  const show = ({ href }: URL) => href.replace('abcdefgh1', '***');
  const report = combine([url(show(inputs.urls[0]!), 'unhealthy')], span);
  expect(nextCommand(report, inputs, show)).toBe(command);
});

it('an address that took no connection three times is asked last, until it answers', () => {
  const shunned = new ShunnedAddresses();
  const [gone, alive] = ['[2001:db8::1]:443', '192.0.2.1:443'];
  const sample = (address: string, ...passedOver: string[]) =>
    ({
      ...good(0, { address }),
      answered: true,
      passedOver: passedOver.map((one) => ({ address: one, code: 'ETIMEDOUT' })),
    }) as unknown as Sample;
  const after = [sample(alive, gone), sample(alive, gone), sample(alive, gone), sample(gone)].map((seen) => {
    shunned.learn(seen);
    return shunned.all.has(gone);
  });
  expect(after).toEqual([false, false, true, false]);
});
