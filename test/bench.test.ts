import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parseArguments } from './bench/arguments.ts';
import { costOf } from './bench/cost.ts';
import { median, renderMarkdown, renderText, type Section } from './bench/figures.ts';
import { type BenchRecord, benchDocument, benchSummary } from './bench/record.ts';
import { sshSection } from './bench/ssh.ts';
import { startSection } from './bench/start.ts';

describe('pnpm bench', () => {
  it('takes its options in either form', () =>
    expect(parseArguments(['--only', 'ssh,cost', '--runs=3', '--delays', '6,300', '--record'])).toEqual({
      only: ['ssh', 'cost'],
      runs: 3,
      delays: [6, 300],
      record: true,
    }));

  it.each([
    [['--only', 'shh'], '--only: "shh" is not measured; expected deploy, server, start, ssh, cost'],
    [['--runs', '0'], '--runs: "0" is not a whole number from 1 to 99'],
    [['--delays', '6,x'], '--delays: "x" is not a whole number from 0 to 3600'],
    [['--json'], '--json needs the name of a file'],
    [['--fast'], '--fast is not an option; see pnpm bench --help'],
  ])('refuses %j in one line', (argv, message) => expect(() => parseArguments(argv)).toThrow(message));

  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
  ])('takes the middle of %j', (values, middle) => expect(median(values)).toBe(middle));

  it('calls nothing the middle of nothing', () => expect(() => median([])).toThrow('nothing was measured'));

  const section: Section = {
    name: 'x',
    title: 'Boats',
    columns: [
      { key: 'name', heading: '' },
      { key: 'ms', heading: 'time (ms)' },
      { key: 'ratio', heading: 'ours | theirs', digits: 2 },
    ],
    rows: [{ name: 'a long name', ms: 12.4, ratio: 0.514 }, { name: 'b' }],
    notes: ['By hand.'],
  };

  it('shows a table with numbers to the right', () =>
    expect(renderText(section)).toBe(
      [
        'Boats',
        '               time (ms)  ours | theirs',
        '  a long name         12           0.51',
        '  b                    –              –',
        '  By hand.',
        '',
      ].join('\n'),
    ));

  it('shows the same in Markdown', () =>
    expect(renderMarkdown(section)).toBe(
      [
        '**Boats**',
        '',
        '|  | time (ms) | ours \\| theirs |',
        '| --- | ---: | ---: |',
        '| a long name | 12 | 0.51 |',
        '| b | – | – |',
        '',
        'By hand.',
        '',
      ].join('\n'),
    ));
});

describe('what was recorded', () => {
  const temp = mkdtempSync(join(tmpdir(), 'lockkeeper-bench-'));
  afterAll(() => rmSync(temp, { recursive: true, force: true }));
  const section = (name: string, title: string): Section => ({
    name,
    title,
    columns: [{ key: 'ours', heading: 'ours (s)' }],
    rows: [{ ours: 41.6 }],
    notes: [`How ${name} was measured.`],
  });
  const record: BenchRecord = {
    date: '2026-11-26',
    commit: '0a1b2c3d4e',
    machine: '2 cores',
    command: 'pnpm bench --record',
    sections: [section('deploy', 'Two hosts'), section('ssh', 'SSH')],
  };
  const path = join(temp, 'bench.json');
  writeFileSync(path, JSON.stringify(record));
  const made = 'Measured on 2026-11-26 at 0a1b2c3d4e by `pnpm bench --record`: 2 cores.';

  it('shows in the README whole deploys alone, with where they come from', () =>
    expect(benchSummary(path)).toBe(`${made}\n\n**Two hosts**\n\n| ours (s) |\n| --- |\n| 42 |`));

  it('shows in its own document everything, with how it was measured', () => {
    const text = benchDocument(path);
    for (const part of [
      made,
      '**Two hosts**',
      'How deploy was measured.',
      '**SSH**',
      'How ssh was measured.',
    ])
      expect(text).toContain(part);
  });

  it('is said not to be there where nothing was', () => {
    for (const show of [benchSummary, benchDocument])
      expect(show(join(temp, 'none.json'))).toContain('Not recorded yet: `pnpm bench --record`.');
  });
});

describe('what a roll costs', () => {
  it('grows with the batches, and not with the square of the targets', async () => {
    const [few, many] = [await costOf(4, 1, 1), await costOf(40, 1, 1)];
    expect(many.changes).toBe(few.changes * 10);
    expect(many.looks / few.looks).toBeCloseTo(10, 0);
    expect(many.seconds / few.seconds).toBeCloseTo(10, 0);
  });

  it('is that of its batches, however many targets are in one', async () => {
    const [few, many] = [await costOf(4, 1, 2), await costOf(40, 1, 20)];
    expect(many).toEqual(few);
  });
});

it('measures the start-up of every bundle beside an empty process', async () => {
  const { rows } = await startSection(5);
  expect(rows.map(({ name }) => name)).toEqual([
    'an empty Node process',
    'compose-deploy',
    'ephemeral-ssh-ingress',
    'health-gate',
    'rolling-alb-deploy',
    'slack-notify',
  ]);
  // No start without loading something; figures that say so were not measured.
  for (const { name, msRatio, mb } of rows.slice(1))
    expect({ name, slower: Number(msRatio) > 1, mb: Number(mb) > 40 }).toEqual({
      name,
      slower: true,
      mb: true,
    });
});

it("measures our SSH client beside OpenSSH's on a real server, or says why not", async () => {
  const { rows, notes } = await sshSection({ rounds: 1, commands: 1, mb: 1 });
  if (rows.length === 0) expect(notes).toEqual([expect.stringMatching(/^Not measured: /)]);
  else
    expect(rows.map(({ what, ratio }) => [what, Number(ratio) > 0])).toEqual([
      ['connect and run one command', true],
      ['1 commands', true],
      ['1 MB of output', true],
    ]);
});
