import { constants, createWriteStream, type WriteStream } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, rm } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { messageOf, UserError } from '@lockkeeper/action';

/** Where a file may be written on the runner; '' where there is none such. */
export interface Places {
  workspace: string;
  temp: string;
}

/** The absolute path of a file below one of the places, relative ones below the workspace; undefined for any other. Pure. */
export function placeOf(path: string, { workspace, temp }: Places): string | undefined {
  if (/[\0\r\n]/.test(path) || path.endsWith('/') || path.split(/[/\\]/).includes('..')) return undefined;
  const absolute = resolve(workspace || '/', path);
  return [workspace, temp].some((place) => place && absolute.startsWith(resolve(place) + sep))
    ? absolute
    : undefined;
}

/** What a file is called until it is whole. */
export function partOf(path: string): string {
  return `${path}.part`;
}

/** A file on the runner that is whole or not there. Only its user may read it. */
export class OutputFile {
  readonly path: string;
  readonly stream: WriteStream;
  /** Why it could not be written, once that is so. */
  failure: Error | undefined;

  private constructor(path: string, stream: WriteStream) {
    this.path = path;
    this.stream = stream;
    stream.on('error', (error) => {
      this.failure ??= error;
    });
  }

  /** Throws UserError when there can be none, also where a symbolic link leads out of the places. */
  static async create(path: string, { workspace, temp }: Places): Promise<OutputFile> {
    try {
      const directory = dirname(path);
      const places = await Promise.all([workspace, temp].filter(Boolean).map((place) => realpath(place)));
      const real = await realpath(await nearest(directory));
      if (!places.some((place) => real === place || real.startsWith(place + sep)))
        throw new UserError(
          `run-output: ${directory} leads to ${real}, out of the workspace and RUNNER_TEMP`,
        );
      await mkdir(directory, { recursive: true });
      if ((await lstat(path).catch(() => undefined))?.isDirectory())
        throw new UserError(`run-output: ${path} is a directory`);
      await rm(partOf(path), { force: true });
      const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
      const file = await open(partOf(path), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
      return new OutputFile(path, createWriteStream('', { fd: file }));
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`run-output: cannot write ${path}: ${messageOf(error)}`);
    }
  }

  /** Ends it and answers how many bytes it has. Throws UserError when it could not be written. */
  async finish(): Promise<number> {
    await new Promise<void>((done) => {
      if (this.stream.closed) return done();
      this.stream.once('close', done);
      this.stream.end();
    });
    if (this.failure) throw new UserError(`run-output: cannot write ${this.path}: ${this.failure.message}`);
    return this.stream.bytesWritten;
  }

  /** What was written, and finished, is whole. */
  async keep(): Promise<void> {
    await rename(partOf(this.path), this.path);
  }

  async discard(): Promise<void> {
    this.stream.destroy();
    await rm(partOf(this.path), { force: true });
  }
}

/** The directory itself, or the first above it that is there. */
async function nearest(directory: string): Promise<string> {
  const there = await lstat(directory).catch(() => undefined);
  return there || directory === dirname(directory) ? directory : nearest(dirname(directory));
}
