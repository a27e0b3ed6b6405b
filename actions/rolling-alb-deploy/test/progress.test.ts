import { expect, it } from '@jest/globals';
import { Progress } from '../src/roll/progress.ts';
import { record } from './stand.ts';

const hosts = [
  record('i-a'),
  record('i-b', { batch: 1 }),
  record('i-c', { batch: 1 }),
  record('i-d', { batch: 2 }),
];
const takeOut = (...ids: string[]) => ({ step: 'take-out' as const, hosts: ids });

it('tells which batch begins, how many hosts are done, and about how long it still takes', () => {
  const progress = new Progress(hosts, 1_000);
  expect(progress.line(hosts, takeOut('i-a'), 1_000)).toBe('batch 1 of 3: i-a (0 of 4 hosts done)');
  const later = [{ ...hosts[0]!, finished: true }, ...hosts.slice(1)];
  expect(progress.line(later, takeOut('i-b', 'i-c'), 61_000)).toBe(
    'batch 2 of 3: i-b, i-c (1 of 4 hosts done, about 2 min left)',
  );
});

it('tells who is taken back, and says nothing of other steps', () => {
  const progress = new Progress(hosts, 0);
  const back = hosts.map((host) => ({ ...host, goal: 'old' as const, finished: host.batch === 2 }));
  expect(progress.line(back, takeOut('i-b', 'i-c'), 0)).toBe('taking back i-b, i-c (2 batches to go)');
  expect(progress.line(hosts, { step: 'drain', hosts: ['i-a'] }, 0)).toBeUndefined();
});
