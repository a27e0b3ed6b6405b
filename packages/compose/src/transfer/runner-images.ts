import type { Readable } from 'node:stream';
import type { ImageFacts } from './image-facts.ts';

/** The images in the runner's own Docker. */
export interface RunnerImages {
  /** Reference → image, for those that are there; once found, it stays that image for the whole run. Throws UserError where there is no Docker. */
  find(references: readonly string[]): Promise<Map<string, ImageFacts>>;
  /** Begins to save an image; what it writes can be read meanwhile, and again. */
  save(id: string): Promise<SavedImage>;
}

export interface SavedImage {
  /** As `docker save` writes it, from the start; fails when saving does. */
  read(): Readable;
  /** Ends what still runs, and forgets what was written. */
  close(): Promise<void>;
}
