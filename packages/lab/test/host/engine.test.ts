import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import type { Host } from '../../src/host/index.ts';
import { layerTar, openRegistry, type Registry, sha256 } from '../../src/registry.ts';
import { backgroundImage, sampleProject, webImage } from '../../src/sample-app/index.ts';
import { connect, seed, testHost, type User, waitFor } from './ssh-user.ts';

interface Inspected {
  Name: string;
  Image: string;
  State: { Pid: number; Health: { Log: unknown[] } };
  Config: { Labels: Record<string, string> };
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
}

let registry: Registry;
let host: Host;
let user: User;

beforeAll(async () => {
  registry = await openRegistry();
  await registry.push(webImage('1'));
  await registry.push(webImage('2'));
  await registry.push(backgroundImage('worker', '1'));
  await registry.push(backgroundImage('database', '15'));
});
afterAll(() => registry?.close());
beforeEach(async () => {
  host = await testHost(201, registry);
  user = await connect(host);
  seed(host, 'app', sampleProject(registry, '1'));
});
afterEach(async () => {
  user?.close();
  await host?.close();
});

const compose = (rest: string) => user.run(`cd ~/app && docker compose ${rest}`);

function named(service: string) {
  return host.engine.containers().find((container) => container.service === service);
}

async function healthy(service: string) {
  return waitFor(() => named(service)?.health === 'healthy' && named(service));
}

function page(path: string): Promise<{ status: number; version: string }> {
  return new Promise((resolve, reject) => {
    get({ host: host.address, port: 8000, path, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, version: String(response.headers['x-version']) });
    }).on('error', reject);
  });
}

