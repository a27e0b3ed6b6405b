import type { Deadline } from '@lockkeeper/wait';
import type { ReleaseFiles } from '../files/release-files.ts';
import type { Container } from '../host/containers.ts';
import type { PresentImage } from '../host/docker.ts';
import { logIn } from '../host/registry-login.ts';
import type { ReleaseImage } from '../outcome.ts';
import type { Site } from '../site.ts';
import { buildImages } from './build.ts';
import { whatToBuild } from './build-plan.ts';
import type { ComposeConfig } from './compose-config.ts';
import {
  type ImageQuestion,
  keepTags,
  movedByPull,
  releaseImages,
  wantedImages,
  whatToPull,
} from './images.ts';

interface Staging {
  /** The release's directory on the host. */
  directory: string;
  config: ComposeConfig;
  services: readonly string[];
  pins: Readonly<Record<string, string>>;
  containers: readonly Container[];
  /** What the references of the Compose file stand for before the pull. */
  before: ReadonlyMap<string, PresentImage>;
  /** The release's own files, where it has any. */
  files?: ReleaseFiles;
  deadline: Deadline;
}

/** Brings the release's images to the host and keeps them there; what the host's own tags mean stays as it was. */
export async function bringImages(
  site: Site,
  { directory, config, services, pins, containers, before, files, deadline }: Staging,
): Promise<Record<string, ReleaseImage>> {
  const { docker, settings, host, context } = site;
  const named = settings.services.length > 0 ? settings.services : services;
  const question: ImageQuestion = { config, services, named, pins, containers, host };
  const here = new Set(before.keys());
  const building = settings.images.from === 'build' ? whatToBuild(question, here) : [];
  const builds = new Set(building.flatMap((service) => config.services[service]?.image ?? []));
  const pulls = whatToPull(question, here, builds);
  let built = new Map<string, string>();
  const login = settings.registry
    ? await logIn(context.shell, settings.registry, {
        directory: site.directory,
        token: context.lockToken,
        timeout: deadline.remaining(),
      })
    : '';
  try {
    for (const pin of pulls.pinned)
      await docker.docker(['pull', pin], `cannot pull ${pin}`, { login, timeout: deadline.remaining() });
    if (pulls.services.length > 0) {
      context.log.info(`${host}: pulling ${pulls.services.join(', ')}`);
      await docker.compose(directory, ['pull', '--quiet', ...pulls.services], 'cannot pull', {
        login,
        timeout: deadline.remaining(),
      });
    }
    if (settings.images.from === 'build')
      built = await buildImages(site, {
        ...{ directory, config, services: building, settings: settings.images, files, login, deadline },
      });
  } finally {
    if (login) await site.state.remove(login);
  }
  const wanted = wantedImages(question, built);
  const images = releaseImages(config, wanted, await docker.images([...wanted.values()]), host);
  await docker.tag([...keepTags(site.name, context.release, images), ...movedByPull(before, images)]);
  return images;
}

/** For a dry run: what is known without pulling and building. */
export async function imagesAtHand(
  { docker, settings }: Site,
  { config, services, pins }: Pick<Staging, 'config' | 'services' | 'pins'>,
): Promise<Record<string, ReleaseImage>> {
  const builds = (service: string) =>
    settings.images.from === 'build' && config.services[service]?.build !== undefined && !pins[service];
  const wanted = services.flatMap((service) => {
    const reference = pins[service] ?? config.services[service]?.image;
    return reference ? [[service, reference] as const] : [];
  });
  const present = await docker.images(wanted.map(([, reference]) => reference));
  return Object.fromEntries(
    wanted.map(([service, reference]) => [
      service,
      {
        reference: config.services[service]?.image ?? reference,
        id: builds(service) ? 'built anew' : (present.get(reference)?.id ?? 'not pulled yet'),
      },
    ]),
  );
}
