import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineFault, Fault, RegistryFault, SlackFault } from '@lockkeeper/lab';
import type { Disturbance } from './case.ts';

// Ways to make a fault so, for the table: each is one word there.

type Strike = NonNullable<Disturbance['strike']>;

const endless = Number.POSITIVE_INFINITY;

/** Calls of AWS go wrong. */
export const aws =
  (...faults: Fault[]): Strike =>
  ({ scene: { lab } }) => {
    const added = faults.map((fault) => lab.account.faults.add(fault));
    return {
      end: () => added.forEach((one) => void one.remove()),
      met: () => added.every(({ struck }) => struck > 0),
    };
  };

/** Every call of an action is denied until the re-run. */
export const denied = (action: string): Strike => aws({ kind: 'denied', match: { action, times: endless } });

/** What AWS gave to the steps so far is worth nothing any more. */
export const sessionsExpire: Strike = ({ scene: { lab } }) => {
  const sessions = () => [...lab.account.principals.values()].filter((one) => one.sessionToken).length;
  const before = sessions();
  lab.account.expireSessions();
  // Whoever went on took the role anew.
  return { met: () => sessions() > before };
};

/** The clock of AWS is that far ahead of the runner's. */
export const skewed = (byMs: number): Strike => aws({ kind: 'skew', byMs, match: { times: endless } });

/** Commands of docker on the hosts go wrong. */
export const docker =
  (...faults: EngineFault[]): Strike =>
  ({ scene: { lab } }) => {
    const engines = lab.hosts.map(({ host }) => ({ engine: host.engine, from: host.engine.calls.length }));
    const added = engines.flatMap(({ engine }) => faults.map((fault) => engine.fault(fault)));
    const isHit = ({ command, holding = '' }: EngineFault) =>
      engines.some(({ engine, from }) =>
        engine.calls.slice(from).some((call) => call.startsWith(command) && `${call} `.includes(holding)),
      );
    return { end: () => added.forEach((one) => void one.remove()), met: () => faults.every(isHit) };
  };

export const registry =
  (fault: RegistryFault): Strike =>
  ({ scene: { lab } }) => {
    const from = lab.registry.requests.length;
    const added = lab.registry.fault(fault);
    return { end: () => added.remove(), met: () => lab.registry.requests.length > from };
  };

/** The next calls of the webhook go wrong, one each. */
export const slack =
  (...faults: SlackFault[]): Strike =>
  ({ scene: { lab } }) => {
    lab.slack.faults.push(...faults);
    return {
      met: () => lab.slack.faults.length === 0,
      end: () => void lab.slack.faults.splice(0),
    };
  };

/** Every SSH connection is cut. */
export const cutSsh: Strike = ({ scene: { lab } }) => {
  const open = lab.hosts.reduce((sum, { host }) => sum + host.sessions, 0);
  for (const { host } of lab.hosts) host.dropConnections('reset');
  return { met: () => open > 0 };
};

/** Nobody gets in, and who was in is thrown out, until the run has told so often that it was refused. */
export const shutOut =
  (times: number): Strike =>
  ({ scene: { lab } }) => {
    const open = lab.shutOut();
    let refused = 0;
    return {
      hear(line) {
        if (/refused the connection/.test(line) && ++refused === times) open();
      },
      met: () => refused >= times,
      end: open,
    };
  };

/** Somebody takes the rule away that the run opened. */
export const ruleGone: Strike = ({ scene: { lab, rulesBefore } }) => {
  const { id, rules } = lab.account.securityGroups.get(lab.securityGroupId)!;
  lab.account.changeRules(
    id,
    rules.filter((rule) => rulesBefore.has(rule.id)),
  );
  return { met: () => rules.length > rulesBefore.size };
};

/** Ends a process as the kernel does when memory is out; answers whether there was one. */
export function killProcess(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}

/** The step's process is killed. */
export const kill: Strike = ({ pid }) => {
  const killed = killProcess(pid());
  return { met: () => killed };
};

/** The user cancels the run. */
export const cancel: Strike = ({ cancel: now }) => {
  now();
  return undefined;
};

/** The runner is told to stop: SIGINT, SIGTERM, and no post. */
export const shutDown: Strike = ({ shutDown: now }) => {
  now();
  return undefined;
};

/** The runner's machine is gone at once. */
export const lose: Strike = ({ lose: now }) => {
  now();
  return undefined;
};

/** The file of a file command cannot be written any more: `save_state`, `step_summary`. */
export const fileCommandGone =
  (name: 'save_state' | 'step_summary'): Strike =>
  ({ scene: { temp } }) => {
    const files = readdirSync(temp, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.includes(`_runner_file_commands/${name}_`),
    );
    for (const file of files) rmSync(join(temp, file));
    return { met: () => files.length > 0 };
  };
