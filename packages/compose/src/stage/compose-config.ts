import { UserError } from '@lockkeeper/action';
import * as v from 'valibot';

/** Top-level configs and secrets, and a service's use of them. */
const sources = v.nullish(v.record(v.string(), v.nullish(v.object({ file: v.optional(v.string()) }))));
const used = v.nullish(v.array(v.object({ source: v.optional(v.string(), '') })));

const schema = v.object({
  name: v.string(),
  configs: sources,
  secrets: sources,
  services: v.record(
    v.string(),
    v.object({
      image: v.optional(v.string()),
      build: v.nullish(
        v.object({
          context: v.optional(v.string()),
          dockerfile: v.optional(v.string()),
          dockerfile_inline: v.optional(v.string()),
          additional_contexts: v.nullish(v.record(v.string(), v.string())),
        }),
      ),
      depends_on: v.nullish(v.record(v.string(), v.object({ condition: v.optional(v.string()) }))),
      environment: v.nullish(
        v.record(v.string(), v.nullable(v.union([v.string(), v.number(), v.boolean()]))),
      ),
      container_name: v.optional(v.string()),
      ports: v.nullish(
        v.array(
          v.object({
            published: v.nullish(v.union([v.string(), v.number()])),
            target: v.optional(v.number(), 0),
          }),
        ),
      ),
      network_mode: v.optional(v.string()),
      networks: v.nullish(
        v.record(
          v.string(),
          v.nullish(v.object({ ipv4_address: v.optional(v.string()), ipv6_address: v.optional(v.string()) })),
        ),
      ),
      healthcheck: v.nullish(v.object({ disable: v.optional(v.boolean()) })),
      deploy: v.nullish(v.object({ replicas: v.optional(v.number()) })),
      scale: v.optional(v.number()),
      volumes: v.nullish(v.array(v.object({ type: v.optional(v.string()), source: v.optional(v.string()) }))),
      configs: used,
      secrets: used,
    }),
  ),
});

/** How a service's image is built; paths are absolute, but for a Dockerfile within its context. */
export interface BuildConfig {
  /** A directory, or a URL; '' where the file names none. */
  context: string;
  dockerfile: string;
  /** The Dockerfile is in the Compose file. */
  inline: boolean;
  /** By name: directories, images (`docker-image://…`), other services (`service:…`), URLs. */
  more: Record<string, string>;
}

export interface ServiceConfig {
  /** The reference that it runs by: the file's, or Compose's own name for what it builds. */
  image?: string;
  /** Whether the file names it. */
  namesImage: boolean;
  build?: BuildConfig;
  dependsOn: string[];
  /** Those of them that are there for as long as it runs: no jobs that end. */
  behind: string[];
  replicas: number;
  containerName?: string;
  /** Ports on the host as the file says (`8000`, a range, '' = any) → in the container. */
  published: Array<{ host: string; container: number }>;
  /** `network_mode`; '' where it has networks. */
  network: string;
  /** Whether it has an address of its own choice in a network. */
  fixedAddress: boolean;
  /** Whether the file gives it a health check; its image may too. */
  healthCheck: boolean;
  /** Absolute paths of what is mounted from the host; files of configs and secrets are mounted too. */
  mounts: string[];
}

/** A project as `docker compose config --format json` prints it. It holds secrets: never show it. */
export interface ComposeConfig {
  name: string;
  services: Record<string, ServiceConfig>;
}

/** Throws when the text is not Compose's JSON. */
export function parseConfig(json: string): ComposeConfig {
  const { name, services, configs, secrets } = v.parse(schema, JSON.parse(json));
  return {
    name,
    services: Object.fromEntries(
      Object.entries(services).map(([service, data]) => [
        service,
        {
          image: data.image ?? (data.build ? `${name}-${service}` : undefined),
          namesImage: data.image !== undefined,
          build: data.build
            ? {
                context: data.build.context ?? '',
                dockerfile: data.build.dockerfile ?? 'Dockerfile',
                inline: data.build.dockerfile_inline !== undefined,
                more: data.build.additional_contexts ?? {},
              }
            : undefined,
          dependsOn: Object.keys(data.depends_on ?? {}),
          behind: Object.entries(data.depends_on ?? {})
            .filter(([, { condition }]) => condition !== 'service_completed_successfully')
            .map(([other]) => other),
          replicas: data.deploy?.replicas ?? data.scale ?? 1,
          containerName: data.container_name,
          published: (data.ports ?? []).map(({ published, target }) => ({
            host: String(published ?? ''),
            container: target,
          })),
          network: data.network_mode ?? '',
          fixedAddress: Object.values(data.networks ?? {}).some(
            (network) => network?.ipv4_address !== undefined || network?.ipv6_address !== undefined,
          ),
          healthCheck: data.healthcheck != null && data.healthcheck.disable !== true,
          mounts: [
            ...(data.volumes ?? []).map(({ type, source }) => (type === 'bind' ? source : undefined)),
            ...(data.configs ?? []).map(({ source }) => configs?.[source]?.file),
            ...(data.secrets ?? []).map(({ source }) => secrets?.[source]?.file),
          ].filter((source) => source?.startsWith('/')) as string[],
        },
      ]),
    ),
  };
}

/** `docker compose config --hash '*'`: a line `service hash` each. */
export function parseHashes(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words): words is [string, string] => words.length === 2 && /^[0-9a-f]{64}$/.test(words[1]!)),
  );
}

/** The named services (all when none is named) and what they depend on, each once. */
export function withDependencies(config: ComposeConfig, services: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (service: string) => {
    if (found.has(service) || !config.services[service]) return;
    found.add(service);
    config.services[service].dependsOn.forEach(visit);
  };
  (services.length > 0 ? services : Object.keys(config.services)).forEach(visit);
  return [...found];
}

/** Service → all that it depends on, however far. Pure. */
export function needsOf(config: ComposeConfig, services: readonly string[]): Record<string, string[]> {
  return Object.fromEntries(
    services.map((service) => [
      service,
      withDependencies(config, [service]).filter((other) => other !== service),
    ]),
  );
}

/** Each service of the file → those that are behind it while it runs. Pure. */
export function behindEach({ services }: ComposeConfig): Record<string, string[]> {
  return Object.fromEntries(Object.entries(services).map(([service, { behind }]) => [service, behind]));
}

/** Throws UserError when an input names a service that the file does not have. Pure. */
export function checkServices(config: ComposeConfig, named: readonly string[], host: string): void {
  const unknown = [...new Set(named)].filter((service) => !config.services[service]);
  if (unknown.length > 0)
    throw new UserError(
      `the Compose file on ${host} has no service ${unknown.join(', ')}; it has ${Object.keys(config.services).join(', ')}`,
    );
}
