import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { DaemonError, type Image } from './images.ts';
import { forwardPort, type PortForward } from './port-forward.ts';

export interface Healthcheck {
  /** `['CMD', …]` or `['CMD-SHELL', line]`. */
  test: string[];
  intervalMs: number;
  timeoutMs: number;
  startPeriodMs: number;
  startIntervalMs: number;
  retries: number;
}

export interface PublishedPort {
  /** Address of the host it listens on. */
  host: string;
  /** As written: empty or 0.0.0.0 for every address. */
  hostIp: string;
  /** 0: any free one. */
  published: number;
  target: number;
}

export interface ContainerMount {
  type: 'bind' | 'volume';
  name?: string;
  source: string;
  target: string;
  readOnly: boolean;
}

export interface ContainerSpec {
  id: string;
  name: string;
  /** As written in the Compose file. */
  imageRef: string;
  image: Image;
  entrypoint: string[];
  command: string[];
  environment: Record<string, string>;
  workingDirectory: string;
  labels: Record<string, string>;
  ports: PublishedPort[];
  mounts: ContainerMount[];
  healthcheck?: Healthcheck;
  restart: { policy: 'no' | 'always' | 'unless-stopped' | 'on-failure'; max: number };
  stopSignal: NodeJS.Signals;
  stopGraceMs: number;
  network: string;
  /** Its own loopback address. */
  address: string;
  /** Peer address of forwarded connections. */
  gateway: string;
  /** Where its files lie. */
  directory: string;
  /** Directory with the `node` that containers run. */
  runtime: string;
  /** Added to every process's environment, not to what `docker inspect` shows. */
  marker: Record<string, string>;
  /** Every forwarder of the host that still carries something. */
  forwards: Set<PortForward>;
}

export type ContainerStatus = 'created' | 'running' | 'restarting' | 'exited' | 'removing';

export interface HealthLogEntry {
  Start: string;
  End: string;
  ExitCode: number;
  Output: string;
}

export interface LogLine {
  stream: 'stdout' | 'stderr';
  at: number;
  text: string;
}

const LOG_LIMIT = 1024 * 1024;
const NEVER = '0001-01-01T00:00:00Z';

/** One container: a process group with its own loopback address, files, health checks, logs and restart policy. */
export class Container {
  readonly spec: ContainerSpec;
  name: string;
  readonly created = new Date();
  status: ContainerStatus = 'created';
  exitCode = 0;
  error = '';
  restartCount = 0;
  startedAt = NEVER;
  finishedAt = NEVER;
  health:
    | { Status: 'starting' | 'healthy' | 'unhealthy'; FailingStreak: number; Log: HealthLogEntry[] }
    | undefined;
  #child: ChildProcess | undefined;
  #forwards: Array<{ forward: PortForward; port: PublishedPort }> = [];
  #logs: LogLine[] = [];
  #logSize = 0;
  #partial = { stdout: '', stderr: '' };
  #stopping = false;
  #backoffMs = 100;
  #restartTimer: NodeJS.Timeout | undefined;
  #healthTimer: NodeJS.Timeout | undefined;
  #probe: ChildProcess | undefined;
  #execs = new Set<ChildProcess>();
  #ended: Promise<void> = Promise.resolve();
  #launching: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<() => void>();
  readonly #sinks = new Set<(stream: 'stdout' | 'stderr', chunk: Buffer) => void>();

  constructor(spec: ContainerSpec) {
    this.spec = spec;
    this.name = spec.name;
  }

  get id(): string {
    return this.spec.id;
  }

  get root(): string {
    return join(this.spec.directory, 'rootfs');
  }

