import { UserError } from '@lockkeeper/action';
import { type Shell, word } from '@lockkeeper/ssh';
import type { ReleaseSettings } from '../settings.ts';
import { lastLine, must } from './answer.ts';
import * as scripts from './login-scripts.ts';
import { onHost } from './next-command.ts';

/**
 * Logs in to the registry in a throw-away Docker config on the host and returns its path. It goes with the
 * lock. Credential helpers are left out of it: they would keep the password beyond the deploy.
 */
export async function logIn(
  shell: Shell,
  registry: NonNullable<ReleaseSettings['registry']>,
  { directory, token, timeout }: { directory: string; token: string; timeout: number },
): Promise<string> {
  const own = await shell.run(scripts.readDockerConfig);
  const { stdout } = await must(
    shell,
    scripts.makeDockerConfig,
    { args: [directory, token], stdin: withoutHelpers(own.stdout, registry.server) },
    'cannot make a Docker config',
  );
  const config = stdout.trim();
  const login = await shell.run(scripts.registryLogin, {
    args: [directory, config, registry.server, registry.username],
    stdin: registry.password,
    timeout,
  });
  if (login.code !== 0) {
    const said = login.stderr || login.stdout;
    const wrong = /unauthorized|denied|incorrect username or password/i.test(said);
    throw new UserError(
      wrong
        ? `${registry.server} refused the login of "${registry.username}" from ${shell.name}: wrong user, password or token, or an expired one`
        : `${shell.name} could not log in to ${registry.server}: ${lastLine(said)}`,
      {
        next: onHost(shell, `docker login --username ${word(registry.username)} ${word(registry.server)}`),
      },
    );
  }
  return config;
}

/** The user's config without what would store this login elsewhere. Pure. */
export function withoutHelpers(config: string, server: string): string {
  let data: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(config);
    if (parsed && typeof parsed === 'object') data = { ...parsed };
  } catch {
    // A config that docker could not read either.
  }
  delete data.credsStore;
  if (data.credHelpers && typeof data.credHelpers === 'object') {
    const helpers = { ...(data.credHelpers as Record<string, unknown>) };
    delete helpers[server];
    data.credHelpers = helpers;
  }
  return JSON.stringify(data);
}
