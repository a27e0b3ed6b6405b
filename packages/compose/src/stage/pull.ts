import type { Deadline } from '@lockkeeper/wait';
import type { ReleaseFiles } from '../files/release-files.ts';
import type { Container } from '../host/containers.ts';
import type { PresentImage } from '../host/images.ts';
import { logIn } from '../host/registry-login.ts';
import type { ReleaseImage } from '../outcome.ts';
import type { Site } from '../site.ts';
import { imagesToTransfer, transferImages } from '../transfer/transfer.ts';
import { referencesToBring } from '../transfer/what-to-send.ts';
import { buildImages } from './build.ts';
import { whatToBuild } from './build-plan.ts';
import type { ComposeConfig } from './compose-config.ts';
import {
  type ImageQuestion,
  keepTag,
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
  const made =
    settings.images.from === 'transfer'
      ? await transferImages(site, referencesToBring(question, here), {
          deadline,
          preferred: idsInUse(containers, before),
          tagOf: (reference) => keepTag(site.name, context.release, serviceOf(config, services, reference)),
        })
      : await pullAndBuild(site, question, here, { directory, files, deadline });
  const wanted = wantedImages(question, made);
  const images = releaseImages(config, wanted, await docker.images([...wanted.values()]), host);
  await docker.tag([...keepTags(site.name, context.release, images), ...movedByPull(before, images)]);
  return images;
}

/** From the registries, and from what the release brings along; answers by what built images are found. */
async function pullAndBuild(
  site: Site,
  question: ImageQuestion,
  here: ReadonlySet<string>,
  { directory, files, deadline }: Pick<Staging, 'directory' | 'files' | 'deadline'>,
): Promise<Map<string, string>> {
  const { docker, settings, host, context } = site;
  const { config } = question;
  const building = settings.images.from === 'build' ? whatToBuild(question, here) : [];
  const builds = new Set(building.flatMap((service) => config.services[service]?.image ?? []));
  const pulls = whatToPull(question, here, builds);
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
    if (settings.images.from !== 'build') return new Map();
    return await buildImages(site, {
      ...{ directory, config, services: building, settings: settings.images, files, login, deadline },
    });
  } finally {
    if (login) await site.state.remove(login);
  }
}

/** The first service that has the image. */
function serviceOf(config: ComposeConfig, services: readonly string[], reference: string): string {
  return services.find((service) => config.services[service]?.image === reference)!;
}

/** What runs, or is named here: of two copies of an image those that change nothing. */
function idsInUse(containers: readonly Container[], before: ReadonlyMap<string, PresentImage>): string[] {
  return [...containers.map(({ image }) => image), ...[...before.values()].map(({ id }) => id)];
}

/** For a dry run: what is known without bringing anything. */
export async function imagesAtHand(
  site: Site,
  { config, services, pins, containers }: Pick<Staging, 'config' | 'services' | 'pins' | 'containers'>,
): Promise<Record<string, ReleaseImage>> {
  const { docker, settings, host } = site;
  const builds = (service: string) =>
    settings.images.from === 'build' && config.services[service]?.build !== undefined && !pins[service];
  const wanted = services.flatMap((service) => {
    const reference = pins[service] ?? config.services[service]?.image;
    return reference ? [[service, reference] as const] : [];
  });
  const present = await docker.images(wanted.map(([, reference]) => reference));
  const named = settings.services.length > 0 ? settings.services : services;
  const question = { config, services, named, pins, containers, host };
  const sent =
    settings.images.from === 'transfer'
      ? await imagesToTransfer(
          site,
          referencesToBring(question, new Set(present.keys())),
          idsInUse(containers, present),
        )
      : new Map<string, string>();
  return Object.fromEntries(
    wanted.map(([service, reference]) => [
      service,
      {
        reference: config.services[service]?.image ?? reference,
        id: builds(service)
          ? 'built anew'
          : (sent.get(reference) ?? present.get(reference)?.id ?? 'not pulled yet'),
      },
    ]),
  );
}