  get pid(): number {
    return this.status === 'running' ? (this.#child?.pid ?? 0) : 0;
  }

  /** Ports it really listens on now. */
  get openPorts(): Array<{ host: string; port: number; target: number }> {
    return this.#forwards.map(({ forward, port }) => ({
      host: port.host,
      port: forward.port,
      target: port.target,
    }));
  }

  /** Lays out its files: a copy of the image's, with every mount reachable at its target. */
  async prepare(): Promise<void> {
    await mkdir(this.spec.directory, { recursive: true });
    await cp(this.spec.image.root, this.root, { recursive: true, verbatimSymlinks: true });
    for (const mount of this.spec.mounts) {
      const target = this.#path(mount.target);
      if (!existsSync(mount.source)) await mkdir(mount.source, { recursive: true });
      // As Docker does: an empty named volume starts with what the image has there.
      if (mount.type === 'volume' && existsSync(target) && (await readdir(mount.source)).length === 0) {
        await cp(target, mount.source, { recursive: true, verbatimSymlinks: true });
      }
      await rm(target, { recursive: true, force: true });
      await mkdir(dirname(target), { recursive: true });
      await symlink(mount.source, target);
    }
    await mkdir(this.#path(this.spec.workingDirectory), { recursive: true });
  }

  #path(inside: string): string {
    const path = resolve(this.root, inside.replace(/^\/+/, ''));
    if (path !== this.root && !path.startsWith(this.root + sep))
      throw new DaemonError(`invalid path: ${inside}`);
    return path;
  }

  async start(): Promise<void> {
    if (this.status === 'running' || this.status === 'restarting') return;
    this.#stopping = false;
    this.restartCount = 0;
    this.#backoffMs = 100;
    await this.#launch();
  }

  #launch(): Promise<void> {
    this.#launching = this.#begin();
    return this.#launching;
  }

  async #begin(): Promise<void> {
    const argv = [...this.spec.entrypoint, ...this.spec.command];
    if (argv.length === 0) throw new DaemonError('no command specified');
    for (const port of this.spec.ports) {
      try {
        const forward = await forwardPort({
          host: port.host,
          port: port.published,
          to: { host: this.spec.address, port: port.target },
          via: this.spec.gateway,
        });
        this.#forwards.push({ forward, port });
        this.spec.forwards.add(forward);
      } catch (error) {
        this.#closePorts();
        const code = (error as NodeJS.ErrnoException).code;
        const why = code === 'EADDRINUSE' ? 'port is already allocated' : String(error);
        this.exitCode = 128;
        this.error = `driver failed programming external connectivity on endpoint ${this.name}: Bind for ${port.hostIp || '0.0.0.0'}:${port.published} failed: ${why}`;
        throw new DaemonError(this.error);
      }
    }
    // Stopped while the ports were being opened.
    if (this.#stopping || this.status === 'removing') {
      this.#closePorts();
      return;
    }
    const child = this.#spawn(argv, ['ignore', 'pipe', 'pipe']);
    const launched = new Promise<void>((done, fail) => {
      child.once('spawn', done);
      child.once('error', fail);
    });
    try {
      await launched;
    } catch (error) {
      this.#closePorts();
      const code = (error as NodeJS.ErrnoException).code;
      const why = code === 'ENOENT' ? 'executable file not found in $PATH' : 'permission denied';
      this.status = 'created';
      this.exitCode = code === 'ENOENT' ? 127 : 126;
      this.error = `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "${argv[0]}": ${why}: unknown`;
      this.#changed();
      throw new DaemonError(this.error);
    }
    this.#child = child;
    if (this.status !== ('removing' as ContainerStatus)) this.status = 'running';
    this.exitCode = 0;
    this.error = '';
    this.startedAt = new Date().toISOString();
    const startedAt = Date.now();
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]!.on('data', (chunk: Buffer) => this.#log(stream, chunk));
    }
    this.#ended = new Promise((done) => {
      child.once('exit', (code, signal) => {
        // The other processes of a container die with its first one.
        killGroup(child.pid, 'SIGKILL');
        let finished = false;
        const finish = () => {
          if (finished) return;
          finished = true;
          this.#finish(code ?? 128 + signalNumber(signal), Date.now() - startedAt).then(done);
        };
        child.once('close', finish);
        setTimeout(finish, 250);
      });
    });
    if (this.spec.healthcheck) {
      this.health = { Status: 'starting', FailingStreak: 0, Log: [] };
      this.#scheduleProbe(startedAt);
    }
    this.#changed();
  }

  #spawn(
    argv: string[],
    stdio: ['ignore' | 'pipe', 'pipe', 'pipe'],
    extra: Record<string, string> = {},
  ): ChildProcess {
    // A path that exists in the container's files means that file, not the computer's.
    const words = argv.map((word) => {
      if (!word.startsWith('/') || word.split('/').includes('..')) return word;
      const own = join(this.root, word);
      return existsSync(own) ? own : word;
    });
    const environment = { ...this.spec.environment, ...extra };
    return spawn(words[0]!, words.slice(1), {
      cwd: this.#path(this.spec.workingDirectory),
      env: {
        HOME: this.root,
        ...environment,
        PATH: `${join(this.root, 'usr/local/bin')}:${this.spec.runtime}:/usr/local/bin:/usr/bin:/bin`,
        HOSTNAME: environment.HOSTNAME ?? this.id.slice(0, 12),
        HOST: this.spec.address,
        ...this.spec.marker,
      },
      stdio,
      detached: true,
    });
  }

  async #finish(code: number, ranMs: number): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (this.#partial[stream]) this.#log(stream, Buffer.from('\n'));
    }
    clearTimeout(this.#healthTimer);
    killGroup(this.#probe?.pid, 'SIGKILL');
    for (const child of this.#execs) killGroup(child.pid, 'SIGKILL');
    this.#closePorts();
    this.#child = undefined;
    this.exitCode = code;
    this.finishedAt = new Date().toISOString();
    if (this.status === 'removing') return;
    const { policy, max } = this.spec.restart;
    const again =
      !this.#stopping &&
      (policy === 'always' ||
        policy === 'unless-stopped' ||
        (policy === 'on-failure' && code !== 0 && (max === 0 || this.restartCount < max)));
    if (!again) {
      this.status = 'exited';
      this.#changed();
      return;
    }
    // Docker doubles the wait up to a minute and starts anew after a run of 10 s.
    if (ranMs > 10_000) this.#backoffMs = 100;
    this.status = 'restarting';
    this.#restartTimer = setTimeout(() => {
      this.restartCount += 1;
      this.#launch().catch(() => {
        if (this.status !== 'removing') this.status = 'exited';
        this.#changed();
      });
    }, this.#backoffMs);
    this.#backoffMs = Math.min(this.#backoffMs * 2, 60_000);
    this.#changed();
  }

  /** The last answers of a process that has just ended may still be on their way to the client. */
  #closePorts(): void {
    for (const { forward } of this.#forwards) {
      void forward.close(1000).then(() => this.spec.forwards.delete(forward));
    }
    this.#forwards = [];
  }

  /** Stop signal, then SIGKILL to the whole group when the grace period (milliseconds) is over. */
  async stop(graceMs = this.spec.stopGraceMs): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    if (this.status === 'restarting') {
      this.status = 'exited';
      this.#changed();
    }
    // A restart may be under way just now.
    await this.#launching.catch(() => {});
    const child = this.#child;
    if (!child) return;
    killProcess(child.pid, this.spec.stopSignal);
    const timer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), graceMs);
    await this.#ended;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    await this.stop(0);
  }

  async remove(): Promise<void> {
    this.status = 'removing';
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#healthTimer);
    this.#stopping = true;
    await this.#launching.catch(() => {});
    if (this.#child) {
      killGroup(this.#child.pid, 'SIGKILL');
      await this.#ended;
    }
    this.#closePorts();
    await rm(this.spec.directory, { recursive: true, force: true, maxRetries: 3 });
    this.#changed();
  }

  /** Runs another command inside a running container; the caller streams its output. */
  exec(argv: string[], extra: Record<string, string>, stdin: boolean): ChildProcess {
    const child = this.#spawn(argv, [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'], extra);
    this.#execs.add(child);
    child.once('close', () => this.#execs.delete(child));
    return child;
  }

  /** Resolves when its state or health changes, or after `ms`. */
  changed(ms: number): Promise<void> {
    return new Promise((done) => {
      const finish = () => {
        clearTimeout(timer);
        this.#waiting.delete(finish);
        done();
      };
      const timer = setTimeout(finish, ms);
      this.#waiting.add(finish);
    });
  }

  #changed(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Feeds output as it comes, for `docker compose run`. */
  attach(sink: (stream: 'stdout' | 'stderr', chunk: Buffer) => void): () => void {
    this.#sinks.add(sink);
    return () => this.#sinks.delete(sink);
  }

  /** Slows the process down while a reader cannot keep up. */
  output(stream: 'stdout' | 'stderr'): Readable | null | undefined {
    return this.#child?.[stream];
  }

  logs(tail?: number): LogLine[] {
    const lines = [...this.#logs];
    return tail === undefined ? lines : tail === 0 ? [] : lines.slice(-tail);
  }

  #log(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    for (const sink of this.#sinks) sink(stream, chunk);
    const pieces = (this.#partial[stream] + chunk.toString('utf8')).split('\n');
    this.#partial[stream] = pieces.pop() ?? '';
    if (this.#partial[stream].length > 16 * 1024) {
      pieces.push(this.#partial[stream]);
      this.#partial[stream] = '';
    }
    for (const text of pieces) {
      this.#logs.push({ stream, at: Date.now(), text });
      this.#logSize += text.length + 1;
    }
    while (this.#logSize > LOG_LIMIT && this.#logs.length > 1)
      this.#logSize -= this.#logs.shift()!.text.length + 1;
  }

  #scheduleProbe(startedAt: number): void {
    const check = this.spec.healthcheck!;
    const inStartPeriod = this.health?.Status === 'starting' && Date.now() - startedAt < check.startPeriodMs;
    this.#healthTimer = setTimeout(
      () => void this.#runProbe(startedAt),
      inStartPeriod ? check.startIntervalMs : check.intervalMs,
    );
  }

  async #runProbe(startedAt: number): Promise<void> {
    const check = this.spec.healthcheck!;
    const argv = check.test[0] === 'CMD-SHELL' ? ['/bin/sh', '-c', check.test[1] ?? ''] : check.test.slice(1);
    const start = new Date();
    const owner = this.#child;
    let output = '';
    let code: number;
    let timedOut = false;
    const child = this.#spawn(argv, ['ignore', 'pipe', 'pipe']);
    this.#probe = child;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid, 'SIGKILL');
    }, check.timeoutMs);
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        if (output.length < 4096) output = (output + chunk.toString('utf8')).slice(0, 4096);
      });
    }
    code = await new Promise<number>((done) => {
      child.once('error', (error) => {
        output = `OCI runtime exec failed: exec failed: unable to start container process: ${error.message}`;
        done(-1);
      });
      child.once('close', (status, signal) => done(status ?? 128 + signalNumber(signal)));
    });
    clearTimeout(timer);
    this.#probe = undefined;
    if (this.#child !== owner || this.status !== 'running' || !this.health) return;
    if (timedOut) {
      code = -1;
      output = `Health check exceeded timeout (${check.timeoutMs / 1000}s)${output ? `: ${output}` : ''}`;
    }
    const health = this.health;
    health.Log.push({
      Start: start.toISOString(),
      End: new Date().toISOString(),
      ExitCode: code,
      Output: output,
    });
    if (health.Log.length > 5) health.Log.shift();
    if (code === 0) {
      health.FailingStreak = 0;
      health.Status = 'healthy';
    } else if (health.Status !== 'starting' || start.getTime() - startedAt >= check.startPeriodMs) {
      health.FailingStreak += 1;
      if (health.FailingStreak >= check.retries) health.Status = 'unhealthy';
    }
    this.#changed();
    this.#scheduleProbe(startedAt);
  }

  /** What `docker inspect` shows. */
  inspect(): Record<string, unknown> {
    const { spec } = this;
    const running = this.status === 'running';
    const ports: Record<string, Array<{ HostIp: string; HostPort: string }> | null> = {};
    const bindings: Record<string, Array<{ HostIp: string; HostPort: string }>> = {};
    for (const port of spec.ports) {
      const key = `${port.target}/tcp`;
      const open = this.#forwards.find((entry) => entry.port === port);
      const published = String(port.published || '');
      bindings[key] = [...(bindings[key] ?? []), { HostIp: port.hostIp, HostPort: published }];
      if (open) {
        ports[key] = [
          ...(ports[key] ?? []),
          { HostIp: port.hostIp || '0.0.0.0', HostPort: String(open.forward.port) },
        ];
      }
    }
    for (const exposed of Object.keys(spec.image.config.ExposedPorts ?? {})) {
      if (running) ports[exposed] ??= null;
    }
    const argv = [...spec.entrypoint, ...spec.command];
    const check = spec.healthcheck;
    return {
      Id: this.id,
      Created: this.created.toISOString(),
      Path: argv[0] ?? '',
      Args: argv.slice(1),
      State: {
        Status: this.status,
        Running: running || this.status === 'restarting',
        Paused: false,
        Restarting: this.status === 'restarting',
        OOMKilled: false,
        Dead: false,
        Pid: this.pid,
        ExitCode: running ? 0 : this.exitCode,
        Error: this.error,
        StartedAt: this.startedAt,
        FinishedAt: this.finishedAt,
        ...(this.health ? { Health: structuredClone(this.health) } : {}),
      },
      Image: spec.image.id,
      ResolvConfPath: '',
      LogPath: '',
      Name: `/${this.name}`,
      RestartCount: this.restartCount,
      Driver: 'lab-process-engine',
      Platform: 'linux',
      HostConfig: {
        NetworkMode: spec.network,
        PortBindings: bindings,
        RestartPolicy: { Name: spec.restart.policy, MaximumRetryCount: spec.restart.max },
        Binds: spec.mounts
          .filter((mount) => mount.type === 'bind')
          .map((mount) => `${mount.source}:${mount.target}:${mount.readOnly ? 'ro' : 'rw'}`),
      },
      Mounts: spec.mounts.map((mount) => ({
        Type: mount.type,
        ...(mount.name ? { Name: mount.name, Driver: 'local' } : {}),
        Source: mount.source,
        Destination: mount.target,
        Mode: mount.readOnly ? 'ro' : 'rw',
        RW: !mount.readOnly,
        Propagation: mount.type === 'bind' ? 'rprivate' : '',
      })),
      Config: {
        Hostname: this.id.slice(0, 12),
        Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
        Cmd: spec.command,
        Image: spec.imageRef,
        WorkingDir: spec.workingDirectory,
        Entrypoint: spec.entrypoint.length ? spec.entrypoint : null,
        Labels: spec.labels,
        StopSignal: spec.stopSignal,
        StopTimeout: Math.ceil(spec.stopGraceMs / 1000),
        ...(check
          ? {
              Healthcheck: {
                Test: check.test,
                Interval: check.intervalMs * 1e6,
                Timeout: check.timeoutMs * 1e6,
                StartPeriod: check.startPeriodMs * 1e6,
                StartInterval: check.startIntervalMs * 1e6,
                Retries: check.retries,
              },
            }
          : {}),
      },
      NetworkSettings: {
        Ports: running ? ports : {},
        IPAddress: '',
        Networks: {
          [spec.network]: {
            IPAddress: running ? spec.address : '',
            Gateway: running ? spec.gateway : '',
            Aliases: [spec.labels['com.docker.compose.service'] ?? this.name],
          },
        },
      },
    };
  }
}

const SIGNALS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** The number by which a shell reports a death by signal (128 + n). */
export function signalNumber(signal: NodeJS.Signals | null): number {
  return signal ? (SIGNALS[signal] ?? 0) : 0;
}

/** Signals a whole process group; one that is gone already is fine. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid) killProcess(-pid, signal);
}

function killProcess(pid: number | undefined, signal: NodeJS.Signals): void {
  if (!pid) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
