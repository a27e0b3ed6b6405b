import { UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import type { ImageQuestion } from '../stage/images.ts';
import { type ImageFacts, runsOn } from './image-facts.ts';

/**
 * References whose images come from the runner: what was asked for, and what that depends on only where it is
 * not on the host (`present`) and does not run there. Each once. Pure.
 */
export function referencesToBring(
  { config, services, named, containers }: ImageQuestion,
  present: ReadonlySet<string>,
): string[] {
  const running = new Set(containers.map(({ service }) => service));
  return [
    ...new Set(
      services.flatMap((service) => {
        const reference = config.services[service]?.image;
        if (!reference) return [];
        return named.includes(service) || !(present.has(reference) || running.has(service))
          ? [reference]
          : [];
      }),
    ),
  ];
}

export interface Transfer {
  /** Reference → id on the host, for what is there already. */
  here: Map<string, string>;
  /** Each once, with the references that stand for it. */
  send: Array<{ facts: ImageFacts; references: string[] }>;
}

/**
 * What to send of the images that the references stand for on the runner. The same id is the same image; so is
 * the same content under another id (another kind of image store, or a build that gave the same again).
 * `preferred` are ids of which one is taken where the host has it more than once. Throws UserError for what the
 * runner lacks and for what the host cannot run. Pure.
 */
export function whatToSend(
  references: readonly string[],
  runner: ReadonlyMap<string, ImageFacts>,
  host: { name: string; platform: string; images: readonly ImageFacts[]; preferred: readonly string[] },
): Transfer {
  const missing = references.filter((reference) => !runner.has(reference));
  if (missing.length > 0)
    throw new UserError(
      `${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} not in the runner's Docker, and images: transfer takes ${missing.length > 1 ? 'them' : 'it'} from there`,
      {
        next: `docker build -t ${word(missing[0]!)} . (or docker pull ${word(missing[0]!)}) in a step before this one; or name in services only what you built`,
      },
    );
  const transfer: Transfer = { here: new Map(), send: [] };
  for (const reference of references) {
    const facts = runner.get(reference)!;
    if (!runsOn(facts.platform, host.platform))
      throw new UserError(
        `${reference} on the runner is for ${facts.platform}, and ${host.name} is ${host.platform}`,
        { next: `docker build --platform ${host.platform} -t ${word(reference)} .` },
      );
    const same = host.images.filter(({ id, content }) => id === facts.id || content === facts.content);
    const found =
      same.find(({ id }) => host.preferred.includes(id)) ?? same.find(({ id }) => id === facts.id) ?? same[0];
    const sent = transfer.send.find((one) => one.facts.content === facts.content);
    if (found) transfer.here.set(reference, found.id);
    else if (sent) sent.references.push(reference);
    else transfer.send.push({ facts, references: [reference] });
  }
  return transfer;
}

/** How it was seen that what arrived is what was sent; undefined when it is not. Pure. */
export function comparison(sent: ImageFacts, arrived: ImageFacts | undefined): string | undefined {
  if (!arrived) return undefined;
  if (arrived.id === sent.id) return 'by its id';
  if (arrived.content === sent.content)
    return `by its ${sent.layers} layers and its configuration, as the two engines give ids of their own`;
  return undefined;
}
