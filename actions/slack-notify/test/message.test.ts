import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compose } from '../src/message.ts';
import { judge } from '../src/outcome.ts';
import { context, faultsOf, job, read, start, words } from './scene.ts';

const now = start + 6 * 60_000 + 12_000;
const self = { runnerName: 'runner of notify', jobId: 'notify' };
const mentions = ['<!here>', '<@U012AB3CD>', '<!subteam^S0614TZR7>'];

const facts = [
  '*Stage* production',
  '*Version* `20261121-031200-abc1234-k3f9`',
  '*Commit* <https://github.com/octo/app/commit/abc1234def5678900000000000000000000000ff|`abc1234`>',
  '*Branch* <https://github.com/octo/app/tree/main|`main`>',
  '*By* <https://github.com/octo|octo>',
  '*URL* <https://app.example/|https://app.example/>',
];
const change = '(plain) fix: handle <!channel> & friends (#812) — Mona';
const run = '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app';

describe('the message', () => {
  it('of a success says what went where, and calls nobody', () => {
    const outcome = judge({
      status: 'success',
      needs: { test: 'success', deploy: 'success' },
      jobs: [job('test', 'success'), job('deploy', 'success'), job('notify', null)],
      self,
      now,
    });
    const payload = compose(outcome, words, context);
    expect(read(payload)).toEqual([
      '#1f883d',
      ':white_check_mark: *Deploy succeeded* → production (20261121-031200-abc1234-k3f9)',
      `${run} succeeded after 6 min 12 s`,
      ...facts,
      change,
    ]);
    expect(faultsOf(payload)).toEqual([]);
  });

  it('of a failure in a matrix job names job, step and reason, links them, and calls who asked to be', () => {
    const outcome = judge({
      status: 'success',
      needs: { deploy: 'failure' },
      jobs: [
        job('deploy (eu, 1)', 'success'),
        job('deploy (eu, 2)', 'failure', 'Health gate'),
        job('notify', null),
      ],
      self,
      now,
    });
    const payload = compose(
      outcome,
      { ...words, reason: '3/20 probes failed; p95 1.8 s > 800 ms\nlast: HTTP 503 from 203.0.113.7' },
      context,
    );
    expect(read(payload)).toEqual([
      '#d1242f',
      '<!here> <@U012AB3CD> <!subteam^S0614TZR7> :x: *Deploy failed* → production (20261121-031200-abc1234-k3f9)',
      '```3/20 probes failed; p95 1.8 s &gt; 800 ms',
      'last: HTTP 503 from 203.0.113.7```',
      `${run} failed in *<https://github.com/octo/app/actions/runs/99/job/14#step:2:1|deploy (eu, 2) › Health gate>* after 6 min 12 s`,
      ...facts,
      change,
    ]);
    expect(faultsOf(payload, { mentions })).toEqual([]);
  });

  it('of several failed jobs lists five and counts the rest', () => {
    const jobs = Array.from({ length: 7 }, (_, i) => job(`shard ${i}`, 'failure', 'Test'));
    const payload = compose(judge({ status: 'success', needs: {}, jobs, self, now }), words, context);
    const lines = read(payload);
    expect(lines[2]).toBe(`${run} failed in 7 jobs after 6 min 12 s`);
    expect(lines.slice(3, 9)).toEqual([
      ...[0, 1, 2, 3, 4].map(
        (i) =>
          `• *<https://github.com/octo/app/actions/runs/99/job/7#step:2:1|shard ${i} › Test>* after 4 min`,
      ),
      '• and 2 more',
    ]);
  });

  it('of a cancelled re-run says so and which attempt it was', () => {
    const again = { ...context, runAttempt: 2, runUrl: `${context.runUrl}/attempts/2` };
    const payload = compose(
      judge({ status: 'cancelled', needs: {}, jobs: undefined, self, now }),
      words,
      again,
    );
    expect(read(payload).slice(0, 3)).toEqual([
      '#bf8700',
      ':no_entry_sign: *Deploy was cancelled* → production (20261121-031200-abc1234-k3f9)',
      '<https://github.com/octo/app/actions/runs/99/attempts/2|Run #128 (attempt 2)> of octo/app was cancelled',
    ]);
  });

  it('of a run of which everything was skipped does not claim a success', () => {
    const outcome = judge({ status: 'success', needs: { deploy: 'skipped' }, jobs: undefined, self, now });
    expect(read(compose(outcome, words, context)).slice(0, 2)).toEqual([
      '#6e7781',
      ':fast_forward: *Deploy was skipped* → production (20261121-031200-abc1234-k3f9)',
    ]);
  });

  it('of a deploy that was rolled back shows what serves', () => {
    const payload = compose(
      judge({ status: 'failure', needs: {}, jobs: [job('notify', null, 'Roll')], self, now }),
      {
        ...words,
        reason: 'rolled back: web answered 500',
        fields: [
          ['Serving', '20261120-010203-0ldc0de-a1b2'],
          ['Log', 'https://logs.example/a?b=1&c=2'],
        ],
      },
      context,
    );
    expect(read(payload)).toEqual(
      expect.arrayContaining([
        '```rolled back: web answered 500```',
        '*Serving* 20261120-010203-0ldc0de-a1b2',
        '*Log* <https://logs.example/a?b=1&amp;c=2|https://logs.example/a?b=1&amp;c=2>',
      ]),
    );
    expect(read(payload)[3]).toContain('notify › Roll');
  });

  it('of a failed backup on a schedule stands without commit, branch or jobs', () => {
    const bare = {
      ...context,
      event: {},
      eventName: 'schedule',
      workflow: 'Backup',
      sha: '',
      refName: '',
      actor: '',
    };
    const payload = compose(
      judge({ status: 'failure', needs: {}, jobs: undefined, self, now }),
      {
        title: '',
        stage: '',
        version: '',
        url: '',
        reason: 'pg_dump: connection refused',
        fields: [],
        mentions: [],
      },
      bare,
    );
    expect(read(payload)).toEqual([
      '#d1242f',
      ':x: *Backup failed*',
      '```pg_dump: connection refused```',
      `${run} failed`,
    ]);
    expect(faultsOf(payload)).toEqual([]);
  });

  it('leaves out what nothing is known of, and shows a URL as it was given', () => {
    const payload = compose(
      judge({ status: 'failure', needs: {}, jobs: undefined, self, now }),
      {
        ...words,
        url: 'http://app.example:8080',
        fields: [
          ['Result', 'failed'],
          ['Serves', ''],
          ['Release', ' \u0007 '],
        ],
      },
      context,
    );
    const lines = read(payload);
    expect(lines).toContain('*URL* <http://app.example:8080/|http://app.example:8080>');
    expect(lines).toContain('*Result* failed');
    expect(lines.filter((line) => /Serves|Release/.test(line))).toEqual([]);
  });

  it('of a cancelled run tells first that it was, then why', () => {
    const payload = compose(
      judge({ status: 'cancelled', needs: {}, jobs: undefined, self, now }),
      { ...words, reason: 'cancelled (SIGTERM); v1 serves' },
      context,
    );
    expect(read(payload).slice(2, 5)).toEqual([
      `${run} was cancelled`,
      '*Reason*',
      '```cancelled (SIGTERM); v1 serves```',
    ]);
  });

  it('shows a version that is this very commit once, short and linked', () => {
    const payload = compose(
      judge({ status: 'success', needs: {}, jobs: undefined, self, now }),
      { ...words, version: context.sha },
      context,
    );
    expect(read(payload)[1]).toContain('(abc1234)');
    expect(read(payload).filter((line) => line.includes('abc1234def'))).toHaveLength(1);
  });

  it('keeps every limit and every stranger quiet, whatever the text', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.constantFrom(
        '<!channel>',
        '<@U012AB3CD> & <https://evil.example|click>',
        '```\n*bold* _it_ ~no~ `x`',
        'a|b>c<d&amp;e',
        '\u202egnp.exe\u0000\u0007',
        '\ud800 lone \udc00',
        '😀'.repeat(3_000),
        '&'.repeat(50_000),
        'x'.repeat(100 * 1024),
        'https://evil.example/|<!here>',
        ' ',
        '',
      ),
    );
    const event = fc.record({
      head_commit: fc.record({ message: nasty, author: fc.record({ name: nasty }) }, { requiredKeys: [] }),
      pull_request: fc.option(
        fc.record({ title: nasty, number: fc.nat(), head: fc.record({ ref: nasty }) }),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(
        fc.record({
          title: nasty,
          stage: nasty,
          version: nasty,
          url: nasty,
          reason: nasty,
          fields: fc.array(fc.tuple(nasty, nasty), { maxLength: 50 }),
        }),
        fc.record({ actor: nasty, refName: nasty, workflow: nasty, runNumber: nasty, repository: nasty }),
        event,
        fc.array(fc.tuple(nasty, nasty), { maxLength: 12 }),
        (said, around, happened, failed) => {
          const jobs = failed.map(([name, step]) => ({ ...job('x', 'failure', step), name }));
          const outcome = judge({ status: 'failure', needs: {}, jobs, self, now });
          const payload = compose(
            outcome,
            { ...said, mentions: [{ special: 'here' }] },
            { ...context, ...around, event: JSON.parse(JSON.stringify(happened)) },
          );
          expect(faultsOf(payload, { mentions: ['<!here>'] })).toEqual([]);
        },
      ),
      { numRuns: 2_000, seed: 20261121 },
    );
  }, 60_000);
});
