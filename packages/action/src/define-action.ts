import * as core from '@actions/core';
import { type Clock, systemClock } from '@lockkeeper/wait';
import * as v from 'valibot';
import { type GitHubContext, githubContext } from './context.ts';
import { Cancelled, InputError, messageOf, reasonOf, UserError } from './error.ts';
import { Inputs } from './inputs.ts';
import { actionsLog, type Log } from './log.ts';
import { sanitiseOwn } from './sanitise.ts';

export type Phase = 'main' | 'post';

/** What the bundle knows of its action.yml; `dist/action.json` is made from it. */
export interface ActionContract {
  name: string;
  /** Every input and its default; '' where there is none or it is an expression. */
  inputs: Record<string, string>;
  outputs: string[];
}

/** All that main and post meet of GitHub. */
export interface Step<S> {
  phase: Phase;
  inputs: Inputs;
  log: Log;
  /** One JSON record from main to post. `save` is on disk when it returns: call it before the effect it covers. */
  state: { save(record: S): void; read(): S | undefined };
  output(name: string, value: string | number | boolean | object): void;
  mask(secret: string): void;
  /** Appends a section to the job summary; where that cannot be written it only warns. */
  summary(markdown: string): Promise<void>;
  /** Makes the step red and tells why. */
  fail(error: unknown): void;
  /** Aborted by SIGINT, SIGTERM or SIGHUP. The runner kills 10 s after the first. */
  signal: AbortSignal;
  context: GitHubContext;
  idToken(audience: string): Promise<string>;
  env: Record<string, string | undefined>;
  clock: Clock;
}

export interface ActionDefinition<S> {
  /** The shape of the state record; what does not have it is refused in post. */
  state?: v.GenericSchema<unknown, S>;
  main(step: Step<S>): Promise<void>;
  post?(step: Step<S>): Promise<void>;
}

const stateKey = 'record';

/**
 * Makes the function that a dist stub calls with its phase. The phase comes from the file that the runner
 * starts, not from a variable: an earlier step can set STATE_* through GITHUB_ENV.
 */
export function defineAction<S = never>(definition: ActionDefinition<S>) {
  return async (phase: Phase, contract: ActionContract): Promise<void> => {
    const log = actionsLog();
    const cancel = new AbortController();
    const onSignal = (signal: string) => {
      log.info(`${signal}: stopping; what is under way is undone or recorded`);
      cancel.abort(new Cancelled(signal));
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, onSignal);

    const fail = (error: unknown) => {
      log.flush();
      report(error, log);
      process.exitCode = 1;
    };
    const told = new Set<string>();
    const step: Step<S> = {
      phase,
      inputs: new Inputs({
        get: (name) => process.env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] ?? '',
        defaultOf: (name) => contract.inputs[name] ?? '',
        mask,
      }),
      log,
      state: {
        save: (record) => core.saveState(stateKey, JSON.stringify({ record })),
        read: () => readState(definition.state, process.env[`STATE_${stateKey}`]),
      },
      output: (name, value) => {
        if (!contract.outputs.includes(name)) throw new Error(`output "${name}" is not in action.yml`);
        told.add(name);
        core.setOutput(name, value);
      },
      mask,
      summary: async (markdown) => {
        try {
          await core.summary.addRaw(markdown, true).write();
        } catch (error) {
          log.warning(`the job summary could not be written: ${messageOf(error)}`);
        }
      },
      fail,
      signal: cancel.signal,
      context: githubContext(process.env),
      idToken: (audience) => core.getIDToken(audience),
      env: process.env,
      clock: systemClock,
    };

    // When nothing is left that could answer what the phase waits for, Node ends without a word.
    const onIdle = () => fail(new Error(`${phase} waited for something that can no longer come`));
    process.once('beforeExit', onIdle);
    try {
      if (phase === 'main') {
        // Whatever STATE_ a step before us put into the environment, post now sees ours.
        if (definition.post) core.saveState(stateKey, '');
        await definition.main(step);
      } else {
        await definition.post?.(step);
      }
    } catch (error) {
      fail(error);
      // Main may have ended before it had anything to tell, as with wrong inputs: a message is to say why, all the same.
      if (phase === 'main' && contract.outputs.includes('reason') && !told.has('reason'))
        tellReason(error, log);
    } finally {
      log.flush();
      for (const signal of signals) process.off(signal, onSignal);
      process.off('beforeExit', onIdle);
    }
  };
}

function tellReason(error: unknown, log: Log): void {
  try {
    core.setOutput('reason', reasonOf(error));
  } catch (cause) {
    log.warning(`the output reason could not be written: ${messageOf(cause)}`);
  }
}

function mask(secret: string): void {
  if (secret.trim()) core.setSecret(secret);
}

/** The record that main saved; undefined when it saved none. Throws when it is not of the action's shape. */
export function readState<S>(
  schema: v.GenericSchema<unknown, S> | undefined,
  text: string | undefined,
): S | undefined {
  if (!text || !schema) return undefined;
  try {
    return v.parse(v.object({ record: schema }), JSON.parse(text)).record;
  } catch (error) {
    throw new UserError(
      `the state that main left is not readable, so post touches nothing: ${messageOf(error)}`,
    );
  }
}

function report(error: unknown, log: Log): void {
  if (error instanceof InputError) {
    for (const problem of error.problems) log.error(problem, 'Input');
    return;
  }
  if (error instanceof UserError) {
    log.error(error.next ? `${error.message}\nNext: ${error.next}` : error.message);
    if (error.details) printGroup('Details', error.details);
    return;
  }
  log.error(
    `${messageOf(error)}\nThis is a fault of the action, not of your workflow; the stack is in the log.`,
  );
  printGroup('Stack', error instanceof Error ? (error.stack ?? String(error)) : String(error));
}

function printGroup(title: string, text: string): void {
  core.startGroup(title);
  for (const line of sanitiseOwn(text)) core.info(line);
  core.endGroup();
}
