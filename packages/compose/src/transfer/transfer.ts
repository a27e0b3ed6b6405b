import { pipeline, type Readable, Transform } from 'node:stream';
import { createGzip } from 'node:zlib';
import { messageOf, UserError } from '@lockkeeper/action';
import { type Clock, type Deadline, formatDuration } from '@lockkeeper/wait';
import type { Site } from '../site.ts';
import { shortId } from '../stage/plan.ts';
import type { ImageFacts } from './image-facts.ts';
import type { SavedImage } from './runner-images.ts';
import { comparison, type Transfer, whatToSend } from './what-to-send.ts';

/** How often an image is begun again when the connection is lost under it. */
const attempts = 3;
const tellEvery = 5_000;

/**
 * Brings the images that references stand for in the runner's Docker to the host, as far as it lacks them, over
 * the SSH connection; answers by which ids they lie there. They come under a tag of ours: the host's own stay as they
 * are, and what came before a failure is found there by the next run.
 */
export async function transferImages(
  site: Site,
  references: readonly string[],
  {
    deadline,
    preferred,
    tagOf,
  }: { deadline: Deadline; preferred: readonly string[]; tagOf: (reference: string) => string },
): Promise<Map<string, string>> {
  const { context, host } = site;
  const { here, send } = await compare(site, references, preferred);
  for (const [reference, id] of here)
    context.log.info(`${host}: ${reference}: already here (${shortId(id)})`);
  for (const { facts, references: names } of send) {
    const id = await sendImage(site, facts, { name: names.join(', '), tag: tagOf(names[0]!), deadline });
    for (const reference of names) here.set(reference, id);
  }
  return here;
}

/** For a dry run: by which ids the images would be known, those that would be sent as the runner knows them. */
export async function imagesToTransfer(
  site: Site,
  references: readonly string[],
  preferred: readonly string[],
): Promise<Map<string, string>> {
  const { here, send } = await compare(site, references, preferred);
  for (const { facts, references: names } of send) {
    site.context.log.info(`${site.host}: ${names.join(', ')}: would be sent, ${megabytes(facts.size)} MB`);
    for (const reference of names) here.set(reference, facts.id);
  }
  return here;
}

async function compare(
  { context: { runnerImages }, docker, host }: Site,
  references: readonly string[],
  preferred: readonly string[],
): Promise<Transfer> {
  if (!runnerImages) throw new Error('images: transfer without the images of the runner');
  const [runner, { platform, images }] = await Promise.all([
    runnerImages.find(references),
    docker.imageFacts(),
  ]);
  return whatToSend(references, runner, { name: host, platform, images, preferred });
}

async function sendImage(
  site: Site,
  facts: ImageFacts,
  { name, tag, deadline }: { name: string; tag: string; deadline: Deadline },
): Promise<string> {
  const { context, docker, host } = site;
  context.log.info(`${host}: ${name}: sending ${megabytes(facts.size)} MB`);
  const saved = await context.runnerImages!.save(facts.id);
  try {
    for (let attempt = 1; ; attempt++) {
      const loaded = await docker.load(packed(site, saved, { name, size: facts.size }), {
        name,
        tag,
        timeout: deadline.remaining(),
      });
      if (loaded !== 'cut') {
        const how = comparison(facts, loaded);
        if (how === undefined)
          throw new UserError(
            `${name} arrived on ${host} as another image than was sent (${shortId(loaded.id)})`,
          );
        context.log.info(`${host}: ${name}: arrived whole, compared ${how}`);
        return loaded.id;
      }
      if (attempt === attempts)
        throw new UserError(`the connection to ${host} was lost ${attempts} times while ${name} was sent`, {
          next: 'see whether the host has the memory and disk for docker load',
        });
      context.log.warning(`${host}: the connection was lost while ${name} was sent; it is begun again`);
    }
  } finally {
    await saved.close();
  }
}

/** The saved image, compressed on its way, with its progress in the log. */
function packed(
  { host, context: { clock, log } }: Site,
  saved: SavedImage,
  { name, size }: { name: string; size: number },
): Readable {
  const progress = new Progress(clock, size, (text) => log.info(`${host}: ${name}: ${text}`));
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      progress.add(chunk.length);
      done(null, chunk);
    },
    flush(done) {
      progress.end();
      done();
    },
  });
  const zipped = createGzip({ level: 1 });
  pipeline(saved.read(), counted, zipped, (error) => {
    // Whoever reads it gets the error too; here it must only not be left unheard.
    if (error) log.debug(`${host}: ${name}: ${messageOf(error)}`);
  });
  return zipped;
}

/** Megabytes and rate, now and then. */
export class Progress {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #tell: (text: string) => void;
  readonly #started: number;
  #told: number;
  #bytes = 0;

  /** `size` in bytes; an engine's guess, so it may be passed. */
  constructor(clock: Clock, size: number, tell: (text: string) => void) {
    this.#clock = clock;
    this.#size = size;
    this.#tell = tell;
    this.#started = clock.now();
    this.#told = this.#started;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#clock.now() - this.#told < tellEvery) return;
    this.#told = this.#clock.now();
    this.#tell(
      `${megabytes(this.#bytes)} of ${megabytes(Math.max(this.#size, this.#bytes))} MB sent (${this.#rate()})`,
    );
  }

  end(): void {
    const took = this.#clock.now() - this.#started;
    this.#tell(`${megabytes(this.#bytes)} MB sent in ${formatDuration(took)} (${this.#rate()})`);
  }

  #rate(): string {
    const seconds = Math.max(0.001, (this.#clock.now() - this.#started) / 1000);
    return `${megabytes(this.#bytes / seconds)} MB/s`;
  }
}

function megabytes(bytes: number): string {
  const amount = bytes / 1e6;
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount));
}
