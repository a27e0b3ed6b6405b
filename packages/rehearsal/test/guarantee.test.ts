import { describe, expect, it } from '@jest/globals';
import { explanationOf, tellsSlack } from '../src/facts.ts';
import { type Facts, judgeGuarantees } from '../src/guarantee.ts';
import { good } from './good-facts.ts';

const [a, b] = good.targets as [Facts['targets'][0], Facts['targets'][0]];
const broken = (part: Partial<Facts>) =>
  judgeGuarantees({ ...good, ...part })
    .filter(({ held }) => !held)
    .map(({ name, seen }) => `${name}: ${seen}`);

it('holds all five when nothing is amiss', () => expect(broken({})).toEqual([]));

describe('is broken by', () => {
  it.each<[string, Partial<Facts>, string]>([
    [
      'a rule that is left',
      { openRules: ['sgr-1 (20.102.35.7/32)'] },
      'Nothing left open: rule sgr-1 (20.102.35.7/32)',
    ],
    ['a port that answers', { openPorts: ['127.77.0.11'] }, 'Nothing left open: SSH on 127.77.0.11'],
    ['a target that is out', { targets: [a] }, 'Nothing left broken: i-b is not registered'],
    [
      'a target that drains',
      { targets: [a, { ...b, state: 'draining' }] },
      'Nothing left broken: i-b is draining',
    ],
    [
      'two versions',
      { targets: [a, { ...b, version: 'v1' }], expectedVersions: ['v1', 'v2'] },
      'Nothing left broken: 2 versions serve: v2, v1',
    ],
    [
      'the wrong version',
      { expectedVersions: ['v1'] },
      'Nothing left broken: i-a serves v2, expected v1; i-b serves v2, expected v1',
    ],
    [
      'a process left behind',
      { survivors: ['ssh host'] },
      'Nothing left broken: a process was left: ssh host',
    ],
    [
      'a lock left behind',
      { left: ['the lock on host-1'] },
      'Nothing left broken: the lock on host-1 was left',
    ],
    [
      'one lost request',
      { failed: 1, firstFailure: 'get after 3.0 s: 502' },
      'Nothing dropped: 1 of 1000 requests failed, the first: get after 3.0 s: 502',
    ],
    [
      'a fault that never struck, so that nothing was proven of it',
      { missed: 'answers are slow', expectedConclusion: 'failure' },
      'Nobody guesses: the fault never struck (answers are slow): the workflow did not come that far; the workflow ended as success, expected failure',
    ],
    ['no load at all', { requests: 0 }, 'Nothing dropped: 0 of 0 requests failed'],
    [
      'a server that still fails after its deploy',
      { failed: 30, downtime: { ms: 2000, after: 2 }, firstFailure: 'get after 3.0 s: connection refused' },
      'Nothing dropped: 2 of 1000 requests failed after the workflow had ended, the first: get after 3.0 s: connection refused',
    ],
    [
      'a secret in the log',
      { leaks: ['log of deploy'] },
      'Nothing leaked: a secret shows in the log of deploy',
    ],
    ['silence in Slack', { slackMessages: 0 }, 'Nobody guesses: 0 messages reached Slack, expected 1'],
    [
      'a message that does not name what failed',
      { failedIn: 'deploy › Roll it out', slackText: 'Deploy failed' },
      'Nobody guesses: Slack does not say "deploy › Roll it out"',
    ],
    [
      'a message without the reason',
      { failedBecause: 'p95 1.8 s', slackText: 'Deploy failed' },
      'Nobody guesses: Slack does not say "p95 1.8 s"',
    ],
    [
      'green when it should be red',
      { expectedConclusion: 'failure' },
      'Nobody guesses: the workflow ended as success, expected failure',
    ],
    [
      'red when it should be green, and says why it was',
      { conclusion: 'failure', explanation: 'drain: "1" is not valid' },
      'Nobody guesses: the workflow ended as failure, expected success: drain: "1" is not valid',
    ],
    [
      'a failure without a reason',
      { conclusion: 'failure', expectedConclusion: 'failure' },
      'Nobody guesses: nothing says why it failed',
    ],
  ])('%s', (_, part, problem) => expect(broken(part)).toEqual([problem]));
});

it('tells the pause of one server, and does not take it for a broken promise', () => {
  const [, , dropped] = judgeGuarantees({ ...good, failed: 30, downtime: { ms: 2040, after: 0 } });
  expect(dropped).toMatchObject({
    held: true,
    seen: 'not promised on one server: 30 of 1000 requests failed while containers were replaced, the first and the last 2.0 s apart',
  });
});

it('does not ask for Slack where the workflow does not tell it', () =>
  expect(broken({ slackMessages: 0, slackText: '', failedIn: 'a › b', tellsSlack: false })).toEqual([]));

describe('a message to Slack', () => {
  const slack = { kind: 'uses', uses: { text: 'lockkeeper/lockkeeper/actions/slack-notify@v1' } };
  const due = (conclusion: string, step: string | undefined, steps: unknown[] = [{ kind: 'run' }, slack]) =>
    tellsSlack(
      { jobs: [{ id: 'watch', steps }] } as unknown as Parameters<typeof tellsSlack>[0],
      {
        conclusion,
        jobs: {
          watch: { id: 'watch', steps: step ? [{ index: 1, phase: 'main', conclusion: step }] : [] },
        },
      } as unknown as Parameters<typeof tellsSlack>[1],
    );

  it.each<[string, boolean, boolean]>([
    ['is due when its step ran', due('success', 'success'), true],
    ['is due when the run failed and its step was skipped', due('failure', 'skipped'), true],
    ['is due when the run failed before its step', due('failure', undefined), true],
    ['is not due when all is well and its step was skipped', due('success', 'skipped'), false],
    ['is not due where no step sends one', due('failure', 'success', [{ kind: 'run' }]), false],
  ])('%s', (_, seen, expected) => expect(seen).toBe(expected));
});

describe('the explanation of a failed workflow', () => {
  type Reported = Parameters<typeof explanationOf>[0][number];
  const step = (part: Partial<Reported>, ...said: Array<[level: string, message: string]>): Reported =>
    ({
      phase: 'main',
      index: 1,
      conclusion: 'success',
      annotations: said.map(([level, message]) => ({ level, message })),
      ...part,
    }) as Reported;
  const failed = { conclusion: 'failure' } as const;
  const post = { phase: 'post' } as const;

  it.each<[string, Reported[], string]>([
    ['an error of the step', [step(failed, ['warning', 'w'], ['error', 'e\nNext: x'])], 'e'],
    ['an error before what post warns of', [step(post, ['warning', 'w']), step(failed, ['error', 'e'])], 'e'],
    ['what its post warns of', [step(failed), step(post, ['notice', 'n'], ['warning', 'w'])], 'w'],
    ['nothing of the post of another', [step(failed), step({ ...post, index: 2 }, ['warning', 'w'])], ''],
    ['nothing of a step that went well', [step({}, ['error', 'e'])], ''],
  ])('is %s', (_, steps, explanation) => expect(explanationOf(steps)).toBe(explanation));
});
