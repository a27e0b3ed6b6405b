import { describe, expect, it } from '@jest/globals';
import { context } from '../docs/scenes.ts';
import { changeOf } from '../src/change.ts';

const server = 'https://github.com/octo';
const of = (part: Partial<typeof context>, fromApi?: Parameters<typeof changeOf>[1]) =>
  changeOf({ ...context, ...part }, fromApi);

describe('the change that a run is about', () => {
  it('is, of a push, the commit that was pushed', () =>
    expect(of({})).toEqual({
      sha: context.sha,
      ref: { kind: 'branch', name: 'main', url: `${server}/app/tree/main` },
      title: 'Ask for <b>both</b> addresses & keep the order (#812)',
      author: 'Mona Lisa',
      by: 'octo',
    }));

  it('is, of a tag, named by the tag', () =>
    expect(of({ refType: 'tag', refName: 'v1.2' }).ref).toEqual({
      kind: 'tag',
      name: 'v1.2',
      url: `${server}/app/tree/v1.2`,
    }));

  it('is, of a pull request, its head, and not the merge that nobody made', () =>
    expect(
      of({
        refName: '7/merge',
        event: {
          pull_request: {
            number: 7,
            title: 'Fix it',
            head: { ref: 'fix', sha: 'f1x' },
            user: { login: 'mona' },
          },
        },
      }),
    ).toEqual({
      sha: 'f1x',
      ref: { kind: 'pull request', name: '#7 fix', url: `${server}/app/pull/7` },
      title: 'Fix it',
      author: 'mona',
      by: 'octo',
    }));

  it('is, after another workflow, what that one ran on', () =>
    expect(
      of({
        eventName: 'workflow_run',
        event: {
          workflow_run: {
            head_sha: 'c1',
            head_branch: 'fix/a b',
            head_commit: { message: '\nOne\ntwo', author: { name: 'Mona' } },
            head_repository: { full_name: 'mona/app' },
          },
        },
      }),
    ).toEqual({
      sha: 'c1',
      ref: { kind: 'branch', name: 'fix/a b', url: 'https://github.com/mona/app/tree/fix/a%20b' },
      title: 'One',
      author: 'Mona',
      by: 'octo',
    }));

  it('is, of a run by hand, what the API tells, because the event does not', () =>
    expect(
      of({ eventName: 'workflow_dispatch', event: {} }, { message: 'One\ntwo', author: 'Mona' }),
    ).toMatchObject({
      title: 'One',
      author: 'Mona',
      by: 'octo',
    }));

  it('is, of a schedule, nobody’s: the last commit has no part in it', () => {
    const change = of({ eventName: 'schedule', event: {} }, { message: 'One', author: 'Mona' });
    expect(change).toMatchObject({ title: '', author: '', sha: context.sha });
    expect(change).not.toHaveProperty('by', expect.anything());
  });

  it.each([
    [{ head_commit: null }],
    [{ head_commit: 7, pull_request: 'x', workflow_run: [] }],
    [{ pull_request: { head: null } }],
  ])('is as much as can be read of %j', (event) =>
    expect(of({ event })).toMatchObject({ sha: context.sha, title: '', author: '' }),
  );

  it('links no repository whose name is none', () =>
    expect(
      of({
        event: {
          workflow_run: { head_sha: 'c', head_branch: 'b', head_repository: { full_name: 'a/../../evil' } },
        },
      }).ref.url,
    ).toBe(`${server}/app/tree/b`));
});
