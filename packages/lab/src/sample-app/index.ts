import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../host/index.ts';
import type { ImagePush, Registry } from '../registry.ts';
import type { SampleRepository } from './repository.ts';
import { readSample } from './sample-file.ts';

/** The image of one release of the web app; its environment can make the release itself ill (SICK in server.mjs). */
export function webImage(version: string, environment: Record<string, string> = {}): ImagePush {
  const variables = { VERSION: version, PORT: '8000', ...environment };
  return {
    repository: 'app',
    tag: version,
    config: {
      Cmd: ['node', 'server.mjs'],
      WorkingDir: '/app',
      Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ExposedPorts: { '8000/tcp': {} },
      Labels: { 'org.opencontainers.image.version': version },
    },
    files: {
      'app/server.mjs': readSample('server.mjs'),
      'app/healthcheck.pl': readSample('healthcheck.pl'),
      'app/VERSION': `${version}\n`,
    },
  };
}

/** An image of a process without a port: the sample project's worker and its stand-in for a database. */
export function backgroundImage(role: 'worker' | 'database', version: string): ImagePush {
  return {
    repository: role,
    tag: version,
    config: {
      Cmd: ['node', 'background.mjs'],
      WorkingDir: '/app',
      Env: [`ROLE=${role}`, `VERSION=${version}`],
    },
    files: {
      'app/background.mjs': readSample('background.mjs'),
      ...(role === 'database'
        ? { 'usr/local/bin/pg_dump': { content: readSample('pg_dump.sh'), mode: 0o755 } }
        : {}),
    },
  };
}

/**
 * Files of the project directory on a host: the Compose file and the `.env` that names registry and tag. `ports` are
 * those of the host on which web is published.
 */
export function sampleProject(
  registry: Pick<Registry, 'url'>,
  tag: string,
  ports: readonly number[] = [8000],
): Record<string, string> {
  const published = ports.map((port) => `      - "${port}:8000"`).join('\n');
  return {
    'compose.yaml': readSample('compose.yaml').replace('      - "8000:8000"', published),
    '.env': `REGISTRY=${registry.url}\nTAG=${tag}\n`,
  };
}

/** The sample app in one registry. */
export interface SampleApp {
  /** Repository of the web image, below the registry's url. */
  readonly repository: string;
  /** Builds and pushes a version of the web image; answers its digest. */
  push(version: string, environment?: Record<string, string>): Promise<string>;
  /** Lays the project into `~/app` of a host and starts it; resolves when web is healthy. */
  install(
    host: Host,
    release: { version: string; digest: string; ports?: readonly number[]; checkout?: SampleRepository },
  ): Promise<void>;
}

export function sampleApp(registry: Registry): SampleApp {
  return {
    repository: 'app',
    push: (version, environment) => registry.push(webImage(version, environment)),
    async install(host, { version, digest, ports, checkout }) {
      await registry.push(backgroundImage('worker', '1'));
      await registry.push(backgroundImage('database', '15'));
      const directory = join(host.home, 'app');
      if (checkout) await checkout.cloneInto(directory);
      else await mkdir(directory, { recursive: true });
      const { '.env': env = '', ...files } = sampleProject(registry, version, ports);
      for (const [name, content] of Object.entries(checkout ? { '.env': env } : { ...files, '.env': env })) {
        await writeFile(join(directory, name), content, { mode: name === '.env' ? 0o600 : 0o644 });
      }
      const reference = `${registry.url}/app@${digest}`;
      const fetch = [
        ['pull', reference],
        ['tag', reference, `${registry.url}/app:${version}`],
      ];
      for (const argv of [
        ...(checkout ? [['compose', 'build']] : fetch),
        ['compose', 'up', '-d', '--wait', '--wait-timeout', '30'],
      ]) {
        const { code, stderr } = await host.engine.docker(argv, directory);
        if (code !== 0) throw new Error(`${host.name}: docker ${argv.join(' ')} failed: ${stderr.trim()}`);
      }
    },
  };
}
