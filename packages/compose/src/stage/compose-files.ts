import { UserError } from '@lockkeeper/action';
import { type HostName, onHost } from '../host/next-command.ts';

const bases = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const overrides = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

/** The names to look for in the project directory: those of the input, else all that Compose itself knows. */
export function candidates(wanted: readonly string[]): readonly string[] {
  return wanted.length > 0 ? wanted : [...bases, ...overrides];
}

/**
 * The Compose files of a project among those that are there: all of the input's, else Compose's own choice. `source`
 * is where they come from, if not from the directory itself. Throws UserError. Pure.
 */
export function chooseFiles(
  wanted: readonly string[],
  found: ReadonlySet<string>,
  { host, directory, source }: { host: HostName; directory: string; source?: string },
): string[] {
  const who = source ?? host.name;
  if (wanted.length > 0) {
    const missing = wanted.filter((file) => !found.has(file));
    if (missing.length > 0)
      throw new UserError(`${who} has no ${missing.join(', ')} in ${directory}`, {
        next: source ? 'give compose-files' : onHost(host, 'ls', directory),
      });
    return [...wanted];
  }
  const base = bases.find((file) => found.has(file));
  if (!base)
    throw new UserError(`${who} has no Compose file in ${directory}: none of ${bases.join(', ')}`, {
      next: source ? 'give compose-files' : `give compose-files, or copy one to ${directory}`,
    });
  const override = overrides.find((file) => found.has(file));
  return override ? [base, override] : [base];
}

/** Compose resolves relative paths from the directory of its first file. Pure. */
export function composeDirectory(directory: string, files: readonly string[]): string {
  const parts = (files[0] ?? '')
    .split('/')
    .slice(0, -1)
    .filter((part) => part && part !== '.');
  return [directory, ...parts].join('/');
}

export interface ReleaseTree {
  /** `<project>/.lockkeeper/releases/<id>`, or a throw-away one. */
  release: string;
  project: string;
  name: string;
  files: readonly string[];
  profiles: readonly string[];
  hasEnv: boolean;
  hasOverride: boolean;
}

/** The global arguments that make `docker compose` mean the release that lies in a directory. Pure. */
export function composeArguments(tree: ReleaseTree): string[] {
  const { release, project, name, files, profiles, hasEnv, hasOverride } = tree;
  return [
    ...(name ? ['-p', name] : []),
    '--project-directory',
    composeDirectory(project, files),
    ...files.flatMap((file, index) => ['-f', `${release}/files/${index}-${file.split('/').at(-1)}`]),
    ...(hasOverride ? ['-f', `${release}/override.json`] : []),
    '--env-file',
    hasEnv ? `${release}/env` : '/dev/null',
    ...profiles.flatMap((profile) => ['--profile', profile]),
  ];
}
