import type { Readable, Writable } from 'node:stream';
import { type Log, UserError } from '@lockkeeper/action';
import { CommandTimedOut, Tail } from '@lockkeeper/ssh';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { type ImageFacts, parseImageFacts } from '../transfer/image-facts.ts';
import { lastLine, must, refusal } from './answer.ts';
import { type Container, parseContainers } from './containers.ts';
import * as scripts from './docker-scripts.ts';
import {
  imagesByReference,
  type NamedImage,
  type PresentImage,
  parseImages,
  parseNamedImages,
} from './images.ts';
import type { Lock } from './lock.ts';
import { type Memory, parseMemory } from './memory.ts';
import { type HostName, onHost } from './next-command.ts';
import type { Pins } from './pins.ts';
import type { ComposeKind } from './preflight.ts';
import * as proxyScripts from './proxy-scripts.ts';
import { isOutage, type SteadyShell } from './steady-shell.ts';
import { type StepEnd, Steps } from './step.ts';

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
  clock: Clock;
  signal?: AbortSignal;
}

/** Docker and Compose on the host, for one project and one run. */
export class DockerHost {
  readonly #shell: SteadyShell;
  readonly #settings: DockerSettings;
  readonly #steps: Steps;

  constructor(shell: SteadyShell, settings: DockerSettings) {
    this.#shell = shell;
    this.#settings = settings;
    this.#steps = new Steps(shell, settings);
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
    return parseContainers(await this.#answer(scripts.inspectLabelled, labels, 'docker inspect failed'));
  }

  /** Writes down what is wanted for a release and which images are here, before anything is brought; answers what it wrote. */
  noteImages(file: string, wanted: readonly string[]): Promise<string> {
    return this.#answer(scripts.noteImages, [file, ...new Set(wanted)], 'cannot list the images');
  }

  /** What a script says that asks Docker. A daemon that is away for a moment is waited for: it is no answer. */
  async #answer(script: string, args: readonly string[], what: string): Promise<string> {
    const { clock, log, signal } = this.#settings;
    const deadline = new Deadline(clock, dockerStarts);
    for (let told = false; ; told = true) {
      const answer = await this.#shell.run(script, { args, timeout: 60_000 });
      if (answer.code === 0) return answer.stdout;
      if (answer.code !== dockerAway || deadline.passed()) throw refusal(this.#shell, answer, what);
      if (!told) log.info(`${this.#shell.name}: docker does not answer; waiting until it does`);
      await clock.sleep(1_000, signal);
    }
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

  /** All images that are here, and the platform of the daemon (`linux/amd64`). */
  async imageFacts(): Promise<{ platform: string; images: ImageFacts[] }> {
    const { platform, stdout } = await this.#inspectAll();
    return { platform, images: parseImageFacts(stdout) };
  }

  async #inspectAll(): Promise<{ platform: string; stdout: string }> {
    const options = { timeout: 120_000 };
    const all = await must(this.#shell, scripts.inspectAllImages, options, 'docker image inspect failed');
    const end = all.stdout.indexOf('\n');
    return { platform: all.stdout.slice(0, end).trim(), stdout: all.stdout.slice(end) };
  }

  /** docker load of what `docker save` wrote, under a tag. `cut`: the connection was lost under it, and is there again. */
  async load(
    image: Readable,
    { name, tag, timeout }: { name: string; tag: string; timeout: number },
  ): Promise<ImageFacts | 'cut'> {
    const { lock, signal } = this.#settings;
    lock?.check();
    const at = `docker load of ${name} on ${this.#shell.name}`;
    try {
      const { code, stdout, stderr } = await this.#shell.raw.run(scripts.loadImage, {
        args: [tag],
        stdin: image,
        timeout: Math.max(1, timeout),
        signal,
      });
      const [facts] = code === 0 ? parseImageFacts(stdout) : [];
      if (!facts) throw new UserError(`${at} (exit code ${code}): ${lastLine(stderr)}`);
      return facts;
    } catch (error) {
      if (error instanceof CommandTimedOut)
        throw new UserError(`${at}: no end within stage-timeout`, { next: 'raise stage-timeout' });
      if (!isOutage(error)) throw error;
      await this.#shell.reconnect(signal);
      return 'cut';
    }
  }

