import type { Container } from '../host/containers.ts';
import type { ServiceState } from '../outcome.ts';

export interface Expectation {
  service: string;
  replicas: number;
  /** The id of the image that must run. */
  image?: string;
}

/** What a container looked like when the stability window began. */
export type Reference = ReadonlyMap<string, { restartCount: number; startedAt: string }>;

export interface Judgement {
  state: 'good' | 'waiting' | 'failed';
  services: ServiceState[];
  /** Containers that failed, for their logs. */
  failed: Container[];
  /** One line about the first failure, or about what is waited for. */
  reason: string;
}

/** So many restarts since it was created and the service is in a crash loop. */
const crashLoop = 3;

/**
 * Our own verdict from `docker inspect` over all replicas. `failed` is only said where waiting cannot help:
 * unhealthy after all its retries, exited with an error and not restarted, a crash loop, a restart or an
 * unhealthy state within the stability window.
 */
export function judge(
  containers: readonly Container[],
  expectations: readonly Expectation[],
  host: string,
  reference?: Reference,
): Judgement {
  const failed: Container[] = [];
  const failures: string[] = [];
  const services = expectations.map(({ service, replicas, image }): ServiceState => {
    const own = containers.filter((container) => container.service === service && !container.oneOff);
    if (own.length === 0) {
      if (replicas === 0) return { service, state: 'completed', detail: 'no replica wanted' };
      if (reference) failures.push(`${service} has no container on ${host}`);
      return { service, state: 'missing', detail: 'no container' };
    }
    if (replicas === 0) return { service, state: 'starting', detail: 'still runs here, and is to go' };
    const other = image && own.find((container) => container.image !== image);
    if (other) {
      failed.push(other);
      failures.push(`${service} on ${host} does not run the image of this release`);
      return { service, state: 'failed', detail: 'runs another image' };
    }
    const states = own.map((container) => ({ container, ...stateOf(container, reference) }));
    const broken = states.filter(({ state }) => state === 'failed');
    if (broken.length > 0) {
      failed.push(...broken.map(({ container }) => container));
      failures.push(`${service} ${broken[0]!.detail.replace(/^(\S+ ?\S*?)(:|$)/, `$1 on ${host}$2`)}`);
      return { service, state: 'failed', detail: broken[0]!.detail };
    }
    const waiting = states.find(({ state }) => state === 'starting');
    if (waiting) return { service, state: 'starting', detail: waiting.detail };
    const ready = states.filter(({ state }) => state !== 'starting').length;
    if (ready < replicas) return { service, state: 'starting', detail: `${ready} of ${replicas} replicas` };
    const [first] = states;
    return {
      service,
      state: first!.state,
      detail: ready > 1 ? `${ready} of ${Math.max(replicas, ready)} ${first!.state}` : first!.detail,
    };
  });
  if (failures.length > 0) return { state: 'failed', services, failed, reason: failures.join('; ') };
  const waiting = services.filter(({ state }) => state === 'starting' || state === 'missing');
  if (waiting.length > 0)
    return {
      state: 'waiting',
      services,
      failed: containers.filter(({ service }) => waiting.some((item) => item.service === service)),
      reason: waiting.map(({ service, detail }) => `${service}: ${detail}`).join('; '),
    };
  return { state: 'good', services, failed, reason: '' };
}

function stateOf(container: Container, reference?: Reference): Pick<ServiceState, 'state' | 'detail'> {
  const { health, status, restartCount } = container;
  const before = reference?.get(container.id);
  const memory = container.outOfMemory ? ', out of memory' : '';
  const code = `code ${container.exitCode}${memory}`;
  const restarts = ['always', 'unless-stopped'].includes(container.restartPolicy);
  if (status === 'running') {
    if (before && (restartCount > before.restartCount || container.startedAt !== before.startedAt))
      return { state: 'failed', detail: `restarted: it died within the stability window${memory}` };
    // Docker forgets the exit code as soon as the container runs again.
    if (restartCount >= crashLoop) return crashLooping(container, memory);
    if (!health) return { state: 'running', detail: 'running, without a health check' };
    if (health.status === 'healthy') return { state: 'healthy', detail: 'healthy' };
    const streak = `(${Math.min(health.failingStreak, health.retries)} of ${health.retries})`;
    if (health.status === 'unhealthy')
      return { state: 'failed', detail: `is unhealthy: ${lastCheck(container)} ${streak}` };
    return {
      state: 'starting',
      detail: health.failingStreak > 0 ? `starting, ${lastCheck(container)} ${streak}` : 'starting',
    };
  }
  if (status === 'restarting') {
    if (restartCount >= crashLoop) return crashLooping(container, ` with ${code}`);
    if (before)
      return { state: 'failed', detail: `restarted: it died with ${code} within the stability window` };
    return { state: 'starting', detail: `restarting after ${code}` };
  }
  if (status === 'exited' || status === 'dead') {
    if (container.error) return { state: 'failed', detail: `did not start: ${oneLine(container.error)}` };
    // A job that ran to its end. What has a health check, a published port or a standing restart policy is none.
    if (container.exitCode === 0 && !restarts && !health && container.ports.length === 0)
      return { state: 'completed', detail: 'completed' };
    return { state: 'failed', detail: `has exited: ${code}` };
  }
  if (status === 'paused') return { state: 'failed', detail: 'is paused' };
  if (container.error) return { state: 'failed', detail: `did not start: ${oneLine(container.error)}` };
  return { state: 'starting', detail: status };
}

function crashLooping(container: Container, how: string): Pick<ServiceState, 'state' | 'detail'> {
  return {
    state: 'failed',
    detail: `is crash-looping: it died ${container.restartCount} times${how}`,
  };
}

function lastCheck(container: Container): string {
  const last = container.health?.log.findLast(({ exitCode }) => exitCode !== 0);
  return last ? oneLine(last.output) || `the check exited with ${last.exitCode}` : 'no check has passed';
}

function oneLine(text: string): string {
  const line =
    text
      .split(/[\r\n]+/)
      .map((part) => part.trim())
      .filter(Boolean)
      .at(-1) ?? '';
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
}
