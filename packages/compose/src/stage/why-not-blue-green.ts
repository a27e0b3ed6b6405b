import { UserError } from '@lockkeeper/action';
import type { Container } from '../host/containers.ts';
import type { Memory } from '../host/memory.ts';
import type { ComposeConfig, ServiceConfig } from './compose-config.ts';

/** Why a service cannot be replaced beside itself, and what to change. */
export interface Obstacle {
  why: string;
  change: string;
}

export interface BlueGreenQuestion {
  config: ComposeConfig;
  /** The Compose files, for the messages. */
  files: readonly string[];
  /** All that are to be blue-green. */
  blueGreen: readonly string[];
  reload: string;
  containers: readonly Container[];
  /** Of the service's containers and the host; undefined where it is not known or does not matter. */
  memory?: Memory;
}

/** Two of these on one set of data, or behind one name, ruin it or answer differently. */
const stateful =
  /^(postgres|postgresql|postgis|timescaledb|pgvector|mysql|mariadb|percona|mongo|mongodb|redis|valkey|keydb|memcached|rabbitmq|kafka|zookeeper|etcd|consul|nats|elasticsearch|opensearch|meilisearch|clickhouse|influxdb|minio|registry)(-|$)/;

/** Every obstacle to `strategy: blue-green` for a service. Pure. */
export function whyNotBlueGreen(service: string, question: BlueGreenQuestion): Obstacle[] {
  const { config, files, blueGreen, reload, containers, memory } = question;
  const own = config.services[service];
  if (!own) return [];
  const obstacles = whyNotTwice(service, config, files.join(', '));
  const name = imageName(own.image);
  if (stateful.test(name))
    obstacles.push({
      why: `its image is ${name}, which keeps state: two at once would share or split it`,
      change: `take ${service} out of blue-green-services`,
    });
  const proxies = Object.entries(config.services).filter(
    ([other, { published, network }]) =>
      !blueGreen.includes(other) && (published.length > 0 || network === 'host'),
  );
  if (proxies.length === 0)
    obstacles.push({
      why: 'no other service of the project publishes a port, so there is no proxy that could send users from the old container to the new one',
      change: 'put a proxy such as nginx in front of it, in the same Compose file, or use strategy: recreate',
    });
  else if (!reload.trim())
    for (const [proxy, { image }] of proxies) {
      const needs = whyReload(service, own, containers, imageName(image));
      if (needs)
        obstacles.push({
          why: `${proxy} (${image ?? 'built'}) ${needs}`,
          change: `give blue-green-reload: ${reloadLine(proxy, imageName(image))}`,
        });
    }
  if (memory && memory.used > memory.available)
    obstacles.push({
      why: `there is no memory for a second one: it uses ${megabytes(memory.used)} MB, and ${megabytes(memory.available)} MB are available`,
      change: 'use strategy: stop-first, or a larger machine',
    });
  return obstacles;
}

/** Throws UserError that names every obstacle of every service, and what to change. Pure. */
export function refuseBlueGreen(obstacles: ReadonlyMap<string, readonly Obstacle[]>, host: string): void {
  const refused = [...obstacles].filter(([, all]) => all.length > 0);
  if (refused.length === 0) return;
  throw new UserError(
    refused
      .map(
        ([service, all]) =>
          `${service} on ${host} cannot be blue-green: ${all.map(({ why }) => why).join('; and ')}`,
      )
      .join('. '),
    { next: [...new Set(refused.flatMap(([, all]) => all.map(({ change }) => change)))].join('; ') },
  );
}

