import { describe, expect, it } from '@jest/globals';
import { type Message, pictureOf, wordsOf } from '../tools/message-picture.ts';

const mrkdwn = (text: string) => ({ type: 'mrkdwn', text });
const section = (text: string) => ({ type: 'section', text: mrkdwn(text) });
const message = (...blocks: unknown[]): Message => ({
  text: '<!here> :x: *Deploy failed* → production',
  attachments: [{ color: '#d1242f', blocks }],
});
/** The lines as they are drawn, without their looks. */
const drawn = (svg: string) =>
  [...svg.matchAll(/<text x="76" [^>]*>(.*)<\/text>/g)].map(([, line]) => line!.replace(/<[^>]+>/g, ''));
const widest = (svg: string) => Math.max(...drawn(svg).map((line) => line.length));

describe('the picture of a message', () => {
  it('is the same each time', () =>
    expect(pictureOf(message(section('a')))).toBe(pictureOf(message(section('a')))));

  it('has the colour bar of the attachment', () =>
    expect(pictureOf(message(section('a')))).toContain('fill="#d1242f"'));

  it('breaks lines between words, and words that are longer than a line', () => {
    const words = pictureOf(message(section('word '.repeat(40).trim())));
    expect(
      drawn(words)
        .map((line) => line.trim())
        .every((line) => /^(word ?)+$/.test(line)),
    ).toBe(true);
    expect(drawn(words).length).toBeGreaterThan(2);
    expect(widest(pictureOf(message(section('x'.repeat(300)))))).toBeLessThan(60);
  });

  it('shows code as it is, in a box', () => {
    const svg = pictureOf(message(section('```p95 1.8 s &gt; 800 ms\n*last*: 503```')));
    expect(svg).toContain('<rect class="fence"');
    expect(svg.match(/<tspan class="ink mono">.*?<\/tspan>/g)).toEqual([
      '<tspan class="ink mono">p95 1.8 s &gt; 800 ms</tspan>',
      '<tspan class="ink mono">*last*: 503</tspan>',
    ]);
  });

  it('grows with what is in it', () => {
    const height = (svg: string) => Number(/height="(\d+)"/.exec(svg)![1]);
    expect(height(pictureOf(message(section('a'), section('b'))))).toBeGreaterThan(
      height(pictureOf(message(section('a')))),
    );
  });

  it.each([
    ['a block', message({ type: 'image' }), 'a picture knows no block {"type":"image"}'],
    ['an emoji', message(section(':tada:')), 'a picture knows no emoji :tada:'],
  ])('is refused for %s that it does not know', (_, strange, problem) =>
    expect(() => pictureOf(strange)).toThrow(problem),
  );

  it('lets no text become markup of its own', () => {
    const context = {
      type: 'context',
      elements: [{ type: 'plain_text', text: '</title><script>*x*</script> & <b>' }],
    };
    const svg = pictureOf(message(context));
    expect(svg).not.toMatch(/<script|<b>/);
    expect(drawn(svg).join('')).toContain('*x*');
  });
});

it('the words of a message are those of its picture', () =>
  expect(
    wordsOf(
      message(
        section('```p95 &gt; 800 ms```'),
        section(
          '<https://x.example/1|Run #1> failed in *<https://x.example/2|a › b>*\nNext: <https://x.example/2|open>',
        ),
        {
          type: 'section',
          fields: [mrkdwn('*Serves*\nv1'), mrkdwn('*URL*\n<https://x.example/|https://x.example>')],
        },
        {
          type: 'context',
          elements: [mrkdwn('`abc` on `main`'), { type: 'plain_text', text: 'A <b> & :x:' }],
        },
      ),
    ),
  ).toBe(
    '@here ❌ Deploy failed → production. p95 > 800 ms. Run #1 failed in a › b. Next: open. Serves: v1. URL: https://x.example. abc on main  A <b> & :x:',
  ));
