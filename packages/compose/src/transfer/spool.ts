import { randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

const pieces = 1024 * 1024;
/** Milliseconds between looks at a file that does not grow. */
const lookEvery = 20;

/**
 * A file without a name that somebody else fills while we read it: as much memory as one piece, however fast
 * the one and slow the other.
 */
export class Spool {
  /** For the one who fills it to open, until `forget`. */
  readonly path: string;
  readonly #file: FileHandle;
  #named = true;
  /** Nothing more comes; why, when it is not all. */
  #end: { error?: Error } | undefined;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async open(directory = tmpdir()): Promise<Spool> {
    const path = join(directory, `lockkeeper-${randomBytes(8).toString('hex')}`);
    return new Spool(path, await open(path, 'wx+', 0o600));
  }

  /** Takes the name away: whoever has it open goes on, and it is gone with the last of them. */
  async forget(): Promise<void> {
    if (!this.#named) return;
    this.#named = false;
    await unlink(this.path).catch(() => {});
  }

  /** The filling has ended; readers get the rest, or the error. */
  end(error?: Error): void {
    this.#end ??= { error };
  }

  /** All of it from the start, as it grows. May be asked for again. */
  read(): Readable {
    return Readable.from(this.#pieces(), { objectMode: false, highWaterMark: pieces });
  }

  async *#pieces(): AsyncGenerator<Buffer> {
    let at = 0;
    for (;;) {
      // Asked before the read: what was written before the end is seen after it.
      const end = this.#end;
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(pieces), 0, pieces, at);
      at += bytesRead;
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      else if (end?.error) throw end.error;
      else if (end) return;
      else await new Promise((resolve) => setTimeout(resolve, lookEvery));
    }
  }

  async close(): Promise<void> {
    await this.forget();
    await this.#file.close();
  }
}
