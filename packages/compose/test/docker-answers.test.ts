import { existsSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { fakeClock } from '@lockkeeper/wait';
import { DockerHost } from '../src/host/docker.ts';
import { SteadyShell } from '../src/host/steady-shell.ts';
import { parseStagingNote } from '../src/record/staging-note.ts';
import { type LocalHost, localHost, shells } from './local-host.ts';

const hosts: LocalHost[] = [];
afterAll(async () => {
  for (const host of hosts) await host.close();
});

const away = 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1';
const web = JSON.stringify([
  {
    ...{ Id: 'abc', Name: '/shop-web-1', Image: 'sha256:1', RestartCount: 0, HostConfig: {} },
    ...{ State: { Status: 'running' }, Config: { Labels: { 'com.docker.compose.service': 'web' } } },
  },
]);

/** A host whose docker does this for `ps` and for `inspect`; how often each was asked is in $n, from 1. */
async function dockerHost(
  kind: (typeof shells)[number],
  does: { ps?: string; inspect?: string; images?: string },
) {
  const host = await localHost(kind);
  hosts.push(host);
  host.command(
    'docker',
    `n=$(($(cat "$HOME/$1" 2>/dev/null || echo 0) + 1)); echo "$n" >"$HOME/$1"
case $1 in ps) ${does.ps} ;; inspect) ${does.inspect} ;; images) ${does.images} ;; esac`,
  );
  const [log, clock] = [memoryLog(), fakeClock(0)];
  const shell = new SteadyShell(host, { within: 1_000, clock, log });
  const settings = { directory: host.directory, lockToken: host.token, commandTimeout: 1_000, log, clock };
  const docker = new DockerHost(shell, { kind: 'plugin', ...settings });
  return {
    names: async () => (await docker.containers('a')).map(({ name }) => name),
    note: (...wanted: string[]) => docker.noteImages(`${host.directory}/note`, wanted),
    noted: () => existsSync(`${host.directory}/note`),
    ...{ log, clock },
  };
}

describe.each(shells)('the containers of a host that has %s', (kind) => {
  it.each([
    ['there are none', { ps: ':', inspect: 'exit 1' }, []],
    ['there is one', { ps: 'echo abc', inspect: `echo '${web}'` }, ['shop-web-1']],
    [
      'one went between the two questions',
      { ps: 'echo abc; echo def', inspect: `echo '${web}'; echo "Error: No such object: def" >&2; exit 1` },
      ['shop-web-1'],
    ],
  ])('are told where %s', async (_what, does, expected) => {
    const { names } = await dockerHost(kind, does);
    expect(await names()).toEqual(expected);
  });

  it.each([
    ['list', { ps: `[ "$n" -gt 2 ] || { ${away}; }; echo abc`, inspect: `echo '${web}'` }],
    ['describe', { ps: 'echo abc', inspect: `[ "$n" -gt 2 ] || { ${away}; }; echo '${web}'` }],
  ])('are waited for while the daemon does not %s them', async (_what, does) => {
    const { names, log } = await dockerHost(kind, does);
    expect(await names()).toEqual(['shop-web-1']);
    expect(log.lines.filter((line) => line.includes('docker does not answer'))).toHaveLength(1);
  });

  it('are not taken for gone when the daemon stays away', async () => {
    const { names } = await dockerHost(kind, { ps: away, inspect: 'exit 1' });
    await expect(names()).rejects.toThrow('docker inspect failed: Cannot connect to the Docker daemon');
  });
});

describe.each(shells)('before images are brought to a host that has %s', (kind) => {
  it.each([
    ['are here', 'printf "sha256:b\\nsha256:a\\nsha256:b\\n"', ['sha256:a', 'sha256:b']],
    ['are here once docker answers', `[ "$n" -gt 3 ] || { ${away}; }; echo sha256:a`, ['sha256:a']],
    ['are none', ':', []],
  ])('it is written down what is wanted and which %s', async (_what, images, had) => {
    const { note, noted } = await dockerHost(kind, { images });
    expect(parseStagingNote(await note('web:1', 'web:1', 'db:15'))).toEqual({
      wanted: ['web:1', 'db:15'],
      had,
    });
    expect(noted()).toBe(true);
  });

  it('nothing is written down while nobody knows', async () => {
    const { note, noted } = await dockerHost(kind, { images: away });
    await expect(note('web:1')).rejects.toThrow(/cannot list the images: Cannot connect/);
    expect(noted()).toBe(false);
  });
});
