import { describe, expect, it } from '@jest/globals';
import { latencyChart, spansOf } from '../src/chart.ts';
import { summaryOf } from '../src/summary.ts';
import { judgeScene, refused, serves } from './scene.ts';

const lines = (chart: string) =>
  Object.fromEntries(
    [...chart.matchAll(/line "(\w+)" \[(.*)\]/g)].map(([, name, values]) => [
      name,
      values!.split(', ').map(Number),
    ]),
  );
const points = (times: number[], every = 1000) => times.map((ms, index) => ({ at: index * every, ms }));

describe('the chart', () => {
  it('draws p50, p95, max and the limit, over the time of the watch', () => {
    const chart = latencyChart(points(Array.from({ length: 200 }, (_, i) => (i % 10 === 9 ? 90 : 70))), 500);
    expect(chart).toMatch(/^```mermaid\n%%\{init: .*\}%%\nxychart-beta\n {2}x-axis "seconds" 0 --> 199\n/);
    expect(chart).toContain('y-axis "ms" 0 --> 550');
    const { max, p95, p50, limit } = lines(chart);
    expect([max, p95, p50, limit].map((values) => values!.length)).toEqual([40, 40, 40, 40]);
    expect([Math.max(...max!), Math.max(...p50!), limit![0]]).toEqual([90, 70, 500]);
    expect(chart).toContain('Blue: p50, orange: p95, grey: max, red: the limit of p95, 500 ms.');
  });

  it('draws one very long answer at the edge, and says how long it was', () => {
    const chart = latencyChart(points([...Array(199).fill(70), 4900]), 100);
    expect(chart).toContain('grey: max (up to 4900 ms, beyond the edge)');
    expect(Math.max(...lines(chart).max!)).toBeLessThan(4900);
  });

  it('needs three answers', () =>
    expect([latencyChart(points([70, 70])), latencyChart([]), spansOf([])]).toEqual(['', '', []]));

  it('goes on at the same height where nothing was answered for a while', () => {
    const spans = spansOf([...points(Array(10).fill(50), 1), { at: 100_000, ms: 90 }]);
    expect(spans.map(({ p50 }) => p50)).toEqual([...Array(9).fill(50), 90]);
  });

  it('holds no number that Mermaid cannot read', () => {
    const chart = latencyChart(points([0, 0.4, 1e-9, 3]));
    expect(chart).not.toMatch(/NaN|Infinity|e-/);
  });
});

describe('the summary', () => {
  it('shows the limits, what was measured, the chart and who served', async () => {
    const report = await judgeScene(
      { takes: () => 70, answer: (_, __, n) => ({ ...serves('v2'), headers: { 'x-host': `i-${n % 2}` } }) },
      { soak: '30s', 'min-rps': '10', 'version-from': 'json:version', 'served-by': 'header:X-Host' },
    );
    const summary = summaryOf(report);
    for (const line of [
      '### ✅ Health gate: healthy',
      /^\| http:\/\/app\.example\/ \| ✅ healthy \| 432 of 432 \| 70 ms \| 70 ms \| 70 ms \| `v2` \| /,
      '| errors | at most 1 % | 0 % (0 of 429) | ✅ |',
      '| p95 | at most 500 ms | 70 ms | ✅ |',
      '| good answers | at least 10 a second | 14.2 a second | ✅ |',
      '| samples | at least 20 | 429 | ✅ |',
      'xychart-beta',
      '| `i-0` | 216 | 50.0 % |',
    ])
      expect(summary.split('\n')).toContainEqual(
        typeof line === 'string' ? line : expect.stringMatching(line),
      );
  });

  it('shows the reason where it is not healthy, and what the soak left open', async () => {
    const summary = summaryOf(
      await judgeScene(
        { answer: (_, __, n) => (n > 5 ? { status: 503 } : {}) },
        { soak: '30s', 'min-rps': '10' },
      ),
    );
    expect(summary).toMatch(/^### ❌ Health gate: unhealthy\n\nerrors \d/);
    expect(summary).toMatch(/\| errors \| at most 1 % \| .* \| ❌ \|/);
    expect(summary).toContain('| samples | at least 20 | 3 | open: it ended early |');
  });

  it('shows each address of a name, and the one that takes no connection', async () => {
    const passedOver = [{ address: '192.0.2.9:80', code: 'ECONNREFUSED' }];
    const summary = summaryOf(
      await judgeScene({ answer: (_, __, n) => (n === 1 ? { passedOver } : { address: `192.0.2.${n}:80` }) }),
    );
    expect(summary).toContain('| `192.0.2.9:80` | IPv4 | 0 | 0 | 1, `ECONNREFUSED` |');
    expect(summary).toContain('| `192.0.2.2:80` | IPv4 | 1 | 1 |  |');
  });

  it('shows nothing of what a server said as Markdown, HTML or a mention', async () => {
    const evil = '<img src=x>|[click](http://evil.example) @everyone `';
    const summary = summaryOf(
      await judgeScene(
        { answer: () => ({ body: JSON.stringify({ version: evil }) }) },
        { 'expected-version': 'v2', 'version-from': 'json:version' },
      ),
    );
    const rows = summary.split('\n').filter((line) => line.startsWith('| http'));
    // What stands in a code span is shown as it is.
    expect(summary.replaceAll(/`` .*? ``/g, '')).not.toMatch(/<img|\]\(http|@everyone/);
    expect(rows.map((row) => row.replaceAll('\\|', '').split('|').length)).toEqual([10]);
  });

  it('shows a URL of which nothing was measured', async () =>
    expect(summaryOf(await judgeScene({ answer: () => refused }, { timeout: '10s' }))).toMatch(
      /\| ❌ unhealthy \| 0 of 4 \| — \| — \| — \| — \|/,
    ));
});
