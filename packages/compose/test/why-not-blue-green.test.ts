import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { parseMemory } from '../src/host/memory.ts';
import { type ComposeConfig, parseConfig } from '../src/stage/compose-config.ts';
import {
  besideThemselves,
  blueGreenDoubts,
  refuseBlueGreen,
  whyNotBlueGreen,
} from '../src/stage/why-not-blue-green.ts';

const reload = 'docker compose exec -T nginx nginx -s reload';
const nginx = { image: 'nginx:1.27', ports: [{ published: '80', target: 80 }] };

/** A project with `web` as given, and a proxy. */
function project(web: object, others: object = { nginx }): ComposeConfig {
  const services = { web: { image: 'ghcr.io/octo/app:latest', ...web }, ...others };
  return parseConfig(JSON.stringify({ name: 'shop', services }));
}

function obstacles(config: ComposeConfig, more: Partial<Parameters<typeof whyNotBlueGreen>[1]> = {}) {
  return whyNotBlueGreen('web', {
    config,
    files: ['compose.yaml'],
    blueGreen: ['web'],
    reload,
    containers: [],
    ...more,
  });
}

describe('blue-green is refused', () => {
  it.each<[string, object, object | undefined, RegExp, RegExp]>([
    [
      'with a name of its own',
      { container_name: 'teammoa_web' },
      undefined,
      /container_name: teammoa_web, and a name belongs to one container/,
      /in compose\.yaml remove "container_name: teammoa_web" below web/,
    ],
    [
      'with a fixed port on the host',
      { ports: [{ published: '8000', target: 8000 }] },
      undefined,
      /publishes the host's port 8000/,
      /remove the port 8000:8000 from web .*or make it a range such as 8000-8001:8000/,
    ],
    [
      'with a range too small for two of each',
      { ports: [{ published: '8000-8002', target: 8000 }], deploy: { replicas: 2 } },
      undefined,
      /the host's port 8000-8002/,
      /8000-8003:8000/,
    ],
    [
      'in the network of the host',
      { network_mode: 'host' },
      undefined,
      /network_mode: host/,
      /remove "network_mode: host" from web/,
    ],
    [
      'in the network of another',
      { network_mode: 'service:vpn' },
      undefined,
      /lives in the network of another/,
      /a network of its own/,
    ],
    [
      'with a fixed address',
      { networks: { default: { ipv4_address: '172.20.0.5' } } },
      undefined,
      /fixed address/,
      /remove ipv4_address/,
    ],
    [
      'when another lives in its network',
      {},
      { nginx, sidecar: { image: 'exporter', network_mode: 'service:web' } },
      /sidecar lives in the network of its container/,
      /give sidecar a network of its own/,
    ],
    [
      'for what keeps state',
      { image: 'registry.example.com:5000/library/postgres:15' },
      undefined,
      /its image is postgres, which keeps state/,
      /take web out of blue-green-services/,
    ],
    [
      'without a proxy',
      {},
      { worker: { image: 'app' } },
      /no other service of the project publishes a port/,
      /put a proxy such as nginx in front/,
    ],
  ])('%s', (_what, web, others, why, change) => {
    const [first, ...more] = obstacles(project(web, others));
    expect(first?.why).toMatch(why);
    expect(first?.change).toMatch(change);
    expect(more).toEqual([]);
  });

  it.each([
    [
      'nginx',
      nginx,
      /nginx \(nginx:1\.27\) looks up web only when it starts or is reloaded/,
      'docker compose exec -T nginx nginx -s reload',
    ],
    [
      'caddy',
      { ...nginx, image: 'caddy:2' },
      /is not known to look again by itself/,
      'caddy reload --config /etc/caddy/Caddyfile',
    ],
    [
      'haproxy',
      { ...nginx, image: 'haproxy:3' },
      /is not known to look again by itself/,
      'docker compose kill -s USR2 nginx',
    ],
    [
      'one nobody knows',
      { ...nginx, image: 'edge' },
      /is not known to look again by itself/,
      'docker compose exec -T nginx <what makes it look again>',
    ],
  ])('without blue-green-reload behind %s', (_what, proxy, why, line) => {
    const [first, ...more] = obstacles(project({}, { nginx: proxy }), { reload: '' });
    expect(first?.why).toMatch(why);
    expect(first?.change).toContain(`give blue-green-reload: `);
    expect(first?.change).toContain(line);
    expect(more).toEqual([]);
  });

  it('without blue-green-reload behind Traefik where nothing tells it which one is healthy', () => {
    const traefik = { traefik: { ...nginx, image: 'traefik:v3' } };
    expect(obstacles(project({}, traefik), { reload: '' })[0]?.why).toMatch(/web has no health check/);
    const healthy = { healthcheck: { test: ['CMD', 'true'] } };
    expect(obstacles(project(healthy, traefik), { reload: '' })).toEqual([]);
    const running = { service: 'web', health: { status: 'healthy' } } as Container;
    expect(obstacles(project({}, traefik), { reload: '', containers: [running] })).toEqual([]);
  });

  it('when two do not fit into memory, with the figures', () => {
    const memory = { used: 400 * 2 ** 20, available: 350 * 2 ** 20 };
    expect(obstacles(project({}), { memory })[0]?.why).toBe(
      'there is no memory for a second one: it uses 400 MB, and 350 MB are available',
    );
    expect(obstacles(project({}), { memory: { ...memory, available: 401 * 2 ** 20 } })).toEqual([]);
  });

  it('with all that is in the way at once, as in TeamMoa’s file', () => {
    const teammoa = project(
      { container_name: 'teammoa_web', ports: [{ published: '8000', target: 8000 }] },
      { nginx: { ...nginx, container_name: 'teammoa_nginx' } },
    );
    expect(() => refuseBlueGreen(new Map([['web', obstacles(teammoa, { reload: '' })]]), '10.0.0.5')).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(
          /^web on 10\.0\.0\.5 cannot be blue-green: it has container_name.*; and it publishes.*; and nginx \(nginx:1\.27\) looks up/,
        ),
        next: expect.stringMatching(
          /^in compose\.yaml remove .*; in compose\.yaml remove .*; give blue-green-reload: /,
        ),
      }),
    );
  });
});

