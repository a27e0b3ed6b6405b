import { payloadProblem } from '@lockkeeper/lab';
import type { KnownBlock } from '@slack/types';
import type { Payload } from '../src/message.ts';

/** The texts of a message in which Slack obeys markup. */
export function liveTexts({ text, attachments: [{ blocks }] }: Payload): string[] {
  return [text, ...blocks.flatMap(liveTextsOf)];
}

function liveTextsOf(block: KnownBlock): string[] {
  if (block.type === 'section')
    return [...(block.text ? [block.text.text] : []), ...(block.fields ?? []).map(({ text }) => text)];
  if (block.type === 'context')
    return block.elements.flatMap((element) => (element.type === 'mrkdwn' ? [element.text] : []));
  throw new Error(`a block of type ${block.type}`);
}

/**
 * Every way in which Slack would refuse the payload (its published limits, as the lab's Slack holds them), or a
 * stranger's text would act in it. `mentions` are those that were asked for.
 */
export function faultsOf(payload: Payload, { mentions = [] as string[] } = {}): string[] {
  const faults: string[] = [];
  const check = (holds: boolean, fault: string) => holds || faults.push(fault);
  const [{ blocks, fallback, color }] = payload.attachments;
  check(payloadProblem(payload) === undefined, `Slack refuses it: ${payloadProblem(payload)}`);
  check(blocks.length > 0, 'no blocks');
  check(JSON.stringify(blocks).length <= 13_000, `${JSON.stringify(blocks).length} characters of blocks`);
  check(payload.text.length > 0 && payload.text.length <= 4_000, `top-level text of ${payload.text.length}`);
  check(fallback.length > 0 && fallback.length <= 1_000, `fallback of ${fallback.length}`);
  check(/^#[0-9a-f]{6}$/.test(color), `colour ${color}`);
  check(payload.unfurl_links === false && payload.unfurl_media === false, 'unfurling');

  for (const block of blocks)
    for (const part of 'elements' in block ? block.elements : [])
      check(!('emoji' in part) || part.emoji === false, 'a plain_text that makes emoji of words');
  const live = liveTexts(payload);
  for (const text of live) {
    const quoted = JSON.stringify(text.slice(0, 80));
    for (const [markup] of text.matchAll(/<[^>]*>?/g))
      check(
        /^<https?:\/\/[^\s|<>]+\|[^<>\n]+>$/.test(markup) || mentions.includes(markup),
        `live markup ${JSON.stringify(markup.slice(0, 80))}`,
      );
    check(!/&(?!(amp|lt|gt);)/.test(text), `a bare ampersand in ${quoted}`);
    const fences = text.split('```').length - 1;
    check(
      fences === 0 || (fences === 2 && text.startsWith('```') && text.endsWith('```')),
      `a fence in ${quoted}`,
    );
    check(fences > 0 || !/^(&gt;|>)/m.test(text), `a quotation in ${quoted}`);
    check(fences > 0 || (text.split('`').length - 1) % 2 === 0, `an open code span in ${quoted}`);
  }
  check(!payload.text.includes('://'), 'an address in the top-level text, of which Slack makes a link');
  check(!/[<>]/.test(fallback), 'markup in the fallback');
  const texts = [...live, fallback].join('');
  check(!/[\u0000-\u0009\u000b-\u001f\u202a-\u202e]/.test(texts), 'a control character');
  check(!/\p{Surrogate}/u.test(texts), 'a lone surrogate');
  check(JSON.stringify(JSON.parse(JSON.stringify(payload))) === JSON.stringify(payload), 'not JSON');
  return faults;
}