  /** Makes references stand for images: pairs of id and reference, one after another. */
  async tag(pairs: readonly string[]): Promise<void> {
    if (pairs.length > 0) await this.#step(scripts.tagImages, pairs, 'docker tag', 60_000);
  }

  /** The env file of the release in `directory` becomes the host's at `envFile` ('' = none); references stand for images. */
  async putInPlace(directory: string, envFile: string, pairs: readonly string[]): Promise<void> {
    if (!envFile && pairs.length === 0) return;
    const paths = envFile ? [`${directory}/env`, `${this.#settings.directory}/${envFile}`] : ['', ''];
    await this.#step(
      scripts.putInPlace,
      [...paths, ...pairs],
      'cannot put env file and tags in place',
      60_000,
    );
  }

  /** All images that are here, with their names. */
  async namedImages(): Promise<NamedImage[]> {
    return parseNamedImages((await this.#inspectAll()).stdout);
  }

  /** Removes names, and those images that have no tag left; Docker refuses while a container uses one, as it should. */
  async drop({ names, ids = [] }: { names: readonly string[]; ids?: readonly string[] }): Promise<void> {
    if (names.length + ids.length === 0) return;
    const args = [...new Set(names), '--', ...new Set(ids)];
    await this.#shell.run(scripts.dropImages, { args, timeout: 120_000 });
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
    const all = [this.#settings.directory, this.kind, directory, options.login ?? '', ...args];
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
    const all = [
      this.#settings.directory,
      this.kind,
      directory,
      options.login ?? '',
      '-f',
      file,
      'build',
      ...args,
    ];
    await this.#step(`${scripts.buildSettings}${scripts.composeStep}`, all, what, options.timeout);
  }

  /** A script that changes the project's directory. Throws UserError that begins with `what`. */
  async change(script: string, args: readonly string[], what: string): Promise<void> {
    await this.#step(script, args, what);
  }

  /** A hook's file, with `docker compose` meaning the release in `directory`. */
  async hook(directory: string, file: string, name: string): Promise<void> {
    this.#settings.log.info(`${this.#shell.name}: ${name}`);
    await this.#step(scripts.runHook, this.#hookArguments(directory, file), `${name} failed`);
  }

  /** The same, with its stdout into a stream: such a hook lasts no longer than the connection. */
  async hookInto(stdout: Writable, directory: string, file: string, name: string): Promise<void> {
    const { lock, log, commandTimeout } = this.#settings;
    lock?.check();
    log.info(`${this.#shell.name}: ${name}`);
    const said = new Tail(keptOutput);
    const end = await this.#steps.pipe(
      {
        script: scripts.runHook,
        args: this.#hookArguments(directory, file),
        timeout: commandTimeout,
        onOutput: this.#show(said),
      },
      stdout,
    );
    await this.#judge(end, `${name} failed`, said.toString(), commandTimeout);
  }

  #hookArguments(directory: string, file: string): string[] {
    return [this.#settings.directory, this.kind, directory, file];
  }

  /** Proxies look again (hook `file`), after their hosts files were made to say `pins`. */
  async point(directory: string, file: string, pins: readonly Pins[]): Promise<void> {
    this.#settings.log.info(`${this.#shell.name}: blue-green-reload`);
    const args = [...this.#hookArguments(directory, file), ...pinArguments(pins)];
    await this.#step(proxyScripts.point, args, 'blue-green-reload failed');
  }

  /** Containers stop in their own time and go, while proxies find the others alone; `file` is '' where the proxy sees to itself. */
  async retire(
    directory: string,
    file: string,
    { pins, ids }: { pins: readonly Pins[]; ids: readonly string[] },
  ): Promise<void> {
    const args = [...this.#hookArguments(directory, file), ...pinArguments(pins), '--', ...ids];
    await this.#step(proxyScripts.retire, args, 'cannot end the old containers');
  }

  /** Bytes that containers use, and that the host has left; undefined where docker does not tell. */
  async memory(ids: readonly string[]): Promise<Memory | undefined> {
    const { code, stdout } = await this.#shell.run(scripts.memory, { args: ids, timeout: 30_000 });
    return code === 0 ? parseMemory(stdout) : undefined;
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

  /** Everything that changes the host goes through here: run once, shown as it runs, with a limit, stopped by a cancel. */
  async #step(
    script: string,
    args: readonly string[],
    what: string,
    timeout = this.#settings.commandTimeout,
  ): Promise<void> {
    this.#settings.lock?.check();
    const said = new Tail(keptOutput);
    const end = await this.#steps.run({ script, args, timeout, onOutput: this.#show(said) });
    await this.#judge(end, what, said.toString(), timeout);
  }

  #show(said: Tail): (text: string) => void {
    return (text) => {
      said.add(text);
      this.#settings.log.remote(this.#shell.name, text);
    };
  }

  async #judge(end: StepEnd, what: string, said: string, timeout: number): Promise<void> {
    const { directory, lock } = this.#settings;
    if (end.how === 'ended' && end.code === 0) return;
    if (end.how === 'fenced' && lock) lock.lost = true;
    // Whoever goes back now needs Docker, which starts later than sshd.
    if (end.how === 'gone' && end.restarted) await this.#untilDockerAnswers();
    throw failure(end, { what, said, timeout, host: this.#shell, directory });
  }

  async #untilDockerAnswers(): Promise<void> {
    const { clock, log, signal } = this.#settings;
    const deadline = new Deadline(clock, dockerStarts);
    log.info(`${this.#shell.name}: the host restarted; waiting until docker answers`);
    while (!deadline.passed()) {
      const { code } = await this.#shell.run(scripts.dockerRead, {
        args: ['version'],
        timeout: 60_000,
        signal,
      });
      if (code === 0) return;
      await clock.sleep(1_000, signal);
    }
  }
}

