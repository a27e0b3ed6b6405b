import { describe, expect, it } from '@jest/globals';
import { finishRoll } from '../src/roll/post-roll.ts';
import { leftOut, resultOf } from '../src/roll/roll.ts';
import { group, stand } from './stand.ts';

const ids = ['10.0.0.5', '10.0.0.6'];
const ip = (deregistrationDelay: number) => group({ targetType: 'ip', deregistrationDelay });

describe('targets that are registered by their address', () => {
  it('return only when the deregistration delay is over', async () => {
    const s = stand({ ids, target: ip(120_000) });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    const { drain = 0, health = 0 } = s.timeline.seconds('10.0.0.5');
    // Idle, it was switched long before that.
    expect(drain).toBeLessThan(25);
    expect(drain + health).toBeGreaterThanOrEqual(120);
    expect(s.membership()).toEqual(['10.0.0.5:8000', '10.0.0.6:8000']);
    expect(s.log.lines.join('\n')).toContain(
      'an address may return only when its deregistration delay is over',
    );
  });

  it('come back after a sick release, too', async () => {
    const s = stand({ ids, target: ip(60_000), sick: new Set(['10.0.0.6']) });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
    expect(s.membership()).toEqual(['10.0.0.5:8000', '10.0.0.6:8000']);
  });

  it('are put back by post where the delay leaves time for it, and named where it does not', async () => {
    for (const [delay, out] of [
      [60_000, []],
      [300_000, ['10.0.0.5']],
    ] as const) {
      const s = stand({ ids, target: ip(delay), faults: { 1: 'kill-before' } });
      await s.roll().catch(() => {});
      s.revive();
      const hosts = await finishRoll(s.saved(), s.context('rollback-all', new AbortController().signal));
      expect(leftOut(hosts).map(({ id }) => id)).toEqual(out);
    }
  });
});

describe('hosts in several groups, on several ports', () => {
  const admin = group({
    arn: 'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/admin/fedcba9876543210',
    name: 'admin',
    port: 9000,
    deregistrationDelay: 90_000,
  });

  it('leave all of them before they are touched, and are back in all of them before the next one leaves', async () => {
    const s = stand({ more: [admin] });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.journal).toEqual([
      'deregister i-a:8000',
      'deregister i-a:9000',
      'switch i-a',
      'register i-a:8000',
      'register i-a:9000',
      'deregister i-b:8000',
      'deregister i-b:9000',
      'switch i-b',
      'register i-b:8000',
      'register i-b:9000',
    ]);
    expect(s.membership()).toEqual(['admin i-a:9000', 'admin i-b:9000', 'web i-a:8000', 'web i-b:8000']);
  });

  it.each([1, 2, 5, 6])('is in all of them again when effect %i was only half done', async (at) => {
    for (const fault of ['throttled', 'lost', 'kill-before', 'kill-after'] as const) {
      const s = stand({ more: [admin], faults: { [at]: fault } });
      const before = s.membership();
      const main = await s.roll().catch(() => undefined);
      s.revive();
      if (!main) await finishRoll(s.saved(), s.context('rollback-all', new AbortController().signal));
      expect(s.membership()).toEqual(before);
    }
  });
});
