import { describe, expect, it } from '@jest/globals';
import { type Facts, judgeGuarantees } from '../src/guarantee.ts';
import { explanationOf } from '../src/rehearsal.ts';

const good: Facts = {
  conclusion: 'success',
  expectedConclusion: 'success',
  openRules: [],
  openPorts: [],
  targets: [
    { id: 'i-a', state: 'healthy', version: 'v2' },
    { id: 'i-b', state: 'healthy', version: 'v2' },
  ],
  registeredBefore: ['i-a', 'i-b'],
  expectedVersions: ['v2'],
  requests: 1000,
  failed: 0,
  leaks: [],
  slackMessages: 1,
  slackText: 'Deploy succeeded',
  failedIn: '',
  failedBecause: '',
  tellsSlack: true,
  explanation: '',
  survivors: [],
};
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
      'one lost request',
      { failed: 1, firstFailure: 'get after 3.0 s: 502' },
      'Nothing dropped: 1 of 1000 requests failed, the first: get after 3.0 s: 502',
    ],
    ['no load at all', { requests: 0 }, 'Nothing dropped: 0 of 0 requests failed'],
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
      'a failure without a reason',
      { conclusion: 'failure', expectedConclusion: 'failure' },
      'Nobody guesses: nothing says why it failed',
    ],
  ])('%s', (_, part, problem) => expect(broken(part)).toEqual([problem]));
});

it('does not ask for Slack where the workflow does not tell it', () =>
  expect(broken({ slackMessages: 0, slackText: '', failedIn: 'a › b', tellsSlack: false })).toEqual([]));

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
