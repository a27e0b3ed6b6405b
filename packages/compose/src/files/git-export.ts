import { UserError } from '@lockkeeper/action';
import { type HostName, onHost } from '../host/next-command.ts';

/** What `exportCommit` found; `tree` is '' where the commit was not laid out. */
export interface Exported {
  tree: string;
  /** Tracked files that a person changed on the host. */
  changed: string[];
  /** Files of nobody's that the commit would overwrite. */
  overwritten: string[];
  submodules: string[];
  /** Files that only a program of the filter makes what they are. */
  filtered: Array<{ filter: string; file: string }>;
  /** The commit holds a file below `.lockkeeper`. */
  holdsRecord: boolean;
  /** Files that are not as the serving release has them. */
  differs: string[];
}

/** Reads what `exportCommit` prints. Pure. */
export function parseExport(text: string): Exported {
  const all = (name: string) =>
    [...text.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, rest]) => rest!);
  return {
    tree: /^laid out$/m.test(text) ? (all('tree')[0] ?? '') : '',
    changed: all('changed'),
    overwritten: all('overwritten'),
    submodules: all('submodule'),
    filtered: all('filter').map((line) => {
      const at = line.indexOf(' ');
      return { filter: line.slice(0, at), file: line.slice(at + 1) };
    }),
    holdsRecord: all('record').length > 0,
    differs: all('differs'),
  };
}

/** Throws UserError that names what speaks against checking the commit out on the host. Pure. */
export function judgeExport(
  exported: Exported,
  { host, root, commit }: { host: HostName; root: string; commit: string },
): void {
  const { changed, overwritten, submodules, filtered } = exported;
  if (changed.length > 0)
    throw new UserError(
      `${listed(changed)} ${changed.length > 1 ? 'were' : 'was'} changed by hand on ${host.name}, in ${root}; a deploy does not throw that away`,
      { next: onHost(host, 'git diff', root) },
    );
  if (overwritten.length > 0)
    throw new UserError(
      `commit ${commit} would overwrite ${listed(overwritten)} on ${host.name}, which git does not know there`,
      { next: `move it out of ${root}, or put it into the repository` },
    );
  if (submodules.length > 0)
    throw new UserError(
      `the repository has submodules (${listed(submodules)}), which files: git does not check out`,
      { next: 'take files: upload, after actions/checkout with submodules: true' },
    );
  if (filtered.length > 0)
    throw new UserError(
      `${listed(filtered.map(({ file }) => file))} pass through the git filter ${[...new Set(filtered.map(({ filter }) => filter))].join(', ')}, and files: git runs no filter`,
      {
        next: `take files: upload${filtered.some(({ filter }) => filter === 'lfs') ? ', after actions/checkout with lfs: true' : ''}`,
      },
    );
  if (exported.holdsRecord)
    throw new UserError('the repository holds files below .lockkeeper, where the host keeps its releases', {
      next: 'git rm -r --cached .lockkeeper',
    });
  if (!exported.tree) throw new UserError(`${host.name} did not lay out commit ${commit}`);
}

const shown = 10;

/** A few names, and how many more there are. Pure. */
export function listed(names: readonly string[]): string {
  const first = names.slice(0, shown).join(', ');
  return names.length > shown ? `${first} and ${names.length - shown} more` : first;
}
