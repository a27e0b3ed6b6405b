import { UserError } from '@lockkeeper/action';
import type { Deadline } from '@lockkeeper/wait';
import type { ReleaseFiles } from '../files/release-files.ts';
import { must } from '../host/answer.ts';
import { onHost } from '../host/next-command.ts';
import type { Site } from '../site.ts';
import { buildOverride, checkRoom, ignoresRecord, parseRoom, recordInContext } from './build-plan.ts';
import * as scripts from './build-scripts.ts';
import type { ComposeConfig } from './compose-config.ts';
import type { BuildSettings } from './image-source.ts';
import { keepTag } from './images.ts';

interface Build {
  /** The release's directory on the host. */
  directory: string;
  config: ComposeConfig;
  /** In the order of the build. */
  services: readonly string[];
  settings: BuildSettings;
  files?: ReleaseFiles;
  login: string;
  deadline: Deadline;
}

/**
 * Builds images on the host. They get tags of our own: what the references of the Compose file stand for stays as
 * it is until the switch. Answers reference → tag.
 */
export async function buildImages(site: Site, build: Build): Promise<Map<string, string>> {
  const { directory, config, services, settings, login, deadline } = build;
  const { docker, state, context, host } = site;
  if (services.length === 0) return new Map();
  const { stdout } = await context.shell.run(scripts.roomToBuild, { timeout: 30_000 });
  checkRoom(parseRoom(stdout), context.shell);
  const tagOf = (service: string) => keepTag(site.name, context.release, service);
  const file = `${directory}/build.json`;
  const copies = `${directory}/build`;
  try {
    const overrides = await Promise.all(
      services.map(async (service) => {
        const { build: own } = config.services[service]!;
        const copy = await shield(site, service, build, `${copies}/${service}`);
        return [
          service,
          buildOverride(own!, { tag: tagOf(service), files: build.files, args: settings.args, copy }),
        ];
      }),
    );
    await state.write({ [file]: JSON.stringify({ services: Object.fromEntries(overrides) }) });
    const flags = settings.noCache ? ['--no-cache'] : [];
    for (const some of settings.parallel ? [services] : services.map((service) => [service])) {
      context.log.info(`${host}: building ${some.join(', ')}`);
      await docker.build(directory, file, [...flags, ...some], `cannot build ${some.join(', ')}`, {
        login,
        timeout: deadline.remaining(),
      });
    }
  } catch (error) {
    // No record will know of what was built before one failed.
    await docker.drop({ names: services.map(tagOf) }).catch(() => {});
    throw error;
  } finally {
    await state.remove(file, copies);
  }
  return new Map(services.map((service) => [config.services[service]!.image!, tagOf(service)]));
}

/** Keeps our record out of the image of a service: answers the Dockerfile to build from instead, where it needs one. */
async function shield(
  { context, directory }: Site,
  service: string,
  { config, files }: Build,
  copy: string,
): Promise<string | undefined> {
  const { shell } = context;
  const record = recordInContext(config.services[service]!.build!, directory, files);
  for (const path of record.guarded) {
    const { stdout } = await shell.run(scripts.readIgnoreFile, { args: [path] });
    if (!ignoresRecord(stdout))
      throw new UserError(
        `the build of ${service} would read ${directory}/.lockkeeper on ${shell.name}, where env files of releases lie`,
        { next: onHost(shell, 'echo .lockkeeper >>.dockerignore', path) },
      );
  }
  if (!record.copy) return undefined;
  await must(
    shell,
    scripts.copyDockerfile,
    { args: [copy, record.copy.context, record.copy.dockerfile] },
    `cannot read the Dockerfile of ${service}`,
  );
  return copy;
}
