import { UserError } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import * as v from 'valibot';
import { lastLine, must } from '../host/answer.ts';
import { onHost } from '../host/next-command.ts';
import * as scripts from './record-scripts.ts';
import { releaseIdPattern } from './release-id.ts';
import {
  type PendingRecord,
  parseReleases,
  pendingRecord,
  type ReleaseList,
  type ReleaseRecord,
  releaseRecord,
} from './release-record.ts';

/** The record in `<project directory>/.lockkeeper`: releases, what is under way, what is bad, what was done. */
export class HostState {
  readonly #shell: Shell;
  readonly #directory: string;
  readonly path: string;
  /** Records read or written by this run; only the holder of the lock writes them. */
  readonly #known = new Map<string, ReleaseRecord>();

  constructor(shell: Shell, directory: string) {
    this.#shell = shell;
    this.#directory = directory;
    this.path = `${directory}/.lockkeeper`;
  }

  releasePath(id: string): string {
    return `${this.path}/releases/${id}`;
  }

  /** Text files, each 0600 and whole at once; a last line without an end gets one. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    await must(this.#shell, scripts.writeFiles, filesToWrite(files), `cannot write to ${this.path}`);
  }

  async read(path: string): Promise<string | undefined> {
    const result = await this.#shell.run(scripts.readFile, { args: [path] });
    if (result.code === 66) return undefined;
    if (result.code !== 0)
      throw new UserError(`${this.#shell.name}: cannot read ${path}: ${lastLine(result.stderr)}`);
    return result.stdout;
  }

  async remove(...paths: string[]): Promise<void> {
    await must(this.#shell, scripts.removePaths, { args: paths }, `cannot remove ${paths.join(', ')}`);
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
    const known = this.#known.get(id);
    if (known) return known;
    const text = await this.read(`${this.releasePath(id)}/release.json`);
    const record = text === undefined ? undefined : v.safeParse(releaseRecord, parseJson(text));
    if (!record?.success)
      throw new UserError(`${this.#shell.name} has no release ${id}`, {
        next: onHost(this.#shell, 'ls .lockkeeper/releases', this.#directory),
      });
    this.#known.set(id, record.output);
    return record.output;
  }

  async saveRelease(record: ReleaseRecord, more: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.write({ ...more, [`${this.releasePath(record.id)}/release.json`]: JSON.stringify(record) });
    this.#known.set(record.id, record);
  }

  /** The release serves from now on; nothing is pending any more. Answers all releases. */
  async settle(record: ReleaseRecord, line: string): Promise<ReleaseList> {
    const stdin = `${JSON.stringify(record)}\n${auditLine(line)}`;
    const { stdout } = await must(
      this.#shell,
      scripts.settle,
      { args: [this.#directory, record.id], stdin },
      'cannot write the record',
    );
    this.#known.set(record.id, record);
    return parseReleases(stdout);
  }

  /** Where it is written down what a run is about to bring: a `StagingNote`. */
  notePath(id: string): string {
    return `${this.path}/staging/${id}`;
  }

  async setServing(id: string): Promise<void> {
    await this.write({ [`${this.path}/serving`]: id });
  }

  /** What serves, and what an earlier or this run began and did not end. */
  async current(): Promise<Current> {
    const { stdout } = await must(
      this.#shell,
      scripts.readRecord,
      { args: [this.#directory] },
      'cannot read the record',
    );
    return parseCurrent(stdout);
  }

  async setPending(record: PendingRecord, more: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.write({ [`${this.path}/pending.json`]: JSON.stringify(record), ...more });
  }

  async clearPending(): Promise<void> {
    await this.remove(`${this.path}/pending.json`);
  }

  async markBad(id: string, reason: string): Promise<void> {
    await this.write({ [`${this.path}/bad/${id}`]: reason.replace(/[\r\n]+/g, ' ') });
  }

  /** Releases go, with the marks of those that are bad. */
  async forget(ids: readonly string[]): Promise<void> {
    await this.remove(...ids.flatMap((id) => [this.releasePath(id), `${this.path}/bad/${id}`]));
  }

  /** A note for later runs, such as the fleet this host belongs to. */
  async writeNote(name: 'fleet', value: unknown): Promise<void> {
    await this.write({ [`${this.path}/${name}.json`]: JSON.stringify(value) });
  }

  /** Undefined when there is none, or none that can be read. */
  async readNote(name: 'fleet'): Promise<unknown> {
    const text = await this.read(`${this.path}/${name}.json`);
    return text === undefined ? undefined : parseJson(text);
  }

  /** Makes a directory outside the project, for a dry run. */
  async temporary(): Promise<string> {
    const { stdout } = await must(this.#shell, scripts.temporary, {}, 'cannot make a temporary directory');
    return stdout.trim();
  }

  /** One line of what was done, for people: never a secret, never more than a line. */
  async audit(line: string): Promise<void> {
    await this.#shell.run(scripts.appendAudit, { args: [this.#directory], stdin: auditLine(line) });
  }
}

/** Arguments and stdin for the scripts that write files. Pure. */
export function filesToWrite(files: Readonly<Record<string, string>>): { args: string[]; stdin: string } {
  const args: string[] = [];
  let stdin = '';
  for (const [path, content] of Object.entries(files)) {
    const text = content === '' || content.endsWith('\n') ? content : `${content}\n`;
    args.push(path, String(text.split('\n').length - 1));
    stdin += text;
  }
  return { args, stdin };
}

function auditLine(line: string): string {
  return `${new Date().toISOString()} ${line.replace(/[\r\n]+/g, ' ')}\n`;
}

export interface Current {
  serving: string | undefined;
  pending: PendingRecord | undefined;
  /** There is a pending record, but not one of ours: nobody can tell what was under way. */
  unreadable: boolean;
}

/** Reads what `readRecord` prints. Pure. */
export function parseCurrent(told: string): Current {
  const [serving = '', ...rest] = told.split('\n');
  const text = rest.join('\n').trim();
  const pending = v.safeParse(pendingRecord, parseJson(text));
  return {
    serving: releaseIdPattern.test(serving.trim()) ? serving.trim() : undefined,
    pending: pending.success ? pending.output : undefined,
    unreadable: text !== '' && !pending.success,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
