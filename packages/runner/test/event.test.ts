import { describe, expect, it } from '@jest/globals';
import { checkTrigger, defaultEvent, matchesFilter, readInputs } from '../src/event.ts';
import { loadWorkflow } from '../src/workflow.ts';

const jobs = 'jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: "true"}]\n';
const withOn = (on: string) => loadWorkflow({ name: 'w.yml', content: `on:\n${on}\n${jobs}` });

describe('filter patterns', () => {
  it.each<[string[], string, boolean]>([
    [['main'], 'main', true],
    [['main'], 'mainly', false],
    [['*'], 'a/b', false],
    [['**'], 'a/b', true],
    [['docs/**'], 'docs/a/b.md', true],
    [['**/*.md'], 'README.md', true],
    [['**.md'], 'a/b.md', true],
    [['releases/**', '!releases/**-alpha'], 'releases/1-alpha', false],
    [['v[12].*'], 'v1.0', true],
    [['a.b'], 'axb', false],
  ])('%j and %s: %s', (patterns, name, matched) => {
    expect(matchesFilter(patterns, name)).toBe(matched);
  });
});

describe('an event', () => {
  it.each<[string, string, string, string[] | undefined, RegExp | undefined]>([
    ['  push:', 'push', 'refs/heads/x', undefined, undefined],
    ['  push: {branches: [main]}', 'push', 'refs/heads/main', undefined, undefined],
    [
      '  push: {branches: [main]}',
      'push',
      'refs/heads/x',
      undefined,
      /w\.yml:2:3: "on.push" leaves out refs\/heads\/x/,
    ],
    ['  push: {branches: [main]}', 'push', 'refs/tags/v1', undefined, /leaves out refs\/tags\/v1/],
    ['  push: {tags: ["v*"]}', 'push', 'refs/tags/v1', undefined, undefined],
    ['  push: {tags: ["v*"]}', 'push', 'refs/heads/main', undefined, /leaves out/],
    ['  push: {branches-ignore: [x]}', 'push', 'refs/heads/x', undefined, /leaves out/],
    ['  push: {paths-ignore: ["**.md"]}', 'push', 'refs/heads/x', ['a.md'], /leaves out the changed files/],
    ['  push: {paths-ignore: ["**.md"]}', 'push', 'refs/heads/x', ['a.md', 'b.ts'], undefined],
    [
      '  push:',
      'schedule',
      'refs/heads/x',
      undefined,
      /does not start on "schedule"; start it by one of: push/,
    ],
  ])('%j, %s of %s with %j changed', async (on, event, ref, files, refusal) => {
    const workflow = await withOn(on);
    const check = () => checkTrigger(workflow, event, { ref }, files);
    if (refusal) expect(check).toThrow(refusal);
    else expect(check()).toEqual([]);
  });

  it('tells of a paths filter that nobody could judge', async () => {
    const workflow = await withOn('  push: {paths: [src/**]}');
    expect(checkTrigger(workflow, 'push', { ref: 'refs/heads/x' }, undefined)).toEqual([
      expect.stringContaining('was not judged'),
    ]);
  });

  it('that nobody names is the usual one of the workflow', async () => {
    expect(defaultEvent(await withOn('  workflow_dispatch:\n  push:'))).toBe('push');
    expect(defaultEvent(await withOn('  schedule: [{cron: "0 3 * * *"}]\n  workflow_dispatch:'))).toBe(
      'workflow_dispatch',
    );
    expect(defaultEvent(await withOn('  release:'))).toBe('release');
  });
});

describe('inputs of a run by hand', () => {
  const on = `  workflow_dispatch:
    inputs:
      tag: {type: string, required: true}
      dry: {type: boolean, default: true}
      count: {type: number, default: 2}
      where: {type: choice, options: [one, two]}
      note: {description: free}`;

  it('get defaults and types', async () => {
    const workflow = await withOn(on);
    expect(readInputs(workflow, 'workflow_dispatch', { TAG: 'v1', dry: 'false' })).toEqual({
      tag: 'v1',
      dry: false,
      count: 2,
      where: 'one',
      note: '',
    });
    expect(readInputs(workflow, 'push', {})).toEqual({});
  });

  it.each<[Record<string, string>, RegExp]>([
    [{}, /^w\.yml:4:7: the input "tag" is required/],
    [{ tag: 'a', dry: 'yes' }, /^w\.yml:5:7: the input "dry" is "yes"; give true or false/],
    [{ tag: 'a', count: 'x' }, /^w\.yml:6:7: the input "count" is "x"; give a number/],
    [{ tag: 'a', where: 'three' }, /^w\.yml:7:7: .* give one of: one, two/],
    [{ tag: 'a', other: 'b' }, /^w\.yml:2:3: there is no input "other"; the workflow takes: tag, dry/],
  ])('%j are refused at their place', async (given, refusal) => {
    const workflow = await withOn(on);
    expect(() => readInputs(workflow, 'workflow_dispatch', given)).toThrow(refusal);
  });
});