describe('a host with the sample project', () => {
  it('pulls, starts in order, publishes the port and turns healthy', async () => {
    const pulled = await compose('pull --quiet');
    expect(pulled).toMatchObject({ code: 0 });
    const started = await compose('up -d --pull never');
    expect(started).toMatchObject({ code: 0 });
    expect(started.stderr).toContain('Container sample-web-1  Started');
    expect(started.stderr.indexOf('sample-db-1  Started')).toBeLessThan(
      started.stderr.indexOf('sample-web-1  Started'),
    );
    const web = await healthy('web');
    expect(web.address).toMatch(/^127\.78\.201\.\d+$/);
    expect(await page('/')).toEqual({ status: 200, version: '1' });
    expect(host.openPorts()).toContainEqual({ port: 8000, what: 'sample-web-1' });

    const ids = await user.run('docker ps -aq --no-trunc --filter label=com.docker.compose.project=sample');
    expect(ids.stdout.trim().split('\n')).toHaveLength(3);
    const inspected = await user.run(`docker inspect ${ids.stdout.trim().split('\n').join(' ')}`);
    const containers = JSON.parse(inspected.stdout) as Inspected[];
    const seen = containers.find((container) => container.Name === '/sample-web-1')!;
    expect(seen.State).toMatchObject({
      Status: 'running',
      Running: true,
      Health: { Status: 'healthy', FailingStreak: 0 },
    });
    expect(seen.State.Health.Log.at(-1)).toMatchObject({
      ExitCode: 0,
      Output: 'GET /health/ answered 200\n',
    });
    expect(existsSync(`/proc/${seen.State.Pid}`)).toBe(true);
    expect(seen.Image).toBe(registry.imageId('app', '1'));
    expect(seen.Config.Labels).toMatchObject({
      'com.docker.compose.project': 'sample',
      'com.docker.compose.service': 'web',
      'com.docker.compose.oneoff': 'False',
      'com.docker.compose.container-number': '1',
      'com.docker.compose.image': registry.imageId('app', '1'),
      'com.docker.compose.project.working_dir': `${host.home}/app`,
      'com.docker.compose.project.config_files': `${host.home}/app/compose.yaml`,
    });
    expect(Object.values(seen.NetworkSettings.Networks)[0]!.IPAddress).toBe(web.address);
  });

  it('recreates only what changed and leaves the database alone', async () => {
    await compose('up -d');
    const before = new Map(host.engine.containers().map((container) => [container.service, container.id]));
    expect((await compose('up -d')).code).toBe(0);
    expect(new Map(host.engine.containers().map((container) => [container.service, container.id]))).toEqual(
      before,
    );

    await compose('pull --quiet');
    const again = await user.run('cd ~/app && TAG=2 docker compose up -d --no-deps web');
    expect(again).toMatchObject({ code: 0 });
    const after = new Map(host.engine.containers().map((container) => [container.service, container.id]));
    expect(after.get('db')).toBe(before.get('db'));
    expect(after.get('worker')).toBe(before.get('worker'));
    expect(after.get('web')).not.toBe(before.get('web'));
    expect(named('web')?.name).toBe('sample-web-1');
    await healthy('web');
    expect(await page('/')).toEqual({ status: 200, version: '2' });
  });

  it('sees that another image lies behind the same tag, and only then', async () => {
    const moving = await registry.push({ ...webImage('1'), tag: 'latest' });
    seed(host, 'app', sampleProject(registry, 'latest'));
    await compose('up -d');
    const first = named('web')!;
    const hashes = await compose("config --hash '*'");
    expect(await registry.push({ ...webImage('2'), tag: 'latest' })).not.toBe(moving);
    await compose('pull --quiet web');
    expect((await compose("config --hash '*'")).stdout).toBe(hashes.stdout);
    await compose('up -d --pull never --no-deps web');
    expect(named('web')!.id).not.toBe(first.id);
    await healthy('web');

    // Going back: the old image is still here under its id.
    const tagged = await user.run(`docker tag ${first.imageId} ${registry.url}/app:latest`);
    expect(tagged).toMatchObject({ code: 0 });
    await compose('up -d --pull never --no-deps web');
    expect(named('web')!.imageId).toBe(first.imageId);
    await healthy('web');
    expect(await page('/')).toEqual({ status: 200, version: '1' });
  });

  it('shows a sick release as unhealthy, with what its check said', async () => {
    await registry.push(webImage('3', { SICK: '503' }));
    seed(host, 'app', sampleProject(registry, '3'));
    seed(host, 'app', {
      'compose.override.yaml':
        'services:\n  web:\n    healthcheck:\n      interval: 100ms\n      start_period: 100ms\n',
    });
    await compose('up -d');
    await waitFor(() => named('web')?.health === 'unhealthy');
    const { stdout } = await user.run("docker inspect -f '{{json .State.Health}}' sample-web-1");
    const health = JSON.parse(stdout);
    expect(health.FailingStreak).toBeGreaterThanOrEqual(3);
    expect(health.Log.at(-1)).toMatchObject({ ExitCode: 1, Output: expect.stringContaining('503') });
  });

  it('stops at a dependency that turns unhealthy, in words of Compose', async () => {
    seed(host, 'app', {
      'compose.override.yaml': `services:
  db:
    healthcheck: { test: ["CMD-SHELL", "echo no room; exit 1"], interval: 100ms, retries: 1 }
  web:
    depends_on: { db: { condition: service_healthy } }
`,
    });
    const result = await compose('up -d');
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('dependency failed to start: container sample-db-1 is unhealthy');
    expect(named('web')?.status).toBe('created');
  });

  it('counts the restarts of a crash loop and keeps its words', async () => {
    await registry.push(webImage('4', { SICK: 'crash' }));
    seed(host, 'app', sampleProject(registry, '4'));
    await compose('up -d');
    await waitFor(() => (named('web')?.restartCount ?? 0) >= 2);
    const { stdout } = await user.run('docker inspect sample-web-1');
    const [container] = JSON.parse(stdout);
    expect(container.RestartCount).toBeGreaterThanOrEqual(2);
    expect(container.State.ExitCode === 3 || container.State.Running).toBe(true);
    const logs = await compose('logs --no-color --tail 5 web');
    expect(logs.stdout).toMatch(/^web-1 {2}\| version 4: cannot start: SICK=crash$/m);
    const own = await user.run('docker logs --tail 1 sample-web-1');
    expect(own).toMatchObject({ code: 0, stdout: '', stderr: 'version 4: cannot start: SICK=crash\n' });
  });

  it('waits for a migration to end well before web starts', async () => {
    seed(host, 'app', {
      'compose.override.yaml': `services:
  migrate:
    image: \${REGISTRY}/app:\${TAG}
    command: ["sh", "-c", "sleep 0.2; echo migrated > \\"$$OUT\\"; exit \${MIGRATION:-0}"]
    environment: { OUT: "${host.home}/migrated" }
  web:
    depends_on: { migrate: { condition: service_completed_successfully } }
`,
    });
    const failed = await user.run('cd ~/app && MIGRATION=4 docker compose up -d');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(`service "migrate" didn't complete successfully: exit 4`);
    expect(await compose('up -d')).toMatchObject({ code: 0 });
    expect(existsSync(`${host.home}/migrated`)).toBe(true);
    await healthy('web');
  });

  it('lets requests in flight finish when it stops, and closes the port', async () => {
    await compose('up -d');
    await healthy('web');
    const slow = page('/slow?ms=700');
    await new Promise((done) => setTimeout(done, 150));
    const stopped = await compose('stop web');
    expect(stopped.code).toBe(0);
    expect(await slow).toEqual({ status: 200, version: '1' });
    expect(named('web')?.status).toBe('exited');
    await expect(page('/')).rejects.toThrow('ECONNREFUSED');
  });

  it('kills what ignores its stop signal when the grace period is over', async () => {
    seed(host, 'app', {
      'compose.override.yaml': `services:
  worker:
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 300ms
`,
    });
    await compose('up -d worker');
    await compose('stop worker');
    const { stdout } = await user.run(
      "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' sample-worker-1",
    );
    expect(stdout).toBe('exited 137\n');
  });

  it('runs and executes one-off commands with their exit codes', async () => {
    await compose('up -d');
    const ran = await user.run(
      `cd ~/app && docker compose run --rm --no-deps -T -e WHO=you web sh -c 'echo "hello $WHO"; echo bad >&2; exit 7'`,
    );
    expect(ran).toMatchObject({ code: 7, stdout: 'hello you\n', stderr: expect.stringContaining('bad\n') });
    const exec = await user.run('cd ~/app && docker compose exec -T web cat', 'through stdin');
    expect(exec).toMatchObject({ code: 0, stdout: 'through stdin' });
    const version = await compose('exec -T web cat VERSION');
    expect(version.stdout).toBe('1\n');
    expect(host.engine.containers()).toHaveLength(3);
  });

  it('streams 20 MB through exec and SSH without losing a byte', async () => {
    await compose('up -d web');
    const { code, stdout } = await compose(
      `exec -T web node -e "process.stdout.write(Buffer.alloc(20*1024*1024, 'abcdefgh'))"`,
    );
    expect(code).toBe(0);
    expect(stdout).toHaveLength(20 * 1024 * 1024);
    expect(stdout.endsWith('abcdefgh')).toBe(true);
  });

  it('reports and removes orphans, and scales', async () => {
    seed(host, 'app', {
      'compose.override.yaml':
        'services:\n  extra:\n    image: ${REGISTRY}/database:15\n    deploy: { replicas: 2 }\n',
    });
    await compose('up -d');
    expect(host.engine.containers().filter((container) => container.service === 'extra')).toHaveLength(2);
    await user.run('rm ~/app/compose.override.yaml');
    const told = await compose('up -d');
    expect(told.stderr).toContain('Found orphan containers ([sample-extra-1 sample-extra-2])');
    expect(host.engine.containers()).toHaveLength(5);
    await compose('up -d --remove-orphans');
    expect(host.engine.containers()).toHaveLength(3);
  });

  it('leaves <12 hex>_name behind when the client dies while the old container stops', async () => {
    seed(host, 'app', {
      'compose.override.yaml': `services:
  worker:
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 800ms
    environment: [STAMP]
`,
    });
    await compose('up -d worker');
    const old = named('worker')!;
    await user.run('cd ~/app && STAMP=2 timeout -s KILL 0.5 docker compose up -d --no-deps worker; true');
    await waitFor(
      () => host.engine.containers().find((container) => container.id === old.id)?.status === 'exited',
    );
    const names = host.engine.containers().map((container) => container.name);
    expect(names).toContain('sample-worker-1');
    expect(names).toContain(`${old.id.slice(0, 12)}_sample-worker-1`);
  });

  it('keeps volumes over a recreation and shows bind mounts at their target', async () => {
    seed(host, 'app', {
      'conf/motd': 'from the host',
      'compose.override.yaml': `services:
  db:
    volumes: ["./conf:/etc/conf:ro"]
    environment: [STAMP]
`,
    });
    await compose('up -d db');
    await compose(`exec -T db sh -c 'echo kept > ../data/row'`);
    const before = named('db')!.id;
    await user.run('cd ~/app && STAMP=2 docker compose up -d db');
    expect(named('db')!.id).not.toBe(before);
    const seen = await compose('exec -T db cat ../data/row ../etc/conf/motd');
    expect(seen.stdout).toBe('kept\nfrom the host');
    const { stdout } = await user.run("docker inspect -f '{{json .Mounts}}' sample-db-1");
    expect(JSON.parse(stdout)).toMatchObject([
      { Type: 'volume', Name: 'sample_data', Destination: '/data', RW: true },
      { Type: 'bind', Source: `${host.home}/app/conf`, Destination: '/etc/conf', RW: false },
    ]);
  });

  it('builds an image that only lays files over a base, and refuses what needs a container', async () => {
    seed(host, 'built', {
      'compose.yaml': `services:
  web: { build: { context: ., args: { GREETING: hello } } }
`,
      Dockerfile: `ARG BASE
FROM ${registry.url}/app:1
ARG GREETING
ENV WORDS="$GREETING you" MORE=1
COPY say.sh /opt/
WORKDIR /opt
CMD ["sh", "say.sh"]
`,
      'say.sh': 'echo "$WORDS"; cat ../app/VERSION\n',
    });
    expect(await user.run('cd ~/built && docker compose build')).toMatchObject({ code: 0 });
    const ran = await user.run('cd ~/built && docker compose run --rm --no-deps -T web');
    expect(ran).toMatchObject({ code: 0, stdout: 'hello you\n1\n' });
    const first = (await user.run('docker images -q --no-trunc built-web')).stdout;
    await user.run('cd ~/built && docker compose build');
    expect((await user.run('docker images -q --no-trunc built-web')).stdout).toBe(first);
    await user.run('cd ~/built && echo "RUN make" >> Dockerfile');
    const refused = await user.run('cd ~/built && docker compose build');
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Dockerfile:8: RUN is not supported'),
    });
  });

  it('loads what docker save wrote', async () => {
    const files = { 'app/hello.mjs': 'console.log("loaded")\n' };
    const layer = await layerTar(files);
    const config = JSON.stringify({
      config: { Cmd: ['node', 'hello.mjs'], WorkingDir: '/app' },
      rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    });
    const archive = await layerTar({
      'manifest.json': JSON.stringify([{ Config: 'c.json', RepoTags: ['carried:1'], Layers: ['l.tar'] }]),
      'c.json': config,
      'l.tar': layer,
    });
    const loaded = await user.run('base64 -d | docker load', archive.toString('base64'));
    expect(loaded).toMatchObject({ code: 0, stdout: 'Loaded image: carried:1\n' });
    seed(host, 'carried', { 'compose.yaml': 'services: { one: { image: "carried:1" } }\n' });
    const ran = await user.run('cd ~/carried && docker compose run --rm -T one');
    expect(ran).toMatchObject({ code: 0, stdout: 'loaded\n' });
  });

  it('echoes over a WebSocket through the published port, and says good-bye when it stops', async () => {
    await compose('up -d web');
    await healthy('web');
    const socket = new WebSocket(`ws://${host.address}:8000/ws`);
    const messages: string[] = [];
    socket.on('message', (data) => messages.push(String(data)));
    await new Promise((done) => socket.once('open', done));
    const long = 'x'.repeat(70_000);
    for (const text of ['hello', 'y'.repeat(300), long]) socket.send(text);
    await waitFor(() => messages.length === 3);
    expect(messages).toEqual(['hello', 'y'.repeat(300), long]);
    const closed = new Promise<number>((done) => socket.once('close', done));
    await compose('stop web');
    expect(await closed).toBe(1001);
  });

  it('refuses by name what it cannot honour', async () => {
    seed(host, 'app', { 'compose.override.yaml': 'services:\n  web:\n    cap_add: [NET_ADMIN]\n' });
    const result = await compose('config --quiet');
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("services.web.cap_add is not supported by the lab's process engine");
    await user.run('rm ~/app/compose.override.yaml');
    const flag = await compose('up -d --dry-run');
    expect(flag).toMatchObject({ code: 1, stderr: expect.stringContaining('unknown flag: --dry-run') });
  });

  it('says what is missing as docker says it', async () => {
    const noTag = await user.run('cd ~/app && TAG=nope docker compose pull web');
    expect(noTag.code).toBe(1);
    expect(noTag.stderr).toContain(
      `manifest for ${registry.url}/app:nope not found: manifest unknown: manifest unknown`,
    );
    const noImage = await user.run('cd ~/app && TAG=nope docker compose up -d --no-deps --pull never web');
    expect(noImage).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`No such image: ${registry.url}/app:nope`),
    });
    expect(await user.run('docker inspect nothing')).toMatchObject({
      code: 1,
      stdout: '[]\n',
      stderr: 'Error: No such object: nothing\n',
    });
  });

  it('refuses a port that another container holds', async () => {
    await compose('up -d web');
    seed(host, 'other', sampleProject(registry, '1'));
    const result = await user.run('cd ~/other && docker compose -p other up -d web');
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('Bind for 0.0.0.0:8000 failed: port is already allocated');
  });

  it('fails on demand, and remembers what it was asked', async () => {
    const message =
      'permission denied while trying to connect to the docker API at unix:///var/run/docker.sock';
    host.engine.fault({ command: 'version', message, times: 1 });
    expect(await user.run('docker version')).toMatchObject({ code: 1, stderr: `${message}\n` });
    expect(await user.run('docker version')).toMatchObject({ code: 0 });
    host.engine.fault({ command: 'compose', holding: ' up ', delayMs: 60_000 });
    const hung = await user.run('cd ~/app && timeout 0.3 docker compose -p sample up -d; echo "exit $?"');
    expect(hung.stdout).toBe('exit 124\n');
    expect(host.engine.containers()).toHaveLength(0);
    expect(host.engine.calls).toEqual(['version', 'version', 'compose -p sample up -d']);
  });

  it('answers the questions of a preflight', async () => {
    const version = await user.run("docker version --format '{{json .}}'");
    expect(JSON.parse(version.stdout).Server.Platform.Name).toContain('lab process engine');
    const info = await user.run("docker info --format '{{json .}}'");
    expect(JSON.parse(info.stdout)).toMatchObject({ OSType: 'linux', NCPU: expect.any(Number) });
    const short = await user.run('docker compose version --short');
    expect(short.stdout).toMatch(/^2\.\d+\.\d+\n$/);
    const config = JSON.parse((await compose('config --format json')).stdout);
    expect(config).toMatchObject({
      name: 'sample',
      services: { web: { image: `${registry.url}/app:1`, ports: [{ target: 8000, published: '8000' }] } },
    });
    expect((await compose('config --services')).stdout).toBe('db\nweb\nworker\n');
  });
});

