import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { context, job, messageOf, now, type Scene, scenes, self, start, words } from '../docs/scenes.ts';
import { changeOf } from '../src/change.ts';
import { compose } from '../src/message.ts';
import { judge } from '../src/outcome.ts';
import { faultsOf, liveTexts } from './faults.ts';
import { golden } from './golden.ts';

describe.each(Object.keys(golden) as Array<keyof typeof golden>)('the message of a run: %s', (name) => {
  const payload = messageOf(scenes[name]);

  it('is the golden one', () => expect(payload).toEqual(golden[name]));

  it('is one that Slack takes, and lets no stranger act', () =>
    expect(faultsOf(payload, { mentions: ['<!here>'] })).toEqual([]));
});

describe('the message', () => {
  const failed: Scene = {
    needs: { deploy: 'failure' },
    jobs: [job('deploy', 'failure', 'Roll'), job('notify', null)],
  };
  const lines = (scene: Scene) => liveTexts(messageOf(scene)).flatMap((text) => text.split('\n'));
  const everything = (scene: Scene) => JSON.stringify(messageOf(scene));

  it('begins with the reason, before where and by whom', () => {
    const said = liveTexts(messageOf({ ...failed, words: { reason: 'p95 1.8 s > 800 ms\nlast: HTTP 503' } }));
    expect(said[1]).toBe('```p95 1.8 s &gt; 800 ms\nlast: HTTP 503```');
    expect(said[2]).toMatch(/^<[^>]+\|Run #128> of octo\/app failed in/);
  });

  it('of several failed jobs lists five, each the way to its log, and counts the rest', () => {
    const jobs = Array.from({ length: 7 }, (_, i) => job(`shard ${i}`, 'failure', 'Test'));
    expect(lines({ jobs }).slice(1, 8)).toEqual([
      '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app failed in 7 jobs after 6 min 12 s',
      ...[0, 1, 2, 3, 4].map(
        (i) =>
          `• *<https://github.com/octo/app/actions/runs/99/job/107#step:4:1|shard ${i} › Test>* after 4 min`,
      ),
      '• and 2 more',
    ]);
  });

  it('leads to the run, and promises no log, where the page of the failed job is not known', () =>
    expect(lines({ needs: { deploy: 'failure' } })).toContain(
      'Next: <https://github.com/octo/app/actions/runs/99|open the run to see why>',
    ));

  it('leaves out what nothing is known of', () => {
    const text = everything({
      ...failed,
      words: {
        fields: [
          ['Result', 'failed'],
          ['Serves', ''],
          ['Release', ' \u0007 '],
        ],
      },
    });
    expect(text).toContain('*Result*\\nfailed');
    expect(text).not.toMatch(/Serves|Release/);
  });

  it('shows a version that is this very commit in short, and another whole', () => {
    expect(messageOf({ words: { version: context.sha } }).text).toContain('(8863086)');
    expect(messageOf({ words: { version: '20261121-030148-8863086-k3f9' } }).text).toContain(
      '(20261121-030148-8863086-k3f9)',
    );
  });

  it('shows whole below what is too long for the headline', () => {
    const version = `v1-${'x'.repeat(90)}`;
    expect(lines({ words: { version } })).toContain(`\`${version}\``);
  });

  it('shows a URL as it was given, also as the value of a field', () => {
    const said = lines({
      words: { url: 'http://app.example:8080', fields: [['Log', 'https://logs.example/a?b=1&c=2']] },
    });
    expect(said).toContain('<http://app.example:8080/|http://app.example:8080>');
    expect(said).toContain('<https://logs.example/a?b=1&amp;c=2|https://logs.example/a?b=1&amp;c=2>');
  });

  it('shows what a terminal would have coloured without its colours', () =>
    expect(lines({ words: { reason: '\u001b[31;1mred\u001b[0m alert' } })).toContain('```red alert```'));

  it('keeps the lines of a reason, and no blank ones around them', () =>
    expect(liveTexts(messageOf({ words: { reason: '\n  \n  a\n\n  b \n\n' } }))[1]).toBe('```  a\n\n  b```'));

  it('takes no quotation from a stranger', () =>
    expect(lines({ words: { fields: [['Note', '>>> all that follows']] } })).toContain(
      '››› all that follows',
    ));

  it('says of a run by a schedule that nobody started it', () =>
    expect(lines({ context: { eventName: 'schedule', event: {} } }).at(-1)).toMatch(/ by its schedule$/));

  it('links a bot to no page', () =>
    expect(lines({ context: { actor: 'dependabot[bot]' } }).at(-1)).toMatch(/ by dependabot\[bot\]$/));

  it('on GitHub Enterprise Server links to that server alone', () => {
    const server = 'https://ghe.example/x';
    const text = everything({
      jobs: [job('deploy', 'failure', 'Roll', { url: `${server}/octo/app/actions/runs/99/job/1` })],
      context: { serverUrl: server, runUrl: `${server}/octo/app/actions/runs/99` },
    });
    const hosts = [...text.matchAll(/<(https?:\/\/[^/|]+)/g)].map(([, host]) => host);
    expect([...new Set(hosts)].sort()).toEqual(['https://app.example.com', 'https://ghe.example']);
  });

  it.each(['success', 'cancelled', 'skipped'] as const)('of a run that ended as %s calls nobody', (status) =>
    expect(
      everything({ status, words: { mentions: [{ special: 'channel' }, { user: 'U012AB3CD' }] } }),
    ).not.toMatch(/<[!@]/),
  );

  it('of a failure calls all who asked to be', () =>
    expect(
      messageOf({
        ...failed,
        words: { mentions: [{ special: 'channel' }, { user: 'U012AB3CD' }, { group: 'S0614TZR7' }] },
      }).text,
    ).toMatch(/^<!channel> <@U012AB3CD> <!subteam\^S0614TZR7> :x:/));
});

describe('whatever the text, the message keeps every limit and lets no stranger act', () => {
  const short = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.constantFrom(
      '<!channel>',
      '<@U012AB3CD> & <https://evil.example|click>',
      '```\n*bold* _it_ ~no~ `x`',
      'a|b>c<d&amp;e',
      '> quoted\n>>> more',
      '\u202egnp.exe\u0000\u0007 \u001b[31m',
      'مرحبا \u2067 שלום',
      '\ud800 lone \udc00',
      'https://evil.example/|<!here>',
      ' ',
      '',
    ),
  );
  const long = fc.constantFrom(
    'x'.repeat(100 * 1024),
    '&'.repeat(50_000),
    '😀'.repeat(3_000),
    '👩‍👩‍👧‍👦'.repeat(500),
    '`'.repeat(3_000),
    ' \n'.repeat(10_000),
    `https://evil.example/${'x'.repeat(900)}`,
  );
  /** A run in which every text that is not ours is one of `text`. */
  const runs = (
    text: fc.Arbitrary<string>,
    counts: { fields: fc.ArrayConstraints; jobs: fc.ArrayConstraints },
  ) =>
    fc.record({
      said: fc.record({
        title: text,
        stage: text,
        version: text,
        url: text,
        reason: text,
        fields: fc.array(fc.tuple(text, text), counts.fields),
      }),
      around: fc.record({
        actor: text,
        refName: text,
        workflow: text,
        runNumber: text,
        repository: text,
        sha: text,
        eventName: fc.constantFrom('push', 'schedule'),
      }),
      event: fc.record(
        {
          head_commit: fc.oneof(
            fc.record({ message: text, author: fc.record({ name: text }) }),
            fc.jsonValue(),
          ),
          pull_request: fc.record({
            title: text,
            number: fc.nat(),
            head: fc.record({ ref: text, sha: text }),
            user: fc.record({ login: text }),
          }),
          workflow_run: fc.record({
            head_sha: text,
            head_branch: text,
            head_commit: fc.record({ message: text }),
            head_repository: fc.record({ full_name: text }),
          }),
        },
        { requiredKeys: [] },
      ),
      jobs: fc.array(fc.record({ name: text, step: text, url: text, conclusion: status }), counts.jobs),
      given: status,
    });
  const status = fc.constantFrom('success', 'failure', 'cancelled', 'skipped' as const);

  const holds = ({
    said,
    around,
    event,
    jobs,
    given,
  }: ReturnType<typeof runs> extends fc.Arbitrary<infer T> ? T : never) => {
    const place = { ...context, ...around, event: JSON.parse(JSON.stringify(event)) };
    const outcome = judge({
      status: given,
      needs: {},
      jobs: jobs.map(({ name, step, url, conclusion }) => job('x', conclusion, step, { name, url })),
      startedAt: start,
      self,
      now,
    });
    const payload = compose(outcome, { ...words, ...said }, changeOf(place), place);
    const called = outcome.status === 'failure';
    expect(faultsOf(payload, { mentions: called ? ['<!here>'] : [] })).toEqual([]);
    expect(payload.text.includes('<!here>')).toBe(called);
  };

  it('where every address is as long as a link may be', () => {
    const long = (what: string) => `https://ghe.example/${what.repeat(960 / what.length)}`;
    const payload = messageOf({
      jobs: Array.from({ length: 9 }, () => job('deploy', 'failure', 'Roll', { url: long('x') })),
      words: { url: long('x'), fields: Array.from({ length: 50 }, () => ['Log', long('a&')]) },
      context: {
        serverUrl: `https://ghe.example/${'s'.repeat(910)}`,
        runUrl: long('r'),
        refName: 'ü'.repeat(9),
        actor: 'a'.repeat(30),
      },
    });
    expect(faultsOf(payload, { mentions: ['<!here>'] })).toEqual([]);
  });

  it(
    'in 2,000 runs',
    () =>
      fc.assert(
        fc.property(
          runs(fc.oneof({ weight: 20, arbitrary: short }, { weight: 1, arbitrary: long }), {
            fields: { maxLength: 50 },
            jobs: { maxLength: 12 },
          }),
          holds,
        ),
        { numRuns: 2_000, seed: 20261121 },
      ),
    120_000,
  );

  it(
    'in 50 runs in which everything is full',
    () =>
      fc.assert(
        fc.property(
          runs(fc.oneof(short, long), {
            fields: { minLength: 45, maxLength: 50 },
            jobs: { minLength: 10, maxLength: 12 },
          }),
          holds,
        ),
        { numRuns: 50, seed: 20261121, endOnFailure: true },
      ),
    120_000,
  );
});
