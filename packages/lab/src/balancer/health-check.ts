import { request } from 'node:http';
import type { LabClock } from '../clock.ts';
import { parseMatcher } from './matcher.ts';
import { keyOf, type TargetGroup } from './target-group.ts';
import type { CheckResult, TargetRecord } from './target-state.ts';

/** Where a target really listens; undefined when it cannot be reached (packets are dropped, not refused). */
export type Resolve = (id: string, port: number) => { host: string; port: number } | undefined;

/** One GET on a fresh connection, as the load balancer's nodes check; `timeoutMs` is real time. Never rejects. */
export function checkOnce(options: {
  host: string;
  port: number;
  path: string;
  timeoutMs: number;
  matches: (status: number) => boolean;
  signal?: AbortSignal;
}): Promise<CheckResult> {
  return new Promise((resolve) => {
    const check = request({
      host: options.host,
      port: options.port,
      path: options.path,
      agent: false,
      signal: options.signal,
      headers: {
        host: `${options.host}:${options.port}`,
        'user-agent': 'ELB-HealthChecker/2.0',
        connection: 'close',
      },
    });
    const timer = setTimeout(() => end({ ok: false, kind: 'timeout' }), options.timeoutMs);
    const end = (result: CheckResult) => {
      clearTimeout(timer);
      resolve(result);
      check.destroy();
    };
    check.on('response', (response) => {
      const status = response.statusCode ?? 0;
      response.on('error', () => {});
      end(options.matches(status) ? { ok: true, status } : { ok: false, kind: 'status', status });
    });
    check.on('error', (error) => end({ ok: false, kind: 'connection', message: error.message }));
    check.end();
  });
}

/**
 * Checks every registered target at the group's interval (lab time) until it is deregistered. A check gets its time-out
 * in real time: the app behind it does not run faster with the lab's clock, and one that a busy computer makes late is
 * not ill.
 */
export function startHealthChecks(options: { clock: LabClock; group: TargetGroup; resolve: Resolve }): {
  close(): void;
} {
  const { clock, group, resolve } = options;
  const matches = parseMatcher(group.healthCheck.matcher);
  const loops = new Map<string, { registration: number; stop(): void }>();

  const checkTarget = async (target: TargetRecord, signal: AbortSignal): Promise<CheckResult> => {
    const port = group.healthCheck.port === 'traffic-port' ? target.port : group.healthCheck.port;
    const address = resolve(target.id, port);
    const { timeoutMs } = group.healthCheck;
    if (address === undefined) {
      await clock.sleep(timeoutMs);
      return { ok: false, kind: 'timeout' };
    }
    return checkOnce({ ...address, path: group.healthCheck.path, timeoutMs, matches, signal });
  };

  const begin = (target: TargetRecord) => {
    const key = keyOf(target);
    if (loops.get(key)?.registration === target.registration) return;
    loops.get(key)?.stop();
    const stopped = new AbortController();
    let next: { cancel(): void } | undefined;
    const round = async () => {
      const started = clock.now();
      if (group.condition(target.id, target.port) === 'usable') {
        const result = await checkTarget(target, stopped.signal);
        if (stopped.signal.aborted) return;
        group.recordCheck(target, result);
      } else {
        group.forgetChecks(target);
      }
      // Recording may have told a listener that deregistered this very target.
      if (stopped.signal.aborted) return;
      const spent = clock.now() - started;
      next = clock.after(Math.max(0, group.healthCheck.intervalMs - spent), () => void round());
    };
    loops.set(key, {
      registration: target.registration,
      stop() {
        stopped.abort();
        next?.cancel();
      },
    });
    void round();
  };

  const follow = () => {
    const records = new Map(group.records().map((target) => [keyOf(target), target]));
    for (const [key, loop] of loops) {
      const target = records.get(key);
      if (target === undefined || target.phase === 'draining' || target.registration !== loop.registration) {
        loop.stop();
        loops.delete(key);
      }
    }
    if (!group.healthCheck.enabled) return;
    for (const target of records.values()) {
      if (target.phase !== 'registering' && target.phase !== 'draining') begin(target);
    }
  };
  const unsubscribe = group.onChange(follow);
  follow();
  return {
    close() {
      unsubscribe();
      for (const loop of loops.values()) loop.stop();
      loops.clear();
    },
  };
}
