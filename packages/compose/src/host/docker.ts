import { type Log, UserError } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import { lastLine, must } from './answer.ts';
import { type Container, parseContainers } from './containers.ts';
import type { Lock } from './lock.ts';
import { onHost } from './next-command.ts';
import type { ComposeKind } from './preflight.ts';
import * as scripts from './scripts.ts';

/** An image that is on the host. */
export interface PresentImage {
  id: string;
  /** `repository@sha256:…`, one for each repository it came from. */
  digests: string[];
}

interface StepOptions {
  /** A Docker config that is logged in to the registry; '' is the user's own. */
  login?: string;
  /** Milliseconds; the command timeout unless given. */
  timeout?: number;
}

interface DockerSettings {
  kind: ComposeKind;
  /** The project's. */
  directory: string;
  lockToken: string;
  lock?: Lock;
  commandTimeout: number;
  log: Log;
  signal?: AbortSignal;
}

/** Docker and Compose on the host, for one project and one run. */
export class DockerHost {
  readonly #shell: Shell;
  readonly #settings: DockerSettings;

  constructor(shell: Shell, settings: DockerSettings) {
    this.#shell = shell;
    this.#settings = settings;
  }

  get kind(): ComposeKind {
    return this.#settings.kind;
  }

  /** All containers of a project, those that do not run included. */
  containersOf(project: string): Promise<Container[]> {
    return this.containers(`com.docker.compose.project=${project}`);
  }

  /** All containers that have one of the labels. */
  async containers(...labels: string[]): Promise<Container[]> {
    const { stdout } = await must(
      this.#shell,
      scripts.inspectLabelled,
      { args: labels, timeout: 60_000 },
      'docker inspect failed',
    );
    return parseContainers(stdout);
  }

  /** Reference → image, for those that are here. */
  async images(references: readonly string[]): Promise<Map<string, PresentImage>> {
    if (references.length === 0) return new Map();
    const args = [...new Set(references)];
    const ask = (script: string) =>
      must(this.#shell, script, { args, timeout: 60_000 }, 'docker image inspect failed');
    const { stdout, stderr } = await ask(scripts.inspectImages);
    return (
      imagesByReference(args, stdout, stderr) ?? parseImages((await ask(scripts.inspectEachImage)).stdout)
    );
  }

  /** Makes references stand for images: pairs of id and reference, one after another. */
  async tag(pairs: readonly string[]): Promise<void> {
    if (pairs.length === 0) return;
    const { directory, lockToken } = this.#settings;
    await must(
      this.#shell,
      scripts.tagImages,
      { args: [directory, lockToken, ...pairs], timeout: 60_000 },
      'docker tag failed',
    );
  }

  /** The env file of the release in `directory` becomes the host's at `envFile` ('' = none); references stand for images. */
  async putInPlace(directory: string, envFile: string, pairs: readonly string[]): Promise<void> {
    if (!envFile && pairs.length === 0) return;
    const paths = envFile ? [`${directory}/env`, `${this.#settings.directory}/${envFile}`] : ['', ''];
    await must(
      this.#shell,
      scripts.putInPlace,
      {
        args: [this.#settings.directory, this.#settings.lockToken, ...paths, ...pairs],
        timeout: 60_000,
      },
      'cannot put env file and tags in place',
    );
  }

  /** Removes tags, and images that have no other; Docker refuses while a container uses one, as it should. */
  async untag(references: readonly string[]): Promise<void> {
    if (references.length > 0)
      await this.#shell.run(scripts.dockerRead, { args: ['image', 'rm', ...references] });
  }

  /** docker …, shown as it runs. Throws UserError that begins with `what`. */
  async docker(args: readonly string[], what: string, options: StepOptions = {}): Promise<void> {
    await this.#step(scripts.dockerStep, [options.login ?? '', ...args], what, options.timeout);
  }

  /** docker compose … with the release in `directory`. */
  async compose(
    directory: string,
    args: readonly string[],
    what: string,
    options: StepOptions = {},
  ): Promise<void> {
    const all = [this.kind, directory, options.login ?? '', ...args];
    await this.#step(scripts.composeStep, all, what, options.timeout);
  }

  /** docker compose build … with the release in `directory` and the override `file`. */
  async build(
    directory: string,
    file: string,
    args: readonly string[],
    what: string,
    options: StepOptions = {},
  ): Promise<void> {
    const all = [this.kind, directory, options.login ?? '', '-f', file, 'build', ...args];
    await this.#step(`${scripts.buildSettings}${scripts.composeStep}`, all, what, options.timeout);
  }

  /** A script that changes the project's directory. Throws UserError that begins with `what`. */
  async change(script: string, args: readonly string[], what: string): Promise<void> {
    await this.#step(`${scripts.step}\nshift 2\n${script}`, args, what);
  }

  /** A hook's file, with `docker compose` meaning the release in `directory`. */
  async hook(directory: string, file: string, name: string): Promise<void> {
    this.#settings.log.info(`${this.#shell.name}: ${name}`);
    await this.#step(scripts.runHook, [this.kind, directory, file], `${name} failed`);
  }

  /** Container id → its last log lines. */
  async lastLogs(ids: readonly string[], lines: number): Promise<Map<string, string>> {
    const { stdout } = await this.#shell.run(scripts.lastLogs, {
      args: [String(lines), ...ids],
      timeout: 20_000,
    });
    return new Map(
      stdout
        .split(/^--- (?=[0-9a-f]{64}$)/m)
        .slice(1)
        .map((part) => [part.slice(0, 64), part.slice(65)]),
    );
  }

