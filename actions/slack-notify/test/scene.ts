import type { GitHubContext } from '@lockkeeper/action';
import type { KnownBlock } from '@slack/types';
import type { Payload, Words } from '../src/message.ts';
import type { Job } from '../src/outcome.ts';

export const start = Date.parse('2026-11-21T03:00:00Z');
const minutes = (count: number) => start + count * 60_000;

export const context: GitHubContext = {
  repository: 'octo/app',
  owner: 'octo',
  repo: 'app',
  sha: 'abc1234def5678900000000000000000000000ff',
  ref: 'refs/heads/main',
  refName: 'main',
  refType: 'branch',
  actor: 'octo',
  workflow: 'CI/CD',
  job: 'notify',
  runId: '99',
  runNumber: '128',
  runAttempt: 1,
  eventName: 'push',
  event: {
    head_commit: { message: 'fix: handle <!channel> & friends (#812)\n\nbody', author: { name: 'Mona' } },
  },
  serverUrl: 'https://github.com',
  apiUrl: 'https://api.github.com',
  runUrl: 'https://github.com/octo/app/actions/runs/99',
  workspace: '/w',
  temp: '/t',
};

export const words: Words = {
  title: 'Deploy',
  stage: 'production',
  version: '20261121-031200-abc1234-k3f9',
  url: 'https://app.example/',
  reason: '',
  fields: [],
  mentions: [{ special: 'here' }, { user: 'U012AB3CD' }, { group: 'S0614TZR7' }],
};

export function job(name: string, conclusion: string | null, failedStep?: string): Job {
  return {
    name,
    url: `https://github.com/octo/app/actions/runs/99/job/${name.length}`,
    status: conclusion === null ? 'in_progress' : 'completed',
    conclusion,
    runnerName: `runner of ${name}`,
    startedAt: start,
    ...(conclusion === null ? {} : { completedAt: minutes(4) }),
    steps: [
      { name: 'Set up job', number: 1, conclusion: 'success' },
      ...(failedStep ? [{ name: failedStep, number: 2, conclusion: 'failure' }] : []),
    ],
  };
}

/** The message as a person would read it, markup included. */
export function read({ text, attachments: [{ color, blocks }] }: Payload): string[] {
  return [color, text, ...blocks.flatMap(textsOf)];
}

function textsOf(block: KnownBlock): string[] {
  if (block.type === 'section')
    return [
      ...(block.text ? block.text.text.split('\n') : []),
      ...(block.fields ?? []).map(({ text }) => text.replace('\n', ' ')),
    ];
  if (block.type === 'context')
    return block.elements.map((element) => ('text' in element ? `(plain) ${element.text}` : ''));
  return [JSON.stringify(block)];
}

/** Every way in which Slack would refuse the payload, or a stranger's text would act in it. */
export function faultsOf(payload: Payload, { mentions = [] as string[] } = {}): string[] {
  const faults: string[] = [];
  const check = (holds: boolean, fault: string) => holds || faults.push(fault);
  const [{ blocks, fallback }] = payload.attachments;
  check(blocks.length >= 1 && blocks.length <= 50, `${blocks.length} blocks`);
  check(JSON.stringify(blocks).length <= 13_000, `${JSON.stringify(blocks).length} characters of blocks`);
  check(payload.text.length > 0 && payload.text.length <= 4_000, `top-level text of ${payload.text.length}`);
  check(fallback.length <= 1_000, 'long fallback');
  const live: string[] = [payload.text];
  for (const block of blocks) {
    if (block.type === 'section') {
      check(Boolean(block.text ?? block.fields?.length), 'an empty section');
      if (block.text) {
        check(
          block.text.text.length >= 1 && block.text.text.length <= 3_000,
          `section of ${block.text.text.length}`,
        );
        live.push(block.text.text);
      }
      check((block.fields?.length ?? 0) <= 10, `${block.fields?.length} fields`);
      for (const { text } of block.fields ?? []) {
        check(text.length >= 1 && text.length <= 2_000, `field of ${text.length}`);
        live.push(text);
      }
    } else if (block.type === 'context') {
      check(block.elements.length >= 1 && block.elements.length <= 10, 'context elements');
      for (const element of block.elements)
        check(
          element.type === 'plain_text' && element.text.length >= 1 && element.text.length <= 3_000,
          'context text',
        );
    } else faults.push(`a block of type ${block.type}`);
  }
  for (const text of live) {
    for (const [markup] of text.matchAll(/<[^>]*>?/g))
      check(
        /^<https?:\/\/[^\s|<>]+\|[^<>\n]+>$/.test(markup) || mentions.includes(markup),
        `live markup ${JSON.stringify(markup.slice(0, 80))}`,
      );
    check(!/&(?!(amp|lt|gt);)/.test(text), `a bare ampersand in ${JSON.stringify(text.slice(0, 80))}`);
  }
  const whole = JSON.stringify(payload);
  check(
    !/[\u0000-\u0009\u000b-\u001f\u202a-\u202e]/.test([...live, fallback].join('')),
    'a control character',
  );
  check(!/\p{Surrogate}/u.test([...live, fallback].join('')), 'a lone surrogate');
  check(payload.unfurl_links === false && payload.unfurl_media === false, 'unfurling');
  check(JSON.stringify(JSON.parse(whole)) === whole, 'not JSON');
  return faults;
}
