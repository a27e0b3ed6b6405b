import { describe, expect, it } from '@jest/globals';
import { AwsCallError } from '../src/call.ts';
import { judgeRefusal, ruleDescription } from '../src/security-group.ts';

describe('a dry run that was refused', () => {
  const refused = (said: string) =>
    new AwsCallError('denied', 'UnauthorizedOperation', 'not allowed', { cause: new Error(said) });
  const on = (resource: string) =>
    refused(`User: u is not authorized to perform: ec2:X on resource: ${resource} because y`);
  it('is conclusive for the group', () =>
    expect(judgeRefusal(on('arn:aws:ec2:r:1:security-group/sg-1'), 'security-group/').verdict).toBe(
      'refused',
    ));
  it.each(['arn:aws:ec2:r:1:security-group-rule/*', '*'])('is not for %s', (resource) =>
    expect(judgeRefusal(on(resource), 'security-group/').verdict).toBe('unclear'),
  );
  it('is not when AWS does not say for what', () =>
    expect(judgeRefusal(refused('no'), 'security-group/').verdict).toBe('unclear'));
});

it('a rule’s description holds only what EC2 takes', () =>
  expect(ruleDescription(`it's <b>"x"</b> 한글 100% ok_1.${'y'.repeat(300)}`)).toMatch(
    /^it-s -b--x--\/b- -- 100- ok_1\.y{200,}$/,
  ));
