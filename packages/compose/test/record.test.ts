import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { HostState, parseCurrent } from '../src/record/host-state.ts';
import { writeFiles } from '../src/record/record-scripts.ts';
import { type LocalHost, localHost, shells } from './local-host.ts';

const hosts: LocalHost[] = [];
afterAll(async () => {
  for (const host of hosts) await host.close();
});

describe.each(shells)('a file of the record, where the host has %s', (kind) => {
  it.each([
    ['before a line of it came', ''],
    ['between two lines', 'new\n'],
    ['within a line', 'new\nnew'],
  ])('stays what it was when whoever writes it is killed %s', async (_when, came) => {
    const host = await localHost(kind);
    hosts.push(host);
    const state = new HostState(host, host.directory);
    const file = join(state.path, 'pending.json');
    await state.write({ [file]: 'old\nold\n' });
    const { code, stderr } = await host.run(writeFiles, { args: [file, '2'], stdin: came });
    expect({ code, stderr }).toEqual({ code: 74, stderr: `${file} did not come whole\n` });
    expect(await state.read(file)).toBe('old\nold\n');
    expect(await state.read(`${file}.part`)).toBeUndefined();
  });
});

const release = '20261121-031200-a1b2c3d-x7k2';
const pending = {
  ...{ version: 1, token: 'a1', to: release, from: null, at: '', runUrl: '', phase: 'placed' },
  ...{ containers: {}, tags: {} },
};

it.each([
  ['nothing', '\n', { serving: undefined, unreadable: false }],
  ['what serves', `${release}\n`, { serving: release, unreadable: false }],
  ['what is under way', `\n${JSON.stringify(pending)}`, { pending: { to: release }, unreadable: false }],
  ['half of a record', '\n{"version":1,', { pending: undefined, unreadable: true }],
  [
    'the record of a later version',
    `\n${JSON.stringify({ ...pending, version: 2 })}`,
    { pending: undefined, unreadable: true },
  ],
])('a record that tells %s is read as that', (_what, text, current) => {
  expect(parseCurrent(text)).toMatchObject(current);
});