/** What of a service's own lines forbids a second container of it. */
function whyNotTwice(service: string, config: ComposeConfig, files: string): Obstacle[] {
  const { containerName, published, network, fixedAddress, replicas } = config.services[service]!;
  const obstacles: Obstacle[] = [];
  if (containerName !== undefined)
    obstacles.push({
      why: `it has container_name: ${containerName}, and a name belongs to one container`,
      change: `in ${files} remove "container_name: ${containerName}" below ${service}: in the project it is reached by its service name ${service}, and by hand with docker compose exec ${service}`,
    });
  for (const { host, container } of published) {
    const [from = 0, to = from] = host.split('-').map(Number);
    if (host === '' || from === 0 || to - from + 1 >= 2 * replicas) continue;
    obstacles.push({
      why: `it publishes the host's port ${host}, which belongs to one container`,
      change: `in ${files} remove the port ${host}:${container} from ${service} (the proxy reaches ${service}:${container} without it), or make it a range such as ${from}-${from + 2 * replicas - 1}:${container}`,
    });
  }
  if (network === 'host')
    obstacles.push({
      why: 'it has network_mode: host, so both would listen at the same port of the host',
      change: `in ${files} remove "network_mode: host" from ${service}`,
    });
  else if (/^(service|container):/.test(network))
    obstacles.push({
      why: `it lives in the network of another container (network_mode: ${network})`,
      change: `in ${files} give ${service} a network of its own`,
    });
  if (fixedAddress)
    obstacles.push({
      why: 'it has a fixed address in a network, which belongs to one container',
      change: `in ${files} remove ipv4_address and ipv6_address from ${service}; the proxy finds it by its name`,
    });
  for (const [other, { network: theirs }] of Object.entries(config.services))
    if (theirs === `service:${service}`)
      obstacles.push({
        why: `${other} lives in the network of its container (network_mode: service:${service}) and would be cut off`,
        change: `in ${files} give ${other} a network of its own`,
      });
  return obstacles;
}

/** Services of which a second container can run beside the first. Pure. */
export function besideThemselves(config: ComposeConfig, services: readonly string[]): string[] {
  return services.filter(
    (service) => config.services[service] && whyNotTwice(service, config, '').length === 0,
  );
}

/** Why a proxy must be told to look again; undefined for one that looks by itself, and at healthy ones only. */
function whyReload(
  service: string,
  { healthCheck }: ServiceConfig,
  containers: readonly Container[],
  proxy: string,
): string | undefined {
  if (proxy === 'nginx' || proxy === 'openresty' || proxy === 'angie' || proxy === 'freenginx')
    return `looks up ${service} only when it starts or is reloaded`;
  if (proxy !== 'traefik') return `is not known to look again by itself and to leave out what is not healthy`;
  if (healthCheck || containers.some((container) => container.service === service && container.health))
    return undefined;
  return `would send users to the new container as soon as it starts, as ${service} has no health check`;
}

function reloadLine(proxy: string, image: string): string {
  if (/^(nginx|openresty|angie|freenginx)$/.test(image))
    return `docker compose exec -T ${proxy} nginx -s reload`;
  if (image === 'caddy') return `docker compose exec -T ${proxy} caddy reload --config /etc/caddy/Caddyfile`;
  if (image === 'haproxy') return `docker compose kill -s USR2 ${proxy}`;
  if (image === 'httpd') return `docker compose exec -T ${proxy} httpd -k graceful`;
  return `docker compose exec -T ${proxy} <what makes it look again>`;
}

/** Why a good swap may still surprise; for warnings. Pure. */
export function blueGreenDoubts(
  service: string,
  { config, blueGreen, containers }: Pick<BlueGreenQuestion, 'config' | 'blueGreen' | 'containers'>,
): string[] {
  const doubts: string[] = [];
  const running = containers.find((container) => container.service === service && !container.oneOff);
  const start = running?.command.find((word) => /migrate|entrypoint|\.sh$/.test(word));
  if (start)
    doubts.push(
      `${service} starts through ${start}: what it does first (migrations, collectstatic) happens while the old container still serves, so the old code must run on the new schema; better put it into pre-deploy`,
    );
  const traefik = Object.entries(config.services).find(
    ([other, { image }]) => !blueGreen.includes(other) && imageName(image) === 'traefik',
  );
  if (traefik)
    doubts.push(
      `${traefik[0]} may send requests to the old container of ${service} while that one stops: give its router Traefik's retry middleware`,
    );
  return doubts;
}

/** `ghcr.io/library/nginx:1.27-alpine` → `nginx`. */
function imageName(reference = ''): string {
  return reference.split('@')[0]!.split('/').at(-1)!.replace(/:.*$/, '').toLowerCase() || 'built';
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
