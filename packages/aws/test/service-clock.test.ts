import { describe, expect, it } from '@jest/globals';
import { serviceClock } from '../src/service-clock.ts';

describe("the service's clock", () => {
  const noon = Date.parse('2026-11-21T12:00:00Z');
  const at = (ms: number) => new Date(ms).toUTCString();

  it('is this machine’s until there was an answer, or one without a date', () => {
    const service = serviceClock({ now: () => noon });
    service.heard(undefined);
    service.heard('soon');
    expect(service.now()).toBe(noon);
  });

  it.each([7 * 3_600_000, -7 * 3_600_000])('is followed when it is %d ms ahead', (ahead) => {
    let now = noon;
    const service = serviceClock({ now: () => now });
    service.heard(at(now + ahead));
    now += 90_000;
    expect(service.now()).toBe(noon + ahead + 90_000);
  });

  it('does not fall behind for an answer that was long on its way', () => {
    let now = noon;
    const service = serviceClock({ now: () => now });
    service.heard(at(noon));
    now += 9_000;
    service.heard(at(noon));
    expect(service.now()).toBe(noon + 9_000);
  });
});
