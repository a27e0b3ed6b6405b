type Fields = Record<string, unknown>;

/**
 * The word with which Slack refuses a message, or undefined when it takes it. Limits as in @slack/types and Slack's
 * block reference; the limit on the sum of all text is undocumented (slackapi/bolt-js#2509).
 */
export function payloadProblem(payload: unknown): string | undefined {
  if (!isFields(payload)) return 'invalid_payload';
  const { text, blocks, attachments } = payload;
  if (text !== undefined && typeof text !== 'string') return 'invalid_payload';
  if (blocks !== undefined && !Array.isArray(blocks)) return 'invalid_blocks_format';
  if (attachments !== undefined && !Array.isArray(attachments)) return 'invalid_attachments';
  const hasText = typeof text === 'string' && text !== '';
  if (!hasText && !blocks?.length && !attachments?.length) return 'no_text';
  if ((attachments?.length ?? 0) > 100) return 'too_many_attachments';
  const problem = blocksProblem(blocks ?? []);
  if (problem !== undefined) return problem;
  for (const attachment of attachments ?? []) {
    if (!isFields(attachment)) return 'invalid_attachments';
    if (attachment.blocks === undefined) continue;
    if (!Array.isArray(attachment.blocks)) return 'invalid_blocks_format';
    const inside = blocksProblem(attachment.blocks);
    if (inside !== undefined) return inside;
  }
  return undefined;
}

function blocksProblem(blocks: unknown[]): string | undefined {
  if (blocks.length > 50 || !blocks.every(isValidBlock)) return 'invalid_blocks';
  return textLength(blocks) > 13_200 ? 'msg_blocks_too_long' : undefined;
}

function textLength(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + textLength(item), 0);
  if (!isFields(value)) return 0;
  return Object.entries(value).reduce(
    (sum, [key, item]) => sum + (key === 'text' && typeof item === 'string' ? size(item) : textLength(item)),
    0,
  );
}

function isValidBlock(block: unknown): boolean {
  if (!isFields(block)) return false;
  if (block.block_id !== undefined && !isText(block.block_id, 255)) return false;
  switch (block.type) {
    case 'divider':
    case 'rich_text':
      return true;
    case 'section':
      return isValidSection(block);
    case 'header':
      return isTextObject(block.text, 150, ['plain_text']);
    case 'context':
      return isList(block.elements, 10, (element) => isTextObject(element, 3000) || isImage(element));
    case 'actions':
      return isList(block.elements, 25, isValidElement);
    case 'image':
      return isImage(block) && (block.title === undefined || isTextObject(block.title, 2000, ['plain_text']));
    case 'markdown':
      return isText(block.text, 12_000);
    default:
      return false;
  }
}

function isValidSection(block: Fields): boolean {
  if (block.text === undefined && block.fields === undefined) return false;
  if (block.text !== undefined && !isTextObject(block.text, 3000)) return false;
  return block.fields === undefined || isList(block.fields, 10, (field) => isTextObject(field, 2000));
}

function isValidElement(element: unknown): boolean {
  if (!isFields(element) || typeof element.type !== 'string') return false;
  if (element.action_id !== undefined && !isText(element.action_id, 255)) return false;
  if (element.type !== 'button') return true;
  return (
    isTextObject(element.text, 75, ['plain_text']) &&
    (element.url === undefined || isText(element.url, 3000)) &&
    (element.value === undefined || isText(element.value, 2000))
  );
}

function isImage(value: unknown): boolean {
  return (
    isFields(value) && value.type === 'image' && isText(value.alt_text, 2000) && isText(value.image_url, 3000)
  );
}

/** A text object; `emoji` belongs to plain_text alone and `verbatim` to mrkdwn alone. */
function isTextObject(value: unknown, limit: number, types = ['plain_text', 'mrkdwn']): boolean {
  if (!isFields(value) || !isText(value.text, limit) || !types.includes(String(value.type))) return false;
  return value[value.type === 'plain_text' ? 'verbatim' : 'emoji'] === undefined;
}

function isList(value: unknown, limit: number, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length >= 1 && value.length <= limit && value.every(isItem);
}

function isText(value: unknown, limit: number): boolean {
  return typeof value === 'string' && value !== '' && size(value) <= limit;
}

function size(text: string): number {
  return [...text].length;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
