import type { GitHubContext } from '@lockkeeper/action';
import type { HeadCommit } from './lookup.ts';
import { oneLine } from './mrkdwn.ts';

/** The change that the run is about; '' for what is not known. */
export interface Change {
  sha: string;
  ref: { kind: 'branch' | 'tag' | 'pull request'; name: string; url: string };
  /** Of the commit or the pull request, in its author's words. */
  title: string;
  author: string;
  /** Who started the run; undefined where a clock did. */
  by?: string;
}

/**
 * Reads the change from the event that started the run. What the event leaves out (a run by hand has no commit in
 * it) comes from the API. For a pull request the context's own commit is a merge that nobody made, and for
 * `workflow_run` it is the default branch's, whatever the other workflow ran on.
 */
export function changeOf(context: GitHubContext, fromApi?: HeadCommit): Change {
  const { event, serverUrl, repository, actor } = context;
  const commit = asObject(event.head_commit);
  const tree = (name: string, of = repository) =>
    `${serverUrl}/${of}/tree/${oneLine(name).split('/').map(encodeURIComponent).join('/')}`;
  const own: Change = {
    sha: context.sha,
    ref: {
      kind: context.refType === 'tag' ? 'tag' : 'branch',
      name: context.refName,
      url: tree(context.refName),
    },
    title: firstLine(text(commit.message) || (fromApi?.message ?? '')),
    author: text(asObject(commit.author).name) || (fromApi?.author ?? ''),
    by: actor,
  };

  const request = asObject(event.pull_request);
  const head = asObject(request.head);
  if (text(head.ref)) {
    const number = Number(request.number);
    return {
      sha: text(head.sha) || own.sha,
      ref: {
        kind: 'pull request',
        name: `#${number} ${text(head.ref)}`,
        url: `${serverUrl}/${repository}/pull/${number}`,
      },
      title: firstLine(text(request.title)),
      author: text(asObject(request.user).login),
      by: actor,
    };
  }
  const before = asObject(event.workflow_run);
  if (text(before.head_sha)) {
    const commitBefore = asObject(before.head_commit);
    const name = text(before.head_branch);
    const fork = text(asObject(before.head_repository).full_name);
    return {
      sha: text(before.head_sha),
      ref: { kind: 'branch', name, url: tree(name, /^[\w.-]+\/[\w.-]+$/.test(fork) ? fork : repository) },
      title: firstLine(text(commitBefore.message)),
      author: text(asObject(commitBefore.author).name),
      by: actor,
    };
  }
  // Nobody pushed anything: the last commit has no part in whether tonight's backup went well.
  if (context.eventName === 'schedule') return { ...own, title: '', author: '', by: undefined };
  return own;
}

const firstLine = (message: string) => message.trimStart().split('\n', 1)[0]!;

const text = (value: unknown) => (typeof value === 'string' ? value : '');

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