/** Milliseconds that Docker may take to start, after a restart of the host or of its own. */
const dockerStarts = 120_000;
/** Exit code of the scripts that found no daemon to ask. */
const dockerAway = 75;

/** Characters of a step's output that may be needed to explain its end. */
const keptOutput = 8_000;

/** What to tell of a step that did not end well. Pure. */
export function failure(
  end: StepEnd,
  {
    what,
    said,
    timeout,
    host,
    directory,
  }: {
    /** `cannot pull`, `docker compose up`. */
    what: string;
    /** The end of its output. */
    said: string;
    timeout: number;
    host: HostName;
    directory: string;
  },
): UserError {
  const at = `${what} on ${host.name}`;
  const look = {
    next: onHost(host, 'docker compose ps --all', directory),
    details: said.trim() || undefined,
  };
  const stopped = (is: boolean) => (is ? 'it was stopped' : 'it could not be stopped and may still run');
  switch (end.how) {
    case 'ended': {
      const line = lastLine(said);
      return new UserError(`${at} (exit code ${end.code}): ${line}`, {
        ...look,
        next: pullHint(line) ?? look.next,
      });
    }
    case 'gone':
      return new UserError(
        end.restarted
          ? `${at}: the host restarted while it ran, so it did not end; it is not run again`
          : `${at}: it was killed before its end (out of memory?) and left no exit code; it is not run again`,
        { ...look, next: end.restarted ? look.next : onHost(host, 'sudo dmesg | tail -n 50') },
      );
    case 'fenced':
      return new UserError(`${host.name}: another run took the lock over, so ${what} was not run`);
    case 'overdue':
      return new UserError(`${at}: no end within ${formatDuration(timeout)}; ${stopped(end.stopped)}`, look);
    case 'cut':
      return new UserError(
        `${at}: the connection that carried its output was lost; ${stopped(end.stopped)}`,
        look,
      );
    case 'unknown':
      return new UserError(`${at}: ${end.why.message}; whether it ended is not known`, {
        ...look,
        next: end.why.next ?? look.next,
        cause: end.why,
      });
  }
}

function pinArguments(pins: readonly Pins[]): string[] {
  return pins.flatMap(({ proxy, address, lines }) => [
    proxy,
    address,
    lines.map((line) => `${line} # lockkeeper\n`).join(''),
  ]);
}

function pullHint(said: string): string | undefined {
  if (/manifest unknown|not found/i.test(said))
    return 'does the tag exist in the registry? was it pushed before this step?';
  if (/unauthorized|denied|authentication required/i.test(said))
    return 'give registry, registry-username and registry-password';
  return undefined;
}
