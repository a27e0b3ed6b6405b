import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { root } from '../tools/manifest.ts';

interface Import {
  file: string;
  /** `actions/compose-deploy` or `packages/wait`. */
  room: string;
  from: string;
}

const sources = ['actions', 'packages'].flatMap((floor) =>
  readdirSync(join(root, floor)).flatMap((room) =>
    (readdirSync(join(root, floor, room, 'src'), { recursive: true, encoding: 'utf8' }) as string[])
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(root, floor, room, 'src', name)),
  ),
);

const imports: Import[] = sources.flatMap((file) => {
  const room = relative(root, file).split('/').slice(0, 2).join('/');
  const text = readFileSync(file, 'utf8');
  return [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)import\s*['"]([^'"]+)['"]/g,
    ),
  ].map((match) => ({ file: relative(root, file), room, from: (match[1] ?? match[2] ?? match[3])! }));
});

const crossing = (allowed: (i: Import) => boolean) =>
  imports.filter((i) => !allowed(i)).map(({ file, from }) => `${file} → ${from}`);
const inRoom = ({ file, room, from }: Import) =>
  !relative(join(root, room), resolve(root, dirname(file), from)).startsWith('..');
const actionNames = readdirSync(join(root, 'actions')).map((name) => `@lockkeeper/${name}`);

it('finds the imports that it judges', () => {
  expect(sources.length).toBeGreaterThan(40);
  expect(imports.filter(({ from }) => from.startsWith('@lockkeeper/')).length).toBeGreaterThan(20);
});

describe('imports', () => {
  it('of a file stay in its room, or name a package', () =>
    expect(crossing((i) => !i.from.startsWith('.') || inRoom(i))).toEqual([]));

  it('never name an action', () =>
    expect(
      crossing(({ from }) => !actionNames.some((name) => from === name || from.startsWith(`${name}/`))),
    ).toEqual([]));

  it('of what ships never name the runner, the lab, the rehearsal or the faults', () => {
    const stage = ['packages/runner', 'packages/lab', 'packages/rehearsal', 'packages/faults'];
    expect(
      crossing(
        ({ room, from }) =>
          stage.includes(room) || !/^@lockkeeper\/(runner|lab|rehearsal|faults)\b/.test(from),
      ),
    ).toEqual([]);
  });

  it('of packages/wait name nothing outside', () =>
    expect(crossing(({ room, from }) => room !== 'packages/wait' || from.startsWith('.'))).toEqual([]));

  it('of @actions/core and @actions/github stand in packages/action alone', () =>
    expect(
      crossing(({ room, from }) => room === 'packages/action' || !/^@actions\/(core|github)$/.test(from)),
    ).toEqual([]));

  it.each([
    ['the AWS SDK', /^@aws-sdk\//, ['packages/aws']],
    ['ssh2', /^ssh2$/, ['packages/ssh', 'packages/lab']],
    ['Slack', /^@slack\/webhook$/, ['actions/slack-notify']],
  ])('of %s stand in its own room', (_, pattern, rooms) =>
    expect(crossing(({ room, from }) => !pattern.test(from) || rooms.includes(room))).toEqual([]),
  );

  it("in an action's main.ts alone name the run contract's defineAction", () => {
    const users = sources
      .filter((file) => /\bdefineAction\b/.test(readFileSync(file, 'utf8')))
      .map((file) => relative(root, file));
    expect(users.filter((file) => file.startsWith('actions/') && !file.endsWith('/src/main.ts'))).toEqual([]);
  });
});

it('gives each package at least two users, or is a program of its own', () => {
  const users = (name: string) =>
    new Set(
      imports
        .filter(({ room, from }) => room !== `packages/${name}` && from.startsWith(`@lockkeeper/${name}`))
        .map(({ room }) => room),
    );
  const programs = ['runner', 'lab', 'rehearsal', 'faults'];
  const lonely = readdirSync(join(root, 'packages')).filter(
    (name) => !programs.includes(name) && users(name).size < 2,
  );
  expect(lonely).toEqual([]);
});
