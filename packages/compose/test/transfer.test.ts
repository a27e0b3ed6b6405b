import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { parseConfig } from '../src/stage/compose-config.ts';
import { type ImageFacts, parseImageFacts, runsOn } from '../src/transfer/image-facts.ts';
import { dockerEnvironment, runnerDocker } from '../src/transfer/runner-docker.ts';
import { Spool } from '../src/transfer/spool.ts';
import { Progress } from '../src/transfer/transfer.ts';
import { comparison, referencesToBring, whatToSend } from '../src/transfer/what-to-send.ts';

const scratch = mkdtempSync(join(tmpdir(), 'transfer-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('two images are the same', () => {
  const image = (changes: object = {}, config: object = {}) =>
    parseImageFacts(
      JSON.stringify([
        {
          Id: 'sha256:1',
          Os: 'linux',
          Architecture: 'amd64',
          Size: 1000,
          Created: '2026-11-26T00:00:00Z',
          RootFS: { Type: 'layers', Layers: ['sha256:a', 'sha256:b'] },
          Config: {
            Env: ['PATH=/bin'],
            Cmd: ['serve'],
            ExposedPorts: { '8000/tcp': {} },
            Labels: null,
            ...config,
          },
          ...changes,
        },
      ]),
    )[0]!;

  it.each<[string, ImageFacts]>([
    ['under another id', image({ Id: 'sha256:2' })],
    ['built at another time', image({ Created: '2026-11-27T00:00:00Z' })],
    // Engine 20.10 tells of much that a containerd image store leaves out.
    [
      'told of by another engine',
      image({}, { Hostname: '', Image: 'sha256:x', Labels: {}, OnBuild: [], Volumes: null, User: '' }),
    ],
  ])('%s', (_what, other) => expect(other.content).toBe(image().content));

  it.each<[string, ImageFacts]>([
    ['another layer', image({ RootFS: { Layers: ['sha256:a', 'sha256:c'] } })],
    ['layers in another order', image({ RootFS: { Layers: ['sha256:b', 'sha256:a'] } })],
    ['another command', image({}, { Cmd: ['work'] })],
    ['another port', image({}, { ExposedPorts: { '9000/tcp': {} } })],
    ['another label', image({}, { Labels: { revision: '2' } })],
    ['another architecture', image({ Architecture: 'arm64' })],
  ])('but not with %s', (_what, other) => expect(other.content).not.toBe(image().content));
});