describe('blue-green is let through', () => {
  it.each<[string, object]>([
    ['without a port', {}],
    ['with any port of the host', { ports: [{ target: 8000 }] }],
    ['with a range', { ports: [{ published: '8000-8001', target: 8000 }] }],
    ['with volumes', { volumes: [{ type: 'volume', source: 'media', target: '/media' }] }],
  ])('%s', (_what, web) => expect(obstacles(project(web))).toEqual([]));

  it('and nobody is refused where nobody is named', () =>
    expect(() => refuseBlueGreen(new Map([['web', []]]), '10.0.0.5')).not.toThrow());
});

it('warns of what an entrypoint does while the old one serves, and of what Traefik may lose', () => {
  const running = {
    service: 'web',
    command: ['/app/docker-entrypoint.sh', 'gunicorn'],
  } as unknown as Container;
  const config = project({}, { traefik: { ...nginx, image: 'traefik:v3' } });
  const [migrations, retry] = blueGreenDoubts('web', { config, blueGreen: ['web'], containers: [running] });
  expect(migrations).toMatch(
    /web starts through \/app\/docker-entrypoint\.sh.*old code must run on the new schema/,
  );
  expect(retry).toMatch(/traefik may send requests to the old container.*retry middleware/);
  const plain = { ...running, command: ['gunicorn'] } as unknown as Container;
  expect(blueGreenDoubts('web', { config: project({}), blueGreen: ['web'], containers: [plain] })).toEqual(
    [],
  );
});

it('knows which services can run beside themselves', () => {
  const config = project({}, { nginx, db: { image: 'postgres:15' } });
  expect(besideThemselves(config, ['web', 'nginx', 'db', 'gone'])).toEqual(['web', 'db']);
});

it.each([
  ['a 61.3MiB / 7.6GiB\nMemAvailable:    1024 kB\n', { used: 64_277_709, available: 1_048_576 }],
  ['a 1GiB / 7.6GiB\nb 512KiB / 7.6GiB\nMemAvailable: 1 kB\n', { used: 1_074_266_112, available: 1024 }],
  // A container that has just stopped, and a docker that does not know.
  ['a 0B / 0B\nMemAvailable: 1 kB\n', undefined],
  ['a -- / --\nMemAvailable: 1 kB\n', undefined],
  ['a 61.3MiB / 7.6GiB\n', undefined],
])('reads memory from docker stats: %j', (text, memory) => expect(parseMemory(text)).toEqual(memory));
