import { UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import type { Deadline } from '@lockkeeper/wait';
import { must } from '../host/answer.ts';
import { onHost } from '../host/next-command.ts';
import type { Site } from '../site.ts';
import type { FileSource } from './file-source.ts';
import { type Checkout, explainGit, judgeCheckout, parseCheckout } from './git-checkout.ts';
import { judgeExport, parseExport } from './git-export.ts';
import { isCommitId, resolveRef } from './git-ref.ts';
import * as scripts from './git-scripts.ts';
import type { ReleaseFiles } from './release-files.ts';

type GitSource = Extract<FileSource, { from: 'git' }>;

/** Where commits are fetched from: a remote by name or URL, and the server that the token is for. */
interface Remote {
  name: string;
  server: string;
  token: string;
}

/** Looks at the checkout that the project lies in. */
export async function lookAtCheckout({ context, directory }: Site): Promise<Checkout> {
  const { stdout } = await must(
    context.shell,
    scripts.lookAtCheckout,
    { args: [directory] },
    'cannot look for a git checkout',
  );
  return parseCheckout(stdout, directory);
}

/**
 * Fetches the commit and lays it out below the release's directory; the work tree stays as it is. `resolved` is the
 * commit that another host found the ref to be. Throws UserError that says why it cannot be checked out here.
 */
export async function bringCommit(
  site: Site,
  source: GitSource,
  directory: string,
  { deadline, resolved }: { deadline: Deadline; resolved?: string },
): Promise<ReleaseFiles> {
  const { context, settings, host } = site;
  const { shell, repository, log } = context;
  const checkout = await lookAtCheckout(site);
  const decision = judgeCheckout(checkout, site.directory, shell);
  const remote = remoteOf(source, decision.initialise, repository.url);
  // On a dry run nothing of the host's own changes: what is fetched lies beside the release that is not kept.
  const spare = settings.dryRun ? `${directory}/git` : '';
  const top = decision.initialise && spare ? spare : decision.root;
  if (decision.initialise) {
    if (spare) await must(shell, 'mkdir -p "$1"', { args: [spare] }, 'cannot make a directory');
    log.info(`${host}: making ${site.directory} a checkout of ${repository.url}`);
    await must(shell, scripts.initialise, { args: [top, repository.url] }, 'cannot make a checkout');
  }
  const objects = spare && !decision.initialise ? `${directory}/objects` : '';
  const wanted = resolved ?? source.ref ?? context.commit;
  if (!wanted) throw new UserError('this run has no commit; give git-ref');
  const commit = isCommitId(wanted) ? wanted : await resolve(site, top, remote, wanted, deadline);
  log.info(`${host}: files of commit ${commit}${wanted === commit ? '' : ` (${wanted})`}`);
  await fetch(site, top, remote, { commit, name: source.ref, objects, deadline });
  const known = site.pending ? await commitsInPlace(site) : [];
  const { stdout } = await must(
    shell,
    scripts.exportCommit,
    {
      args: [top, directory, commit, decision.prefix, await baseOf(site, checkout), objects, ...known],
      timeout: deadline.remaining(),
    },
    `cannot lay out commit ${commit}`,
  );
  const exported = parseExport(stdout);
  judgeExport(exported, { host: shell, root: decision.root, commit });
  return {
    from: 'git',
    root: decision.root,
    tree: `${directory}/tree`,
    view: `${directory}/view`,
    content: exported.tree,
    commit,
    changed: exported.differs,
    inPlace: checkout.head === commit,
  };
}

function remoteOf({ token = '' }: GitSource, initialise: boolean, url: string): Remote {
  if (!token) return { name: initialise ? url : 'origin', server: '', token };
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:')
    throw new UserError(`git-token is sent over https only, and ${url} is not https`);
  return { name: url, server: new URL(url).origin, token };
}

async function resolve(
  { context, host }: Site,
  top: string,
  remote: Remote,
  ref: string,
  deadline: Deadline,
): Promise<string> {
  const { code, stdout, stderr } = await context.shell.run(scripts.listRef, {
    args: [top, remote.name, remote.server, ref],
    stdin: remote.token,
    timeout: deadline.remaining(),
    signal: context.signal,
  });
  if (code !== 0) throw explainGit(stderr, context.shell, top);
  const answer = resolveRef(ref, stdout);
  if ('problem' in answer)
    throw new UserError(`git-ref ${ref} ${answer.problem} (asked from ${host})`, {
      next: onHost(context.shell, `git ls-remote ${word(remote.name)}`, top),
    });
  return answer.commit;
}

async function fetch(
  { context, host }: Site,
  top: string,
  remote: Remote,
  { commit, name, objects, deadline }: { commit: string; name?: string; objects: string; deadline: Deadline },
): Promise<void> {
  const { code, stderr } = await context.shell.run(scripts.fetchCommit, {
    args: [top, remote.name, remote.server, commit, name && !isCommitId(name) ? name : '', objects],
    stdin: remote.token,
    timeout: deadline.remaining(),
    signal: context.signal,
  });
  if (code === 66)
    throw new UserError(
      `commit ${commit} is in no branch and no tag of the repository that ${host} fetches from`,
      { next: 'was it pushed? is origin on the host the repository of this workflow?' },
    );
  if (code !== 0) throw explainGit(stderr, context.shell, top);
}

/** What files are compared with to tell which ones change: the commit that the serving release has. */
async function baseOf({ state, serving }: Site, { head }: Checkout): Promise<string> {
  const record = serving ? await state.release(serving).catch(() => undefined) : undefined;
  return record?.git?.commit ?? head ?? '';
}

/** The commits whose files may lie in the work tree after an interrupted run. */
export async function commitsInPlace({ state, pending }: Site): Promise<string[]> {
  const ids = [pending?.from, pending?.to, ...(pending?.placed ?? [])];
  const commits = [pending?.head?.commit];
  for (const id of new Set(ids.filter((one) => one != null)))
    commits.push((await state.release(id).catch(() => undefined))?.git?.commit);
  return [...new Set(commits)].filter((commit) => commit != null);
}
