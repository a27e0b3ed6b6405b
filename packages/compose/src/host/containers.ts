import * as v from 'valibot';

const moment = v.optional(v.string(), '');

/** The parts of `docker inspect` that are read; Docker adds fields, so others are let pass. */
const inspected = v.object({
  Id: v.string(),
  Name: v.string(),
  Image: v.string(),
  RestartCount: v.optional(v.number(), 0),
  State: v.object({
    Status: v.string(),
    Running: v.optional(v.boolean(), false),
    ExitCode: v.optional(v.number(), 0),
    OOMKilled: v.optional(v.boolean(), false),
    Error: v.optional(v.string(), ''),
    Pid: v.optional(v.number(), 0),
    StartedAt: moment,
    FinishedAt: moment,
    Health: v.nullish(
      v.object({
        Status: v.string(),
        FailingStreak: v.optional(v.number(), 0),
        Log: v.nullish(v.array(v.object({ ExitCode: v.number(), Output: v.string() }))),
      }),
    ),
  }),
  Config: v.object({
    Image: v.optional(v.string(), ''),
    Env: v.nullish(v.array(v.string())),
    Entrypoint: v.nullish(v.array(v.string())),
    Cmd: v.nullish(v.array(v.string())),
    Labels: v.nullish(v.record(v.string(), v.string())),
    Healthcheck: v.nullish(
      v.object({ Interval: v.optional(v.number(), 0), Retries: v.optional(v.number(), 0) }),
    ),
  }),
  HostConfig: v.object({
    RestartPolicy: v.nullish(v.object({ Name: v.optional(v.string(), 'no') })),
    NetworkMode: v.optional(v.string(), ''),
  }),
  NetworkSettings: v.nullish(
    v.object({
      Ports: v.nullish(
        v.record(
          v.string(),
          v.nullish(v.array(v.object({ HostIp: v.optional(v.string(), ''), HostPort: v.string() }))),
        ),
      ),
      Networks: v.nullish(
        v.record(
          v.string(),
          v.nullish(
            v.object({
              NetworkID: v.optional(v.string(), ''),
              IPAddress: v.optional(v.string(), ''),
              GlobalIPv6Address: v.optional(v.string(), ''),
              Aliases: v.nullish(v.array(v.string())),
            }),
          ),
        ),
      ),
    }),
  ),
});

/** One container of the project, as `docker inspect` tells. */
export interface Container {
  id: string;
  name: string;
  service: string;
  oneOff: boolean;
  /** The image's id, and the reference it was started by. */
  image: string;
  reference: string;
  configHash: string;
  workingDirectory: string;
  /** The Compose files that it was started from, absolute. */
  configFiles: string[];
  project: string;
  /** Services that its own depends on to run, as its Compose file says: no jobs that end, not what those depend on. */
  dependsOn: string[];
  status: string;
  exitCode: number;
  outOfMemory: boolean;
  error: string;
  pid: number;
  startedAt: string;
  finishedAt: string;
  restartCount: number;
  restartPolicy: string;
  environment: string[];
  /** What it starts: entrypoint and arguments. */
  command: string[];
  health?: {
    status: string;
    failingStreak: number;
    retries: number;
    /** Milliseconds between checks. */
    interval: number;
    log: Array<{ exitCode: number; output: string }>;
  };
  /** Published ports: on the host → in the container. */
  ports: Array<{ host: number; container: number }>;
  addresses: string[];
  /** Where it runs: the network's id, its addresses there ('' = none) and the names that Docker's DNS has for it. */
  networks: Array<{ network: string; address: string; address6: string; aliases: string[] }>;
  hostNetwork: boolean;
}

/** Reads the JSON array that `docker inspect` prints. Throws when it is not of Docker's shape. */
export function parseContainers(json: string): Container[] {
  return v.parse(v.array(inspected), JSON.parse(json.trim() || '[]')).map((data) => {
    const labels = data.Config.Labels ?? {};
    const label = (name: string) => labels[`com.docker.compose.${name}`] ?? '';
    const { Health: health } = data.State;
    return {
      id: data.Id,
      name: data.Name.replace(/^\//, ''),
      service: label('service'),
      oneOff: label('oneoff') === 'True',
      image: data.Image,
      reference: data.Config.Image,
      configHash: label('config-hash'),
      workingDirectory: label('project.working_dir'),
      configFiles: label('project.config_files').split(',').filter(Boolean),
      project: label('project'),
      // `web:service_started:false,assets:service_completed_successfully:false`
      dependsOn: label('depends_on')
        .split(',')
        .map((entry) => entry.split(':'))
        .filter(([, condition]) => condition !== 'service_completed_successfully')
        .flatMap(([service]) => service || []),
      status: data.State.Status,
      exitCode: data.State.ExitCode,
      outOfMemory: data.State.OOMKilled,
      error: data.State.Error,
      pid: data.State.Pid,
      startedAt: data.State.StartedAt,
      finishedAt: data.State.FinishedAt,
      restartCount: data.RestartCount,
      restartPolicy: data.HostConfig.RestartPolicy?.Name || 'no',
      environment: data.Config.Env ?? [],
      command: [...(data.Config.Entrypoint ?? []), ...(data.Config.Cmd ?? [])],
      health:
        health && health.Status !== 'none'
          ? {
              status: health.Status,
              failingStreak: health.FailingStreak,
              retries: data.Config.Healthcheck?.Retries || 3,
              // Docker counts in nanoseconds; 0 is its default of 30 s.
              interval: (data.Config.Healthcheck?.Interval || 30e9) / 1e6,
              log: (health.Log ?? []).map(({ ExitCode, Output }) => ({ exitCode: ExitCode, output: Output })),
            }
          : undefined,
      ports: Object.entries(data.NetworkSettings?.Ports ?? {}).flatMap(([inside, bindings]) =>
        (bindings ?? []).map(({ HostPort }) => ({
          host: Number(HostPort),
          container: Number.parseInt(inside, 10),
        })),
      ),
      addresses: Object.values(data.NetworkSettings?.Networks ?? {}).flatMap((network) =>
        network?.IPAddress ? [network.IPAddress] : [],
      ),
      networks: Object.values(data.NetworkSettings?.Networks ?? {}).flatMap((network) =>
        network
          ? [
              {
                network: network.NetworkID,
                address: network.IPAddress,
                address6: network.GlobalIPv6Address,
                aliases: network.Aliases ?? [],
              },
            ]
          : [],
      ),
      hostNetwork: data.HostConfig.NetworkMode === 'host',
    };
  });
}
