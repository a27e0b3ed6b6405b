import { UserError } from '@lockkeeper/action';
import type { Container } from '../host/containers.ts';
import type { PresentImage } from '../host/images.ts';
import type { ReleaseImage } from '../outcome.ts';
import { repositoryOf } from '../record/staging-note.ts';
import type { ComposeConfig } from './compose-config.ts';

/** Whether `docker tag` can make the reference stand for another image: not for a digest or an id. */
export function movable(reference: string): boolean {
  return !reference.includes('@') && !reference.startsWith('sha256:');
}

/** The references of images that a deploy moves, each once. */
export function movableReferences(images: Readonly<Record<string, ReleaseImage>>): string[] {
  return [...new Set(Object.values(images).map(({ reference }) => reference))].filter(movable);
}

/** A tag of our own keeps an image on the host for as long as its release is kept. */
export function keepTag(project: string, release: string, service: string): string {
  return `lockkeeper/${project}:${service}-${release}`;
}

/** Pairs of id and tag, as `docker tag` wants them; one tag is enough to keep an image. */
export function keepTags(
  project: string,
  release: string,
  images: Readonly<Record<string, ReleaseImage>>,
): string[] {
  const services = new Map(Object.entries(images).map(([service, { id }]) => [id, service]));
  return [...services].flatMap(([id, service]) => [id, keepTag(project, release, service)]);
}

/** What decides on the image of each service. */
export interface ImageQuestion {
  config: ComposeConfig;
  /** All that the release covers. */
  services: readonly string[];
  /** What was asked for; the others are there because something depends on them. */
  named: readonly string[];
  /** Service → `repository@sha256:…`. */
  pins: Readonly<Record<string, string>>;
  containers: readonly Container[];
  host: string;
}

export interface Pulls {
  /** References with a digest, for `docker pull`. */
  pinned: string[];
  /** Services, for `docker compose pull`. */
  services: string[];
}

/**
 * What to pull: what was asked for, and what it depends on only where that is not here. `present` are the
 * references that are on the host, `built` those that are built. Throws UserError for a service that has no
 * image. Pure.
 */
export function whatToPull(
  question: ImageQuestion,
  present: ReadonlySet<string>,
  built: ReadonlySet<string> = new Set(),
): Pulls {
  const { config, services, named, pins, containers, host } = question;
  const running = new Set(containers.map(({ service }) => service));
  const pulls: Pulls = { pinned: [], services: [] };
  for (const service of services) {
    const { image: reference = '', namesImage = false } = config.services[service] ?? {};
    const pin = pins[service];
    if (pin) pulls.pinned.push(pin);
    // What is made here is not pulled, and an image by its id is in no registry.
    else if (built.has(reference) || reference.startsWith('sha256:')) continue;
    else if (!named.includes(service) && (present.has(reference) || running.has(service))) continue;
    else if (namesImage) pulls.services.push(service);
    else
      throw new UserError(`${service} on ${host} is built, not pulled (no image: in the Compose file)`, {
        next: 'give images: build',
      });
  }
  return pulls;
}

/**
 * Service → the reference or id by which the release's image is found on the host after the pull. `built` are
 * references that were built → by what they are found. Pure.
 */
export function wantedImages(
  question: ImageQuestion,
  built: ReadonlyMap<string, string> = new Map(),
): Map<string, string> {
  const { config, services, named, pins, containers } = question;
  const told = new Set(named.map((service) => config.services[service]?.image));
  return new Map(
    services.map((service) => {
      const reference = config.services[service]?.image ?? '';
      // Not deployed, only depended on: its tag may have moved on the host, and it must stay what it is.
      const running = containers.find((container) => container.service === service && !container.oneOff);
      const stays = running && !named.includes(service) && !pins[service] && !told.has(reference);
      return [service, stays ? running.image : (pins[service] ?? built.get(reference) ?? reference)];
    }),
  );
}

/** The images of the release by what is on the host. Throws UserError where one lacks or two contradict. Pure. */
export function releaseImages(
  config: ComposeConfig,
  wanted: ReadonlyMap<string, string>,
  present: ReadonlyMap<string, PresentImage>,
  host: string,
): Record<string, ReleaseImage> {
  const images: Record<string, ReleaseImage> = {};
  const byReference = new Map<string, { service: string; id: string }>();
  for (const [service, reference] of wanted) {
    const image = present.get(reference);
    if (!image) throw new UserError(`${reference} is not on ${host} after the pull`);
    const inFile = config.services[service]!.image!;
    const other = byReference.get(inFile);
    if (other && other.id !== image.id && movable(inFile))
      throw new UserError(
        `${service} and ${other.service} both have image: ${inFile}, but were given different images`,
        { next: `name both in the input image, with the same digest` },
      );
    byReference.set(inFile, { service, id: image.id });
    const repository = repositoryOf(reference);
    images[service] = {
      reference: inFile,
      id: image.id,
      digest: reference.includes('@')
        ? reference
        : image.digests.find((digest) => digest.startsWith(`${repository}@`)),
    };
  }
  return images;
}

/** Pairs that put the host's tags back to where they were before the pull: they move with the switch. Pure. */
export function movedByPull(
  before: ReadonlyMap<string, PresentImage>,
  images: Readonly<Record<string, ReleaseImage>>,
): string[] {
  const now = new Map(Object.values(images).map(({ reference, id }) => [reference, id]));
  return [...before].flatMap(([reference, { id }]) =>
    movable(reference) && now.get(reference) !== id ? [id, reference] : [],
  );
}
