import { describe, expect, it } from '@jest/globals';
import { InputError, inputsOf } from '@lockkeeper/action';
import { parseInputs } from '../src/inputs.ts';

const given = (values: Record<string, string>) =>
  parseInputs(inputsOf({ status: 'success', ...values }, { 'fail-on-error': 'false', 'dry-run': 'false' }));
const problems = (values: Record<string, string>): string[] => {
  try {
    given(values);
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
};

describe('inputs', () => {
  it('are refused all at once, and the webhook is not repeated', () => {
    const found = problems({
      'webhook-url': 'hooks.slack.com/services/T0/B0/secret',
      status: 'green',
      needs: 'not json',
      url: 'app.example',
      fields: 'no colon',
      'mention-on-failure': '@everyone',
      'fail-on-error': 'maybe',
    });
    expect(found.map((line) => line.split(':')[0])).toEqual([
      'webhook-url',
      'needs',
      'status',
      'fields',
      'url',
      'mention-on-failure',
      'fail-on-error',
    ]);
    expect(found.join('\n')).not.toContain('secret');
  });

  it('without a webhook are fine: forks have no secrets', () => expect(given({}).webhook).toBeUndefined());

  it('take toJSON(needs) as GitHub writes it', () =>
    expect(
      given({
        needs: '{"test":{"result":"success","outputs":{}},"deploy":{"result":"failure","outputs":{"x":"1"}}}',
      }).needs,
    ).toEqual({
      test: 'success',
      deploy: 'failure',
    }));

  it('take at most 50 fields', () => {
    const lines = (count: number) => Array.from({ length: count }, (_, i) => `F${i}: v`).join('\n');
    expect(problems({ fields: lines(50) })).toEqual([]);
    expect(problems({ fields: lines(51) })[0]).toMatch(/^fields: has 51 lines/);
  });

  it('call at most 20, each once', () => {
    const ids = (count: number) => Array.from({ length: count }, (_, i) => `U${100 + i}`).join(', ');
    expect(given({ 'mention-on-failure': '@here, U012AB3CD, @here' }).mentions).toEqual([
      { special: 'here' },
      { user: 'U012AB3CD' },
    ]);
    expect(problems({ 'mention-on-failure': ids(20) })).toEqual([]);
    expect(problems({ 'mention-on-failure': ids(21) })[0]).toMatch(/^mention-on-failure: names 21/);
  });

  it('keep colons in a value', () =>
    expect(given({ fields: 'Log: https://x.example:1/' }).fields).toEqual([['Log', 'https://x.example:1/']]));

  it('need a status or needs', () => expect(problems({ status: ' ' })[0]).toMatch(/^status: is empty/));

  it('mask the webhook and the token', () => {
    const inputs = inputsOf({
      status: 'success',
      'webhook-url': 'https://hooks.slack.com/services/T/B/x',
      'github-token': 'ghs_abcdefgh',
    });
    expect(() => parseInputs(inputs)).not.toThrow();
    expect(inputs.masked).toEqual(
      expect.arrayContaining(['https://hooks.slack.com/services/T/B/x', '/services/T/B/x', 'ghs_abcdefgh']),
    );
  });
});
