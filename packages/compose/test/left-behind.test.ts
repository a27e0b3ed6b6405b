import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { leftBehind, type Memories, meet } from '../src/prove/left-behind.ts';

const container = (service: string, address: string, changes: Partial<Container> = {}): Container => ({
  ...({ oneOff: false, ports: [], dependsOn: [] } as unknown as Container),
  id: `${service}-1`,
  service,
  status: 'running',
  startedAt: '2026-11-21T03:12:00Z',
  addresses: address ? [address] : [],
  ...changes,
});
const nginx = (changes: Partial<Container> = {}) =>
  container('nginx', '172.18.0.7', {
    ports: [{ host: 80, container: 80 }],
    dependsOn: ['web', 'frontend'],
    ...changes,
  });
const frontend = container('frontend', '', { status: 'exited' });

describe('a proxy that stayed while a service behind it was replaced', () => {
  const after = (
    web: Container[],
    proxy = nginx(),
    { sure = true, except = [] as string[], behind = {} as Record<string, string[]> } = {},
  ) => {
    const memories: Memories = new Map();
    meet(memories, [nginx(), container('web', '172.18.0.5'), frontend], sure);
    return leftBehind(memories, [proxy, ...web, frontend], behind, except).map(({ service }) => service);
  };

  it.each<[string, string[], ReturnType<typeof after>]>([
    ['that moved to another address', ['nginx'], after([container('web', '172.18.0.6')])],
    ['that kept its address', [], after([container('web', '172.18.0.5', { id: 'web-2' })])],
    [
      'of which one more runs now',
      [],
      after([container('web', '172.18.0.5'), container('web', '172.18.0.8')]),
    ],
    ['that does not run', [], after([container('web', '', { status: 'restarting' })])],
    ['that blue-green sees to', [], after([container('web', '172.18.0.6')], nginx(), { except: ['web'] })],
    [
      'after a run that was cut short, at an address that it may not know',
      ['nginx'],
      after([container('web', '172.18.0.5')], nginx(), { sure: false }),
    ],
    [
      'and which was started anew since, by whomever',
      [],
      after([container('web', '172.18.0.6')], nginx({ startedAt: '2026-11-21T03:13:00Z' })),
    ],
    ['and which publishes no port', [], after([container('web', '172.18.0.6')], nginx({ ports: [] }))],
    [
      'and which was started without its dependencies, though the file names them',
      ['nginx'],
      after([container('web', '172.18.0.6')], nginx({ dependsOn: [] }), { behind: { nginx: ['web'] } }),
    ],
    [
      'and which does not depend on it',
      [],
      after([container('web', '172.18.0.6')], nginx({ dependsOn: [] })),
    ],
  ])('%s: %j must look again', (_what, expected, found) => {
    expect(found).toEqual(expected);
  });

  it('remembers where it was when the proxy started, whatever came between', () => {
    const memories: Memories = new Map();
    meet(memories, [nginx(), container('web', '172.18.0.5')], true);
    // A release that failed, at another address.
    meet(memories, [nginx(), container('web', '172.18.0.6')], true);
    expect(leftBehind(memories, [nginx(), container('web', '172.18.0.5')], {})).toEqual([]);
    expect(leftBehind(memories, [nginx(), container('web', '172.18.0.6')], {})).toHaveLength(1);
  });
});
