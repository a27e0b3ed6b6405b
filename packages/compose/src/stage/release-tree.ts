import { UserError } from '@lockkeeper/action';
import { moved, type ReleaseFiles } from '../files/release-files.ts';
import { lastLine, must } from '../host/answer.ts';
import { onHost } from '../host/next-command.ts';
import { filesToWrite } from '../record/host-state.ts';
import type { Site } from '../site.ts';
import { type ComposeConfig, parseConfig, parseHashes } from './compose-config.ts';
import { candidates, chooseFiles, composeArguments } from './compose-files.ts';
import { clearedNames } from './env-file.ts';
import * as scripts from './release-scripts.ts';

export interface Sources {
  /** Compose files, relative to the project directory. */
  files: string[];
  /** The env file that lies there. */
  hostEnv?: string;
}

/**
 * The Compose files of this project, by the inputs or as Compose itself chooses, and the env file that lies there:
 * in the project directory, or among the release's `own` files.
 */
export async function lookForFiles(
  { context, settings, directory }: Site,
  { own, wanted = settings.composeFiles }: { own?: ReleaseFiles; wanted?: readonly string[] } = {},
): Promise<Sources> {
  const { stdout } = await must(
    context.shell,
    scripts.lookForFiles,
    {
      args: [own ? projectInView(own, directory) : directory, settings.envFilePath, ...candidates(wanted)],
    },
    'cannot look for Compose files',
  );
  const at = stdout.search(/^env$/m);
  const found = new Set(
    [...stdout.slice(0, at < 0 ? undefined : at).matchAll(/^file (.*)$/gm)].map(([, name]) => name!),
  );
  return {
    files: chooseFiles(wanted, found, {
      host: context.shell,
      directory,
      source: own && (own.commit ? `commit ${own.commit}` : 'what is uploaded'),
    }),
    hostEnv: at < 0 ? undefined : stdout.slice(at + 'env\n'.length),
  };
}

export interface LaidOut {
  config: ComposeConfig;
  /** Compose's own hash of each service. */
  hashes: Record<string, string>;
  /** The text of the file `args`, the project's name included. */
  args: string;
}

const lines = (items: readonly string[]) => items.map((item) => `${item}\n`).join('');

interface Layout {
  /** Compose files, relative to the project directory. */
  files: readonly string[];
  env?: string;
  override?: string;
  /** The release's own files, where it has any: what is not in place yet is read there. */
  own?: ReleaseFiles;
}

/**
 * Lays out a release's directory: files, env, environment, arguments. Answers what Compose makes of them, as it
 * will once they are in place.
 */
export async function layOut(
  site: Site,
  release: string,
  { files, env, override, own }: Layout,
): Promise<LaidOut> {
  const { settings, directory, host, context } = site;
  if (settings.projectName) site.name = settings.projectName;
  const home = own ? projectInView(own, directory) : directory;
  const args = (project: string) =>
    lines(
      composeArguments({
        release,
        project,
        name: site.name,
        files,
        profiles: settings.profiles,
        hasEnv: env !== undefined,
        hasOverride: override !== undefined,
      }),
    );
  const { args: written, stdin } = filesToWrite({
    [`${release}/environment`]: lines(
      Object.entries(settings.environment).map(([name, value]) => `${name}=${value}`),
    ),
    [`${release}/cleared`]: lines(clearedNames(settings.envFile)),
    [`${release}/args`]: args(home),
    ...(env === undefined ? {} : { [`${release}/env`]: env }),
    ...(override === undefined ? {} : { [`${release}/override.json`]: override }),
  });
  const result = await context.shell.run(scripts.layOut, {
    args: [
      ...[...written, '--', home, site.docker.kind, release],
      ...(own ? [own.view, own.root] : ['', '']),
      ...files,
    ],
    stdin,
    timeout: 60_000,
  });
  if (result.code !== 0)
    throw new UserError(
      `the Compose file in ${directory} on ${host} is not valid: ${lastLine(result.stderr)}`,
      { next: onHost(context.shell, 'docker compose config --quiet', directory) },
    );
  if (own && result.stdout.includes(own.view.split('/').slice(-2).join('/')))
    throw new UserError(
      `the path ${directory} on ${host} has characters that keep files: ${own.from} from working`,
    );
  const at = result.stdout.indexOf('config\n{');
  const config = parseConfig(result.stdout.slice(at + 'config\n'.length));
  site.name ||= config.name;
  return { config, hashes: parseHashes(result.stdout.slice(0, at)), args: args(directory) };
}

/** The project directory as it will look. Pure. */
export function projectInView({ root, view }: ReleaseFiles, directory: string): string {
  return moved(directory, root, view) ?? view;
}
