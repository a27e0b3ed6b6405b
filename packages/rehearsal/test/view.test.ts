import { describe, expect, it } from '@jest/globals';
import { frame, type Scene } from '../src/frame.ts';
import { logFold } from '../src/view.ts';

it('folds the inputs that the runner prints, and marks what is wrong', () => {
  const fold = logFold();
  const lines = [
    '##[group]Run x@v1',
    'with:',
    '  a: b',
    '##[endgroup]',
    'opened',
    '##[error]no route',
    '##[group]Stack',
    'at x',
    '##[endgroup]',
    '',
  ];
  expect(lines.flatMap(fold)).toEqual(['    opened', '    ✗ no route', '    ▾ Stack', '    at x']);
});

describe('the live picture', () => {
  const scene: Scene = {
    elapsed: 25_400,
    jobs: { done: 2, all: 4 },
    place: 'deploy › Roll the release',
    load: {
      requests: 1199,
      failed: 1,
      perSecond: [
        { requests: 50, failed: 0 },
        { requests: 25, failed: 0 },
        { requests: 51, failed: 1 },
        { requests: 3, failed: 0 },
      ],
    },
    targets: [
      { id: 'i-a', address: '127.77.0.253', state: 'healthy', version: 'a'.repeat(40), since: 3000 },
      {
        id: 'i-b',
        address: '127.77.0.254',
        state: 'draining (Target.DeregistrationInProgress)',
        version: 'v1',
        since: 8200,
      },
    ],
    steps: ['▸ deploy'],
    log: Array.from({ length: 50 }, (_, i) => `line ${i}`),
  };
  const plain = (lines: string[]) => lines.map((line) => line.replace(/\u001b\[\d+m/g, ''));

  it('has one line a target, the load, and where the workflow stands', () =>
    expect(plain(frame(scene, { columns: 100, rows: 12 }))).toEqual([
      'Lockkeeper rehearsal  25 s  ████████░░░░░░░░ 2 of 4 jobs  deploy › Roll the release',
      'Users  1199 requests, 1 failed, 51/s  █▄!',
      '● i-a  127.77.0.253  healthy, 3 s, serves aaaaaaa',
      '◌ i-b  127.77.0.254  draining (Target.DeregistrationInProgress), 8 s, serves v1',
      '',
      '▸ deploy',
      '',
      'line 46',
      'line 47',
      'line 48',
      'line 49',
    ]));

  it('never grows beyond the terminal', () => {
    const lines = plain(frame({ ...scene, steps: ['x'.repeat(300)] }, { columns: 60, rows: 10 }));
    expect([lines.length < 10, Math.max(...lines.map((line) => [...line].length)) < 60]).toEqual([
      true,
      true,
    ]);
  });
});