describe('what is sent', () => {
  const facts = (id: string, content = id, platform = 'linux/amd64'): ImageFacts => ({
    id,
    content,
    platform,
    size: 1,
    layers: 2,
  });
  const host = {
    name: '10.0.0.5',
    platform: 'linux/amd64',
    images: [] as ImageFacts[],
    preferred: [] as string[],
  };
  const runner = new Map([
    ['web:v2', facts('new')],
    ['db:15', facts('db')],
  ]);

  it('is all that the host lacks, and each image once', () => {
    const shared = new Map([...runner, ['web:latest', facts('new')]]);
    const { here, send } = whatToSend(['web:v2', 'web:latest', 'db:15'], shared, {
      ...host,
      images: [facts('db')],
    });
    expect([...here]).toEqual([['db:15', 'db']]);
    expect(send).toEqual([{ facts: facts('new'), references: ['web:v2', 'web:latest'] }]);
  });

  it('is nothing where the host has the same content under ids of its own; of two the one in use', () => {
    const images = [facts('theirs-1', 'new'), facts('theirs-2', 'new')];
    expect([...whatToSend(['web:v2'], runner, { ...host, images }).here]).toEqual([['web:v2', 'theirs-1']]);
    const preferred = ['theirs-2'];
    expect([...whatToSend(['web:v2'], runner, { ...host, images, preferred }).here]).toEqual([
      ['web:v2', 'theirs-2'],
    ]);
  });

  it('is named where the runner lacks it, with the command that makes it', () =>
    expect(() => whatToSend(['web:v2', 'web:v3', 'redis:7'], runner, host)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/^web:v3, redis:7 are not in the runner's Docker/),
        next: expect.stringContaining('docker build -t web:v3 . (or docker pull web:v3)'),
      }),
    ));

  it('is refused where the host could not run it', () =>
    expect(() => whatToSend(['web:v2'], runner, { ...host, platform: 'linux/arm64' })).toThrow(
      expect.objectContaining({
        message: 'web:v2 on the runner is for linux/amd64, and 10.0.0.5 is linux/arm64',
        next: 'docker build --platform linux/arm64 -t web:v2 .',
      }),
    ));

  it.each([
    ['linux/amd64', 'linux/amd64', true],
    ['linux/386', 'linux/amd64', true],
    ['linux/arm', 'linux/arm64', true],
    ['linux/amd64', 'linux/arm64', false],
    ['linux/amd64', '', true],
  ])('%s runs on %j: %s', (platform, own, runs) => expect(runsOn(platform, own)).toBe(runs));

  it.each<[string, ImageFacts | undefined, RegExp | undefined]>([
    ['by its id', facts('new'), /^by its id$/],
    ['by its content', facts('theirs', 'new'), /^by its 2 layers and its configuration/],
    ['not', facts('theirs', 'other'), undefined],
    ['not, when it is not there', undefined, undefined],
  ])('is known again %s', (_what, arrived, how) => {
    const seen = comparison(facts('new'), arrived);
    if (how) expect(seen).toMatch(how);
    else expect(seen).toBeUndefined();
  });

  it('comes for what was asked for, and for what that needs only where it is not there', () => {
    const config = parseConfig(
      JSON.stringify({
        name: 'shop',
        services: {
          web: { image: 'web:v2', depends_on: { db: {}, cache: {} } },
          worker: { image: 'web:v2' },
          db: { image: 'db:15' },
          cache: { image: 'redis:7' },
        },
      }),
    );
    const question = {
      config,
      services: ['web', 'worker', 'db', 'cache'],
      pins: {},
      containers: [],
      host: 'h',
    };
    expect(referencesToBring({ ...question, named: ['web', 'worker'] }, new Set(['db:15']))).toEqual([
      'web:v2',
      'redis:7',
    ]);
    expect(referencesToBring({ ...question, named: question.services }, new Set(['db:15']))).toEqual([
      'web:v2',
      'db:15',
      'redis:7',
    ]);
  });
});

describe('the spool', () => {
  it('is read while it grows, again from the start, and lies nowhere by name', async () => {
    const spool = await Spool.open(scratch);
    writeFileSync(spool.path, 'one ');
    const first = spool.read()[Symbol.asyncIterator]();
    expect(String((await first.next()).value)).toBe('one ');
    writeFileSync(spool.path, 'two', { flag: 'a' });
    expect(String((await first.next()).value)).toBe('two');
    await spool.forget();
    expect(existsSync(spool.path)).toBe(false);
    spool.end();
    expect(await first.next()).toMatchObject({ done: true });
    expect(await text(spool.read())).toBe('one two');
    await spool.close();
  });

  it('gives no half of an image for a whole one', async () => {
    const spool = await Spool.open(scratch);
    writeFileSync(spool.path, 'half');
    spool.end(new Error('docker save failed'));
    await expect(buffer(spool.read())).rejects.toThrow('docker save failed');
    await spool.close();
  });
});

