import { UserError } from '@lockkeeper/action';
import type { CommandResult, RunOptions, Shell } from '@lockkeeper/ssh';
import * as v from 'valibot';
import * as scripts from './host-scripts.ts';
import {
  type PendingRecord,
  parseReleases,
  pendingRecord,
  type ReleaseList,
  type ReleaseRecord,
  releaseRecord,
} from './record.ts';

/** Runs a script that must succeed; what the host said is the error. */
export async function must(
  shell: Shell,
  script: string,
  options: RunOptions,
  what: string,
): Promise<CommandResult> {
  const result = await shell.run(script, options);
  if (result.code === 0) return result;
  throw new UserError(`${shell.name}: ${what}: ${lastLine(result.stderr || result.stdout)}`, {
    details: result.stderr || undefined,
  });
}

export function lastLine(text: string): string {
  const line =
    text
      .split(/[\r\n]+/)
      .map((part) => part.trim())
      .filter(Boolean)
      .at(-1) ?? 'it said nothing';
  if (/no space left on device/i.test(text)) return 'the disk of the host is full (no space left on device)';
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

/** The record in `<project directory>/.lockkeeper`: releases, what is under way, what is bad, what was done. */
export class HostState {
  readonly #shell: Shell;
  readonly #directory: string;
  readonly path: string;

  constructor(shell: Shell, directory: string) {
    this.#shell = shell;
    this.#directory = directory;
    this.path = `${directory}/.lockkeeper`;
  }

  async prepare(): Promise<void> {
    const { code, stderr } = await this.#shell.run(scripts.prepareState, { args: [this.#directory] });
    if (code === 67)
      throw new UserError(
        `${this.path} on ${this.#shell.name} is a symbolic link, which somebody else may own`,
        {
          next: `ls -ld ${this.path}`,
        },
      );
    if (code !== 0)
      throw new UserError(`${this.#shell.name}: cannot write to ${this.#directory}: ${lastLine(stderr)}`, {
        next: `ls -ld ${this.#directory}`,
      });
  }

  releasePath(id: string): string {
    return `${this.path}/releases/${id}`;
  }

  async write(path: string, content: string): Promise<void> {
    await must(this.#shell, scripts.writeFile, { args: [path], stdin: content }, `cannot write ${path}`);
  }

  async read(path: string): Promise<string | undefined> {
    const result = await this.#shell.run(scripts.readFile, { args: [path] });
    if (result.code === 66) return undefined;
    if (result.code !== 0)
      throw new UserError(`${this.#shell.name}: cannot read ${path}: ${lastLine(result.stderr)}`);
    return result.stdout;
  }

  async remove(path: string): Promise<void> {
    await must(this.#shell, scripts.removePath, { args: [path] }, `cannot remove ${path}`);
  }

  async releases(): Promise<ReleaseList> {
    const { stdout } = await must(
      this.#shell,
      scripts.listReleases,
      { args: [this.#directory] },
      'cannot list the releases',
    );
    return parseReleases(stdout);
  }

  async release(id: string): Promise<ReleaseRecord> {
    const text = await this.read(`${this.releasePath(id)}/release.json`);
    const record = text === undefined ? undefined : v.safeParse(releaseRecord, parseJson(text));
    if (!record?.success)
      throw new UserError(`${this.#shell.name} has no release ${id}`, {
        next: `ls ${this.path}/releases`,
      });
    return record.output;
  }

  async saveRelease(record: ReleaseRecord): Promise<void> {
    await this.write(`${this.releasePath(record.id)}/release.json`, JSON.stringify(record, null, 1));
  }

  async serving(): Promise<string | undefined> {
    return (await this.read(`${this.path}/serving`))?.trim() || undefined;
  }

  async setServing(id: string): Promise<void> {
    await this.write(`${this.path}/serving`, `${id}\n`);
  }

  /** What an earlier or this run began and did not end; a record that cannot be read counts as none. */
  async pending(): Promise<PendingRecord | undefined> {
    const text = await this.read(`${this.path}/pending.json`);
    const record = text === undefined ? undefined : v.safeParse(pendingRecord, parseJson(text));
    return record?.success ? record.output : undefined;
  }

  async setPending(record: PendingRecord): Promise<void> {
    await this.write(`${this.path}/pending.json`, JSON.stringify(record));
  }

  async clearPending(): Promise<void> {
    await this.remove(`${this.path}/pending.json`);
  }

  async markBad(id: string, reason: string): Promise<void> {
    await this.write(`${this.path}/bad/${id}`, `${reason}\n`);
  }

  async clearBad(id: string): Promise<void> {
    await this.remove(`${this.path}/bad/${id}`);
  }

  /** One line of what was done, for people: never a secret, never more than a line. */
  async audit(line: string): Promise<void> {
    const text = `${new Date().toISOString()} ${line.replace(/[\r\n]+/g, ' ')}\n`;
    await this.#shell.run(scripts.appendAudit, { args: [this.#directory], stdin: text });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