  /** The TCP tables of a container's network; undefined when its process has gone or cannot be seen. */
  async tcpTables(pid: number): Promise<string | undefined> {
    const { code, stdout } = await this.#shell.run(scripts.tcpTables, { args: [String(pid)] });
    return code === 0 ? stdout : undefined;
  }

  /** Everything that changes the host goes through here: shown as it runs, with a limit, stopped by a cancel. */
  async #step(
    script: string,
    args: readonly string[],
    what: string,
    timeout = this.#settings.commandTimeout,
  ): Promise<void> {
    const { directory, lockToken, lock, log, signal } = this.#settings;
    const host = this.#shell.name;
    lock?.check();
    const result = await this.#shell.run(script, {
      args: [directory, lockToken, ...args],
      timeout,
      signal,
      onOutput: (text) => log.remote(host, text),
    });
    if (result.code === 0) return;
    const said = lastLine(result.stderr || result.stdout);
    throw new UserError(`${what} on ${host} (exit code ${result.code}): ${said}`, {
      details: `${result.stdout.slice(-2000)}\n${result.stderr.slice(-4000)}`.trim() || undefined,
      next: pullHint(said) ?? onHost(this.#shell, 'docker compose ps --all', directory),
    });
  }
}

/**
 * Which image belongs to which reference: docker prints those that are here in the order they were asked
 * for, and names the others on stderr. Undefined where that does not add up. Pure.
 */
export function imagesByReference(
  references: readonly string[],
  stdout: string,
  stderr: string,
): Map<string, PresentImage> | undefined {
  const images = JSON.parse(stdout.trim() || '[]') as InspectedImage[];
  const lines = stderr.split('\n').map((line) => line.trim());
  const isMissing = (reference: string) =>
    lines.some((line) => line.endsWith(`: ${reference}`) || line.endsWith(`: ${reference}:latest`));
  const present = references.filter((reference) => !isMissing(reference));
  if (present.length !== images.length) return undefined;
  return new Map(present.map((reference, index) => [reference, presentImage(images[index]!)]));
}

interface InspectedImage {
  Id: string;
  RepoDigests?: string[] | null;
}

function presentImage({ Id, RepoDigests }: InspectedImage): PresentImage {
  return { id: Id, digests: RepoDigests ?? [] };
}

/** Reads what `inspectEachImage` prints. Pure. */
export function parseImages(text: string): Map<string, PresentImage> {
  const found = new Map<string, PresentImage>();
  for (const part of text.split(/^--- /m).slice(1)) {
    const end = part.indexOf('\n');
    const [image] = JSON.parse(part.slice(end)) as InspectedImage[];
    if (image) found.set(part.slice(0, end).trim(), presentImage(image));
  }
  return found;
}

function pullHint(said: string): string | undefined {
  if (/manifest unknown|not found/i.test(said))
    return 'does the tag exist in the registry? was it pushed before this step?';
  if (/unauthorized|denied|authentication required/i.test(said))
    return 'give registry, registry-username and registry-password';
  return undefined;
}