describe('pulling', () => {
  it('refuses content that is not what its digest says', async () => {
    const fault = registry.fault({ on: 'blob', kind: 'corrupt' });
    const result = await user.run(`docker pull ${registry.url}/app:1`);
    fault.remove();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/verification failed for digest sha256:/);
    expect(host.engine.images.all()).toHaveLength(0);
    const manifest = registry.fault({ on: 'manifest', kind: 'corrupt' });
    const other = await user.run(`docker pull ${registry.url}/app:1`);
    manifest.remove();
    expect(other.stderr).toMatch(/manifest verification failed for digest sha256:/);
  });

  it('gives images of any registry from the lab, by tag and by digest', async () => {
    const digest = await registry.push({
      ...webImage('9'),
      repository: 'ghcr.example/team/app',
    });
    const byTag = await user.run('docker pull ghcr.example/team/app:9');
    expect(byTag.stdout).toContain(`Digest: ${digest}`);
    expect((await user.run(`docker pull ghcr.example/team/app@${digest}`)).code).toBe(0);
    const { stdout } = await user.run('docker image inspect ghcr.example/team/app:9');
    expect(JSON.parse(stdout)[0]).toMatchObject({
      RepoTags: ['ghcr.example/team/app:9'],
      RepoDigests: [`ghcr.example/team/app@${digest}`],
    });
    const missing = await user.run('docker pull nobody/nothing');
    expect(missing.stderr).toContain('pull access denied for nobody/nothing');
  });

  it('asks for a login where the registry wants one, and keeps it where DOCKER_CONFIG says', async () => {
    const closed = await openRegistry({ auth: { username: 'ci', password: 'open sesame' } });
    try {
      await closed.push(webImage('1'));
      const denied = await user.run(`docker pull ${closed.url}/app:1`);
      expect(denied.stderr).toContain('no basic auth credentials');
      const login = `DOCKER_CONFIG=$HOME/throwaway docker login --username ci --password-stdin ${closed.url}`;
      const wrong = await user.run(login, 'open\n');
      expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('unauthorized') });
      expect(await user.run(login, 'open sesame\n')).toMatchObject({ code: 0, stdout: 'Login Succeeded\n' });
      expect((await user.run(`docker pull ${closed.url}/app:1`)).code).toBe(1);
      expect((await user.run(`DOCKER_CONFIG=$HOME/throwaway docker pull ${closed.url}/app:1`)).code).toBe(0);
      await user.run(`DOCKER_CONFIG=$HOME/throwaway docker logout ${closed.url}`);
      expect((await user.run(`DOCKER_CONFIG=$HOME/throwaway docker pull ${closed.url}/app:1`)).code).toBe(1);
    } finally {
      await closed.close();
    }
  });

  it('keeps an image while it is known by a digest, which goes with the last tag of its repository alone', async () => {
    const id = registry.imageId('app', '1')!;
    const here = async () => (await user.run('docker images -q --no-trunc')).stdout.includes(id);
    const app = `${registry.url}/app`;
    await user.run(`docker pull ${app}:1`);
    const [image] = JSON.parse((await user.run(`docker image inspect ${app}:1`)).stdout);
    const [digest] = image.RepoDigests as [string];
    await user.run(`docker image rm ${app}:1`);
    expect(await here()).toBe(false);
    await user.run(`docker pull ${digest}`);
    await user.run(`docker tag ${digest} kept:1`);
    const refused = await user.run(`docker image rm ${id}`);
    expect(refused.stderr).toContain('image is referenced in multiple repositories');
    expect((await user.run('docker image rm kept:1')).stdout).toBe('Untagged: kept:1\n');
    expect(await here()).toBe(true);
    expect((await user.run(`docker image rm ${id}`)).stdout).toContain(`Deleted: ${id}`);
  });

  it('keeps an image while a tag or a container needs it', async () => {
    await compose('pull --quiet');
    await compose('up -d db');
    const image = `${registry.url}/database:15`;
    await user.run(`docker tag ${image} lockkeeper/sample/db:20261121-031200-a1b2c3d-k3f9`);
    const untagged = await user.run(`docker image rm ${image}`);
    expect(untagged.stdout).toMatch(/^Untagged: \S+\/database:15\nUntagged: \S+\/database@sha256:\w+\n$/);
    const last = await user.run('docker image rm lockkeeper/sample/db:20261121-031200-a1b2c3d-k3f9');
    expect(last).toMatchObject({ code: 1, stderr: expect.stringContaining('is using its referenced image') });
    const gone = registry.imageId('app', '1')!;
    expect((await user.run('docker images -q --no-trunc')).stdout).toContain(gone);
    const free = await user.run(`docker image rm ${registry.url}/app:1`);
    expect(free.stdout).toContain(`Deleted: ${gone}`);
    expect((await user.run('docker images -q --no-trunc')).stdout).not.toContain(gone);
  });
});
