import { expect, it } from '@jest/globals';
import { parseArguments, usage } from '../src/arguments.ts';
import { faults } from '../src/fault.ts';

it('rehearses the reference workflow unless told another', () =>
  expect(parseArguments([])).toEqual({
    workflow: 'workflows-examples/rolling-alb.yml',
    realTime: false,
    seed: 1,
    inputs: {},
    vars: {},
    plain: false,
  }));

it.each([
  [['--fail', 'kill', 'mine.yml'], { workflow: 'mine.yml', fail: 'kill' }],
  [['--fail=deny', '--real-time', '--seed=7'], { fail: 'deny', realTime: true, seed: 7 }],
  [['--', '--plain'], { plain: true }],
  [['--picture', 'a.svg', 'mine.yml'], { picture: 'a.svg', workflow: 'mine.yml' }],
  [
    ['--input', 'tag=v1.2.2', '--input=note=a=b', 'mine.yml'],
    { workflow: 'mine.yml', inputs: { tag: 'v1.2.2', note: 'a=b' } },
  ],
  [
    ['--var', 'TARGET_GROUP_ARN=', '--var=drain=false', 'mine.yml'],
    { workflow: 'mine.yml', vars: { TARGET_GROUP_ARN: '', DRAIN: 'false' } },
  ],
])('reads %j', (argv, expected) => expect(parseArguments(argv)).toMatchObject(expected));

it.each([
  [
    ['--fail', 'fire'],
    '--fail: "fire" is not a fault; expected bad-image, sick-release, no-database, kill, drop-ssh, deny, slow',
  ],
  [
    ['--fail'],
    '--fail: "" is not a fault; expected bad-image, sick-release, no-database, kill, drop-ssh, deny, slow',
  ],
  [['--input', 'tag'], '--input: "tag" is not NAME=VALUE, such as tag=v1.2.2'],
  [['--var', 'DRAIN'], '--var: "DRAIN" is not NAME=VALUE, such as DRAIN=false'],
  [['--picture'], '--picture: which file?'],
  [['--fast'], '--fast is not an option; see pnpm rehearse --help'],
  [['a.yml', 'b.yml'], 'one workflow at a time: "a.yml" or "b.yml"'],
  [['--seed', 'x'], '--seed: "x" is not a whole number'],
])('refuses %j', (argv, message) => expect(() => parseArguments(argv)).toThrow(message));

it('lists every fault in the usage', () => {
  for (const name of Object.keys(faults)) expect(usage).toContain(name);
});