describe('docker on the runner', () => {
  it('is given what it needs to find its daemon, and nothing of ours', () =>
    expect(
      dockerEnvironment({
        PATH: '/bin',
        HOME: '/root',
        DOCKER_HOST: 'unix:///run/docker.sock',
        DOCKER_CONFIG: '',
        'INPUT_PRIVATE-KEY': 'secret',
        ACTIONS_RUNTIME_TOKEN: 'secret',
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'secret',
        GITHUB_TOKEN: 'secret',
        GITHUB_ENV: '/env',
        STATE_record: '{}',
        RUNNER_TEMP: '/tmp',
        AWS_SECRET_ACCESS_KEY: 'secret',
        NODE_OPTIONS: '--require evil',
        LD_PRELOAD: 'evil.so',
      }),
    ).toEqual({ PATH: '/bin', HOME: '/root', DOCKER_HOST: 'unix:///run/docker.sock' }));

  /** A docker that is a shell script: it tells of `web:v2`, and saves as the test says. */
  async function fakeDocker(save: string) {
    const directory = mkdtempSync(join(scratch, 'bin-'));
    const image = JSON.stringify([{ Id: 'sha256:1', Os: 'linux', Architecture: 'amd64', Size: 5 }]);
    writeFileSync(
      join(directory, 'docker'),
      `#!/bin/sh
env >>"${directory}/environment"
case "$1 $4" in
  "image web:v2") echo '${image}' ;;
  "image down") echo 'Cannot connect to the Docker daemon' >&2; exit 1 ;;
  "image "*) echo "Error response from daemon: No such image: $4" >&2; exit 1 ;;
  *) ${save} ;;
esac
`,
    );
    await chmod(join(directory, 'docker'), 0o755);
    const temp = mkdtempSync(join(scratch, 'temp-'));
    const log = memoryLog();
    const env = {
      PATH: `${directory}:/usr/bin:/bin`,
      HOME: '/root',
      RUNNER_TEMP: temp,
      GITHUB_TOKEN: 'secret',
    };
    return { directory, temp, log, docker: runnerDocker({ env, log }) };
  }

  it('tells of the images that it has; those that it lacks are left out', async () => {
    const { docker, directory, log } = await fakeDocker('exit 9');
    const found = await docker.find(['web:v2', 'web:v3']);
    expect([...found.keys()]).toEqual(['web:v2']);
    expect(found.get('web:v2')).toMatchObject({ id: 'sha256:1', platform: 'linux/amd64', size: 5 });
    expect(log.lines).toEqual([`Images come from the runner's ${directory}/docker`]);
    expect(readFileSync(join(directory, 'environment'), 'utf8')).not.toContain('secret');
    await expect(docker.find(['down'])).rejects.toThrow(/cannot tell of down: Cannot connect/);
  });

  it('that is not there is said', () =>
    expect(runnerDocker({ env: { PATH: scratch }, log: memoryLog() }).find(['web:v2'])).rejects.toThrow(
      'the runner has no docker in PATH',
    ));

  it('is read while it saves, by several hosts from one file without a name', async () => {
    const { docker, temp } = await fakeDocker(
      `printf one; until [ -e "${scratch}/go" ]; do sleep 0.02; done; printf two`,
    );
    const [one, other] = await Promise.all([docker.save('sha256:1'), docker.save('sha256:1')]);
    const pieces = one.read()[Symbol.asyncIterator]();
    expect(String((await pieces.next()).value)).toBe('one');
    while (readdirSync(temp).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    writeFileSync(join(scratch, 'go'), '');
    expect(await text(other.read() as Readable)).toBe('onetwo');
    await one.close();
    expect(await text(other.read())).toBe('onetwo');
    await other.close();
  });

  it('that fails in the middle fails the reader, in its own words', async () => {
    const { docker } = await fakeDocker("printf half; echo 'no space left' >&2; exit 1");
    const saved = await docker.save('sha256:1');
    await expect(buffer(saved.read())).rejects.toThrow(
      'docker save sha256:1 failed on the runner: no space left',
    );
    await saved.close();
  });

  it('is ended with what reads it', async () => {
    const { docker, directory } = await fakeDocker(`echo "$$" >"$0.pid"; exec sleep 1000`);
    const saved = await docker.save('sha256:1');
    const pidFile = join(directory, 'docker.pid');
    while (!existsSync(pidFile) || !readFileSync(pidFile, 'utf8').trim())
      await new Promise((resolve) => setTimeout(resolve, 10));
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await saved.close();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

it('speaks of progress now and then, and of the end', () => {
  const told: string[] = [];
  let now = 0;
  const clock = { now: () => now, sleep: async () => {} };
  const progress = new Progress(clock, 100e6, (line) => told.push(line));
  for (let second = 1; second <= 12; second++) {
    now = second * 1000;
    progress.add(10e6);
  }
  progress.end();
  expect(told).toEqual([
    '50 of 100 MB sent (10 MB/s)',
    '100 of 100 MB sent (10 MB/s)',
    '120 MB sent in 12 s (10 MB/s)',
  ]);
});
