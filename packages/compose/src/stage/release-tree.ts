import { UserError } from '@lockkeeper/action';
import { lastLine, must } from '../host/answer.ts';
import { onHost } from '../host/next-command.ts';
import * as scripts from '../host/scripts.ts';
import { filesToWrite } from '../record/host-state.ts';
import type { Site } from '../site.ts';
import { type ComposeConfig, parseConfig, parseHashes } from './compose-config.ts';
import { candidates, chooseFiles, composeArguments } from './compose-files.ts';
import { clearedNames } from './env-file.ts';

export interface Sources {
  /** Compose files, relative to the project directory. */
  files: string[];
  /** The env file that lies there. */
  hostEnv?: string;
}

/** The Compose files of this project, by the inputs or as Compose itself chooses, and the env file that lies there. */
export async function lookForFiles({ context, settings, directory }: Site): Promise<Sources> {
  const { stdout } = await must(
    context.shell,
    scripts.lookForFiles,
    { args: [directory, settings.envFilePath, ...candidates(settings.composeFiles)] },
    'cannot look for Compose files',
  );
  const at = stdout.search(/^env$/m);
  const found = new Set(
    [...stdout.slice(0, at < 0 ? undefined : at).matchAll(/^file (.*)$/gm)].map(([, name]) => name!),
  );
  return {
    files: chooseFiles(settings.composeFiles, found, { host: context.shell, directory }),
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

/** Lays out a release's directory: files, env, environment, arguments. Answers what Compose makes of them. */
export async function layOut(
  site: Site,
  release: string,
  { files, env, override }: { files: readonly string[]; env?: string; override?: string },
): Promise<LaidOut> {
  const { settings, directory, host, context } = site;
  if (settings.projectName) site.name = settings.projectName;
  const args = () =>
    lines(
      composeArguments({
        release,
        project: directory,
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
    [`${release}/args`]: args(),
    ...(env === undefined ? {} : { [`${release}/env`]: env }),
    ...(override === undefined ? {} : { [`${release}/override.json`]: override }),
  });
  const result = await context.shell.run(scripts.layOut, {
    args: [...written, '--', directory, site.docker.kind, release, ...files],
    stdin,
    timeout: 60_000,
  });
  if (result.code !== 0)
    throw new UserError(
      `the Compose file in ${directory} on ${host} is not valid: ${lastLine(result.stderr)}`,
      { next: onHost(context.shell, 'docker compose config --quiet', directory) },
    );
  const at = result.stdout.indexOf('config\n{');
  const config = parseConfig(result.stdout.slice(at + 'config\n'.length));
  site.name ||= config.name;
  return { config, hashes: parseHashes(result.stdout.slice(0, at)), args: args() };
}
