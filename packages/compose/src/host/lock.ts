import { type Log, messageOf, UserError } from '@lockkeeper/action';
import { type Shell, word } from '@lockkeeper/ssh';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { type Current, parseCurrent } from '../record/host-state.ts';
import { lastLine } from './answer.ts';
import * as scripts from './lock-scripts.ts';
import { onHost } from './next-command.ts';

/** Without a sign of life for so long (the host's clock, seconds) a lock may be taken over. */
const expiry = 90;
const beatEvery = 15_000;

/** Another run holds the host and did not finish within `lock-timeout`. */
export class Locked extends UserError {
  override readonly name = 'Locked';
}

/** This run's lock on a project: no two deploys at once. It says that it lives until it is released. */
export class Lock {
  /** What the record said when the lock was taken. */
  readonly found: Current;
  readonly #shell: Shell;
  readonly #directory: string;
  readonly #token: string;
  #timer: NodeJS.Timeout | undefined;
  /** Set when somebody else took the lock over: nothing may be changed any more. */
  lost = false;

  private constructor(shell: Shell, directory: string, token: string, found: Current) {
    this.found = found;
    this.#shell = shell;
    this.#directory = directory;
    this.#token = token;
  }

  /** Waits up to `timeout` for the lock. Throws `Locked` that names its holder. */
  static async take(
    shell: Shell,
    {
      directory,
      token,
      owner,
      timeout,
      log,
      clock,
      signal,
    }: {
      directory: string;
      token: string;
      owner: string;
      timeout: number;
      log: Log;
      clock: Clock;
      signal?: AbortSignal;
    },
  ): Promise<Lock> {
    const deadline = new Deadline(clock, timeout);
    let told = '';
    for (;;) {
      const { code, stdout, stderr } = await shell.run(scripts.takeLock, {
        args: [directory, token, String(expiry)],
        stdin: owner,
        signal,
      });
      const path = `${directory}/.lockkeeper`;
      if (code === 67)
        throw new UserError(`${path} on ${shell.name} is a symbolic link, which somebody else may own`, {
          next: onHost(shell, `ls -ld ${word(path)}`),
        });
      if (code !== 0)
        throw new UserError(`${shell.name}: cannot take the deploy lock in ${path}: ${lastLine(stderr)}`, {
          next: onHost(shell, `ls -ld ${word(directory)}`),
        });
      const [answer = '', holder = '', ...rest] = stdout.split('\n');
      if (answer.startsWith('taken')) {
        if (answer === 'taken over') log.warning(`${shell.name}: took over the lock of a run that is gone`);
        const lock = new Lock(shell, directory, token, parseCurrent([holder, ...rest].join('\n')));
        lock.#beat(log);
        return lock;
      }
      const [, age = '0', alive, mine] = answer.split(' ');
      const who =
        mine === 'yes'
          ? 'an earlier run that is gone, a step of it is running'
          : `${holder || 'another run'}, last sign of life ${age} s ago${alive === 'yes' ? ', a step of it is running' : ''}`;
      if (deadline.passed()) {
        if (mine === 'yes') await shell.run(scripts.releaseLock, { args: [directory, token] });
        throw new Locked(`${shell.name} is locked by ${who}; waited ${formatDuration(deadline.elapsed())}`, {
          next: 'wait for that run, or raise lock-timeout',
        });
      }
      const now = `${holder} ${alive}`;
      if (now !== told) log.info(`${shell.name}: waiting for ${who}`);
      told = now;
      await clock.sleep(Math.min(2_000, deadline.remaining()), signal);
    }
  }

  #beat(log: Log): void {
    this.#timer = setInterval(async () => {
      try {
        const { code } = await this.#shell.run(scripts.beatLock, { args: [this.#directory, this.#token] });
        if (code === 69 && this.#timer) {
          this.lost = true;
          log.error(`${this.#shell.name}: the lock was taken over by another run; nothing more is changed`);
        }
      } catch (error) {
        // The connection is down; the next beat, or the step under way, connects anew.
        log.debug(`${this.#shell.name}: no heartbeat: ${messageOf(error)}`);
      }
    }, beatEvery);
    this.#timer.unref();
  }

  /** Throws when the lock is no longer ours. To be asked before every change. */
  check(): void {
    if (this.lost) throw new UserError(`${this.#shell.name}: another run took the lock over`);
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#shell.run(scripts.releaseLock, { args: [this.#directory, this.#token] });
  }

  /** Stops the signs of life without giving the lock back: post of the same run goes on with it. */
  leave(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
