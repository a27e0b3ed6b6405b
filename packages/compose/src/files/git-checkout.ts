import { UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import { lastLine } from '../host/answer.ts';
import { type HostName, onHost } from '../host/next-command.ts';
import { isCommitId } from './git-ref.ts';

/** The checkout that the project directory lies in, as far as there is one. */
export interface Checkout {
  git: boolean;
  /** Its top as the project directory is written: links in the path are not resolved. */
  root?: string;
  /** Of the project below the top: '' or `deploy/`. */
  prefix: string;
  /** Whether the checkout has files in the project directory. */
  tracked: boolean;
  /** Nothing else lies in the project directory. */
  empty: boolean;
  head?: string;
  branch?: string;
  origin: boolean;
  /** What git said when it refused to look. */
  said: string;
}

/** Reads what `lookAtCheckout` prints of a project directory. Pure. */
export function parseCheckout(text: string, directory: string): Checkout {
  const told = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1];
  const prefix = told('prefix') ?? '';
  const written = `${directory}/`;
  const head = told('head');
  return {
    git: told('git') !== 'absent',
    root:
      told('top') && (written.endsWith(`/${prefix}`) ? written.slice(0, -prefix.length - 1) : told('top')),
    prefix,
    tracked: told('tracked') === 'yes',
    empty: told('empty') === 'yes',
    head: head && isCommitId(head) ? head : undefined,
    branch: told('branch'),
    origin: told('origin') === 'yes',
    said: [...text.matchAll(/^said (.*)$/gm)].map(([, line]) => line).join('\n'),
  };
}

/** What to do with a project directory: use the checkout whose top is `root`, or make it one first. */
export interface CheckoutDecision {
  root: string;
  prefix: string;
  initialise: boolean;
}

/** Throws UserError where the project directory cannot be one of `files: git`. Pure. */
export function judgeCheckout(checkout: Checkout, directory: string, host: HostName): CheckoutDecision {
  const { root, prefix, said } = checkout;
  if (!checkout.git)
    throw new UserError(`${host.name} has no git, which files: git needs`, {
      next: onHost(host, 'sudo apt-get install git'),
    });
  if (said) throw explainGit(said, host, directory);
  // The project of another repository, such as a home directory that is one: not ours.
  const foreign = root !== undefined && prefix !== '' && !checkout.tracked;
  if (root !== undefined && !foreign) return { root, prefix, initialise: false };
  if (checkout.empty) return { root: directory, prefix: '', initialise: true };
  throw new UserError(
    foreign
      ? `${directory} on ${host.name} is no git checkout: ${root} is one, and has no files there`
      : `${directory} on ${host.name} is no git checkout, and not empty`,
    { next: 'clone the repository into another directory and give that one, or take files: upload' },
  );
}

/** What git's own words mean for whoever set the workflow up. Pure. */
export function explainGit(words: string, host: HostName, directory: string): UserError {
  // A URL may hold a password.
  const said = words.replace(/\/\/[^/@\s']*@/g, '//');
  const [, owned] = /dubious ownership in repository at '([^']*)'/.exec(said) ?? [];
  if (owned)
    return new UserError(
      `${owned} on ${host.name} belongs to another user than the one who logs in, so git does not touch it`,
      {
        next: onHost(host, `sudo chown -R "$USER" ${word(owned)}`),
      },
    );
  const from = `${host.name} cannot fetch from the repository`;
  if (/host key verification failed/i.test(said))
    return new UserError(`${from}: its host key is not in known_hosts on the host`, {
      next: onHost(host, 'git fetch', directory),
    });
  if (
    /authentication failed|could not read (username|password)|permission denied|repository not found|access denied|terminal prompts disabled|the requested url returned error: 40[134]|invalid username or/i.test(
      said,
    )
  )
    return new UserError(`${from}: it is refused there (${gitLine(said)})`, {
      next: 'give git-token (such as the secret GITHUB_TOKEN, with contents: read), or a deploy key to the host',
    });
  if (/could not resolve host|unable to access|connection (timed out|refused)|could not connect/i.test(said))
    return new UserError(`${from}: it is not reached (${gitLine(said)})`, {
      next: onHost(host, 'git ls-remote origin HEAD', directory),
    });
  if (/does not appear to be a git repository|no such remote/i.test(said))
    return new UserError(`${directory} on ${host.name} has no remote origin to fetch from`, {
      next: 'give git-token, or add the remote origin on the host',
    });
  return new UserError(`git failed on ${host.name}: ${gitLine(said)}`, {
    details: said,
    next: onHost(host, 'git status', directory),
  });
}

/** The line of git's that names the cause; the last is often advice. */
function gitLine(said: string): string {
  const lines = said.split('\n').filter((line) => /^(fatal|error|remote|ssh):/.test(line));
  return lastLine(lines[0] ?? said);
}
