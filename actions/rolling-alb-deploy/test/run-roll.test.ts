import { describe, expect, it } from '@jest/globals';
import { leftOut, resultOf } from '../src/roll/roll.ts';
import { runRoll } from '../src/roll/run-roll.ts';
import { group, record, stand } from './stand.ts';

const summary = (hosts: Array<{ id: string; rotation: string; release: string }>) =>
  hosts.map(({ id, rotation, release }) => `${id} ${rotation} ${release}`);

describe('a roll', () => {
  it('brings two good targets to the new release, one after the other, each back in rotation', async () => {
    const s = stand();
    const hosts = await s.roll();
    expect(s.journal).toEqual([
      'deregister i-a:8000',
      'switch i-a',
      'register i-a:8000',
      'deregister i-b:8000',
      'switch i-b',
      'register i-b:8000',
    ]);
    expect(summary(hosts)).toEqual(['i-a in new', 'i-b in new']);
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.fewest()).toBe(1);
    expect(s.states()).toEqual({ 'i-a': 'healthy', 'i-b': 'healthy' });
  });

  it('takes everybody back when the third target is sick in the target group', async () => {
    const s = stand({ ids: ['i-a', 'i-b', 'i-c'], sick: new Set(['i-c']) });
    const hosts = await s.roll('rollback-all');
    expect(summary(hosts)).toEqual(['i-a in old', 'i-b in old', 'i-c in old']);
    expect([...s.runs.values()]).toEqual(['old', 'old', 'old']);
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000', 'i-c:8000']);
    expect(s.fewest()).toBe(2);
    expect(hosts[2]?.failure).toContain('502');
    // The failed one first: it is the capacity that is missing.
    expect(s.journal.filter((line) => line.startsWith('go-back'))).toEqual([
      'go-back i-c',
      'go-back i-b',
      'go-back i-a',
    ]);
  });

  it('leaves the finished ones on the new release with rollback-failed, and starts nobody else', async () => {
    const s = stand({ ids: ['i-a', 'i-b', 'i-c'], faults: { 4: 'fails' } });
    const hosts = await s.roll('rollback-failed');
    expect(summary(hosts)).toEqual(['i-a in new', 'i-b in old', 'i-c in old']);
    expect(s.runs.get('i-c')).toBe('old');
    expect(s.journal).not.toContain('deregister i-c:8000');
    expect(resultOf(hosts, 'rollback-failed')).toBe('failed');
  });

  it('stops with the failed one back in rotation as it is, for the load balancer to judge', async () => {
    const s = stand({ sick: new Set(['i-a']) });
    const hosts = await s.roll('stop');
    expect(s.runs.get('i-a')).toBe('new');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(s.journal).toEqual(['deregister i-a:8000', 'switch i-a', 'register i-a:8000']);
    expect(leftOut(hosts)).toEqual([]);
    expect(resultOf(hosts, 'stop')).toBe('failed');
  });

  it('registers a host even when its old release does not come back, and says so', async () => {
    const s = stand({ faults: { 1: 'fails', 2: 'fails' } });
    const hosts = await s.roll('rollback-all');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(resultOf(hosts, 'rollback-all')).toBe('rollback-failed');
    expect(hosts[0]?.failure).toMatch(/does not come up; then .*does not come up; then not healthy/);
  });

  it('changes nothing when deregistering is denied', async () => {
    const s = stand({ faultsFrom: { effect: 'deregister', fault: 'denied' } });
    const hosts = await s.roll();
    expect(s.journal).toEqual([]);
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(resultOf(hosts, 'rollback-all')).toBe('failed');
    expect(hosts[0]?.failure).toContain('not allowed: deregister');
  });

  it('asks what became of a registration whose answer was lost, and does not do it twice', async () => {
    const s = stand({ faults: { 2: 'lost' } });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.journal.filter((line) => line === 'register i-a:8000')).toHaveLength(1);
  });

  it('does a throttled call again', async () => {
    const s = stand({ faults: { 0: 'throttled', 3: 'throttled' } });
    expect(resultOf(await s.roll(), 'rollback-all')).toBe('deployed');
  });

  it('waits for the settle time and for five seconds without a connection, not for the whole delay', async () => {
    const s = stand({ connections: (_id, since) => (since < 30_000 ? 2 : 0) });
    await s.roll();
    const drained = s.timeline.seconds('i-a').drain ?? 0;
    expect(drained).toBeGreaterThanOrEqual(35);
    expect(drained).toBeLessThan(39);
  });

  it('waits out the whole delay when connections cannot be counted, and says so', async () => {
    const s = stand({ connections: () => undefined });
    await s.roll();
    expect(s.timeline.seconds('i-a').drain).toBeGreaterThanOrEqual(60);
    expect(s.log.lines.join('\n')).toContain('cannot be counted, so the whole delay');
  });

  it.each(['idle', 'full'] as const)(
    'tells which connections are cut when a drain that is %s is over',
    async (kind) => {
      const s = stand({ connections: () => 3, settings: { drain: { kind, settle: 15_000 } } });
      const hosts = await s.roll();
      expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
      expect(s.timeline.seconds('i-a').drain).toBeGreaterThanOrEqual(60);
      expect(s.log.lines.join('\n')).toContain('3 connections were still open');
      expect(hosts.map(({ cut }) => cut)).toEqual([3, 3]);
    },
  );

  it.each(['idle', 'full'] as const)(
    'tells them also when the load balancer cut them just before the last look, with drain: %s',
    async (kind) => {
      const s = stand({
        connections: (_id, since) => (since < 59_500 ? 3 : 0),
        settings: { drain: { kind, settle: 15_000 } },
      });
      expect((await s.roll()).map(({ cut }) => cut)).toEqual([3, 3]);
    },
  );

  it('never ends a drain before it settled, however idle the host is, nor after a delay that is shorter', async () => {
    for (const [settle, delay, least, most] of [
      [15_000, 60_000, 15, 18],
      [0, 60_000, 5, 8],
      [15_000, 8_000, 8, 11],
    ] as const) {
      const s = stand({
        target: group({ deregistrationDelay: delay }),
        settings: { drain: { kind: 'idle', settle } },
      });
      await s.roll();
      expect(s.timeline.seconds('i-a').drain).toBeGreaterThanOrEqual(least);
      expect(s.timeline.seconds('i-a').drain).toBeLessThan(most);
    }
  });

  it('begins to count five idle seconds anew with every connection', async () => {
    const s = stand({ connections: (_id, since) => (since % 4_000 < 1_000 && since < 30_000 ? 1 : 0) });
    await s.roll();
    expect(s.timeline.seconds('i-a').drain).toBeGreaterThanOrEqual(33);
  });

  it("counts the last target: its failure is the roll's", async () => {
    for (const onFailure of ['rollback-all', 'rollback-failed', 'stop'] as const) {
      const s = stand({ ids: ['i-a', 'i-b', 'i-c'], sick: new Set(['i-c']) });
      expect(resultOf(await s.roll(onFailure), onFailure)).not.toBe('deployed');
    }
  });

  it('takes nobody out while too few others are healthy', async () => {
    const s = stand({ minimum: 2, settings: { healthyTimeout: 20_000 } });
    const hosts = await s.roll();
    expect(s.journal).toEqual([]);
    expect(hosts[0]?.failure).toContain('2 must stay');
  });

  it('ends at once when a target can never become healthy', async () => {
    const s = stand();
    const from = s.clock.now();
    const original = s.context;
    const context = original('stop', new AbortController().signal);
    const hosts = await runRoll([record('i-a', { rotation: 'registered', release: 'new', touched: true })], {
      ...context,
      gate: {
        ...context.gate,
        health: async () => [
          {
            id: 'i-a',
            port: 8000,
            state: 'unused',
            reason: 'Target.InvalidState',
            description: 'Target is in the stopped state',
            shifted: false,
          },
        ],
      },
    });
    expect(s.clock.now() - from).toBeLessThan(1_000);
    expect(hosts[0]?.failure).toContain('stopped or terminated');
  });

  it('puts back at once, when cancelled, what is out but unchanged', async () => {
    const s = stand();
    const cancel = new AbortController();
    const rolling = s.roll('rollback-all', undefined, cancel.signal);
    const timer = s.clock.sleep(8_000).then(() => cancel.abort(new Error('cancelled')));
    await expect(rolling).rejects.toThrow('cancelled');
    await timer;
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(s.journal).toEqual(['deregister i-a:8000', 'register i-a:8000']);
  });

  it('watches for the bake time and goes back when the target turns unhealthy in it', async () => {
    const s = stand({ settings: { bakeTime: 60_000 } });
    const rolling = s.roll();
    const rot = s.clock.sleep(60_000).then(() => s.runs.set('i-a', 'between'));
    const hosts = await rolling;
    await rot;
    expect(hosts[0]?.failure).toContain('during bake-time');
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
  });

  it('asks health-url during the bake time, and goes back when it fails twice in a row', async () => {
    const blip = stand({
      settings: { bakeTime: 30_000 },
      unwell: (_id, now) => (now % 7_000 < 400 ? 'GET /health/ answered 503' : undefined),
    });
    expect(resultOf(await blip.roll(), 'rollback-all')).toBe('deployed');
    const ill = stand({
      settings: { bakeTime: 30_000 },
      unwell: (id) => (id === 'i-b' ? 'GET /health/ answered 503' : undefined),
    });
    const hosts = await ill.roll();
    expect(hosts[1]?.failure).toBe('no longer well during bake-time: GET /health/ answered 503');
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
  });

  /** Calls of a roll of healthy targets, with the defaults and a delay of 300 s. */
  const callsOf = async (targets: number, size: number) => {
    const ids = Array.from({ length: targets }, (_, n) => `i-${n}`);
    const s = stand({ ids, target: group({ deregistrationDelay: 300_000 }) });
    const context = s.context('rollback-all', new AbortController().signal);
    let calls = 0;
    const counted = <T extends unknown[], R>(call: (...args: T) => R) => {
      return (...args: T): R => {
        calls++;
        return call(...args);
      };
    };
    const { health, register, deregister } = context.gate;
    const hosts = await runRoll(
      ids.map((id, n) => record(id, { batch: Math.floor(n / size) })),
      {
        ...context,
        gate: { health: counted(health), register: counted(register), deregister: counted(deregister) },
      },
    );
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    return calls;
  };

  it('needs API calls that grow with time and batches, not with targets squared', async () => {
    const calls = await callsOf(2, 1);
    // Recorded: 18 calls a batch.
    expect(calls).toBeLessThan(2 * 20);
    expect(await callsOf(10, 1)).toBe(5 * calls);
    expect(await callsOf(100, 10)).toBe(5 * calls);
    // Two batches are two batches, however many targets are in them.
    expect(await callsOf(100, 50)).toBe(calls);
  });
});
