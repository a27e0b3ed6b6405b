import { word } from '@lockkeeper/ssh';
import { Deadline, formatDuration } from '@lockkeeper/wait';
import type { Container } from '../host/containers.ts';
import { onHost } from '../host/next-command.ts';
import type { Verdict } from '../outcome.ts';
import type { Site } from '../site.ts';
import { evidenceOf } from './evidence.ts';
import { askHealth } from './health-url.ts';
import { type Expectation, type Judgement, judge, type Reference } from './verdict.ts';

const pollEvery = 500;

export interface Watched {
  /** The containers that are judged, of all that the project has now. */
  select?(container: Container): boolean;
  expectations: readonly Expectation[];
  /** Whether the app is asked too (health-url). */
  ask: boolean;
  /** Milliseconds until all must be well. */
  timeout: number;
  /** Milliseconds in which nothing may restart or fall ill once all is well. */
  window: number;
  /** Called once, when the containers are well and before the app is asked; true: they have to be looked at again. */
  ready?(containers: readonly Container[]): Promise<boolean>;
  /** Called once, when all is well and the window begins. */
  well?(containers: readonly Container[]): void;
}

/** Waits until containers (and the app) are proven or have failed; then nothing may restart or fall ill for the window. */
export async function watch(site: Site, watched: Watched): Promise<Verdict> {
  const { docker, host, context } = site;
  const { clock, log, signal } = context;
  const { expectations, timeout } = watched;
  const deadline = new Deadline(clock, timeout);
  const failed = (judgement: Judgement, reason: string) => failure(site, judgement, reason, deadline);
  let told = '';
  const tell = (what: string) => {
    if (what !== told) log.info(`${host}: ${what} (${formatDuration(deadline.elapsed())})`);
    told = what;
  };
  let ready = false;
  let window: { deadline: Deadline; reference: Reference } | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const all = await docker.containersOf(site.name);
    const containers = watched.select ? all.filter(watched.select) : all;
    const judgement = judge(containers, expectations, host, window?.reference);
    let { reason } = judgement;
    if (judgement.state === 'failed') return failed(judgement, reason);
    if (judgement.state === 'good') {
      if (!ready) {
        ready = true;
        if (await watched.ready?.(containers)) continue;
      }
      const ill = watched.ask ? await askApp(site, deadline, window !== undefined) : undefined;
      if (ill === undefined) {
        if (!window) {
          window = { deadline: new Deadline(clock, watched.window), reference: referenceOf(containers) };
          if (watched.window > 0) tell(`healthy; watching it for ${formatDuration(watched.window)}`);
          watched.well?.(containers);
        } else if (window.deadline.passed()) {
          const { services } = judgement;
          return { good: true, services, reason: '', details: '', next: '', took: deadline.elapsed() };
        }
        await clock.sleep(Math.min(pollEvery, Math.max(1, window.deadline.remaining())), signal);
        continue;
      }
      reason = `the app is not well: ${ill}`;
      if (window)
        return failed(
          { ...judgement, failed: containers },
          `the app fell ill on ${host} within the stability window: ${ill}`,
        );
    }
    tell(reason);
    if (deadline.passed())
      return failed(
        { ...judgement, failed: judgement.failed.length > 0 ? judgement.failed : containers },
        `${reason}, on ${host} after ${formatDuration(timeout)} (health-timeout)`,
      );
    await clock.sleep(Math.min(pollEvery, deadline.remaining()), signal);
  }
}

/** Undefined when the app is well. With `sure` a bad answer is no broken connection's: those say nothing about the app. */
async function askApp(
  { settings, context }: Site,
  deadline: Deadline,
  sure: boolean,
): Promise<string | undefined> {
  const { health } = settings;
  if (!health) return undefined;
  const { shell, clock, signal } = context;
  const timeout = Math.min(5_000, Math.max(1_000, deadline.remaining()));
  const ask = () => askHealth(shell, health, { timeout, clock, signal });
  const { losses } = shell;
  const ill = await ask();
  if (ill === undefined || !sure) return ill;
  // A connection that went silent is found out here.
  await shell.run(':', { signal });
  return shell.losses === losses ? ill : ask();
}

async function failure(
  site: Site,
  judgement: Judgement,
  reason: string,
  deadline: Deadline,
): Promise<Verdict> {
  const first = judgement.failed[0]?.service;
  const logs = `docker compose -p ${word(site.name)} logs --tail 50`;
  return {
    good: false,
    services: judgement.services,
    reason,
    details: await evidenceOf(site.docker, judgement.failed),
    next: onHost(site.context.shell, first ? `${logs} ${word(first)}` : logs, site.directory),
    took: deadline.elapsed(),
  };
}

function referenceOf(containers: readonly Container[]): Reference {
  return new Map(containers.map(({ id, restartCount, startedAt }) => [id, { restartCount, startedAt }]));
}
