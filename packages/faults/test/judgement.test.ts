import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { good } from '../../rehearsal/test/good-facts.ts';
import { held, judge } from '../src/judgement.ts';
import { filesThatShow, needlesOf, shows } from '../src/secrets.ts';

describe('a trial', () => {
  it('holds when nothing is amiss', () => expect(held({ ...judge(good, []), problems: [] })).toBe(true));

  it('does not when the fault met nothing', () =>
    expect(held({ ...judge(good, []), problems: ['nothing met the fault'] })).toBe(false));

  it('breaks a guarantee when text of an outsider was executed', () =>
    expect(judge(good, ['text was executed']).guarantees.filter((one) => !one.held)).toEqual([
      expect.objectContaining({ name: 'Nothing leaked', seen: 'text was executed' }),
    ]));

  it('tells who is out, and that two versions serve', () =>
    expect(
      judge({ ...good, targets: [good.targets[0]!, { id: 'i-b', state: 'draining', version: 'v1' }] }, []),
    ).toMatchObject({ out: ['i-b'], serves: 'v1+v2' }));
});

describe('a secret', () => {
  const key =
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nshort\n-----END OPENSSH PRIVATE KEY-----\n';

  it('is looked for whole and by line, without what any key has', () =>
    expect(needlesOf([key])).toEqual([key.trim(), 'b3BlbnNzaC1rZXktdjEAAAAA']));

  it.each(['plain b3BlbnNzaC1rZXktdjEAAAAA', Buffer.from('b3BlbnNzaC1rZXktdjEAAAAA').toString('hex')])(
    'is seen in %s',
    (text) => expect(shows(text, needlesOf([key]))).toBe(true),
  );

  it('is found in a file, below any directory', () =>
    expect(
      filesThatShow(fileURLToPath(new URL('.', import.meta.url)), ['is found in a file, below']),
    ).toEqual([fileURLToPath(import.meta.url)]));
});
