import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStack, type Stack } from './stack.ts';

/** Two hosts whose file has a scheduler; on the second one a release can be made to fail. */
describe('singleton-services', () => {
  let a: Stack;
  let b: Stack;
  /** Which version of the scheduler runs where. */
  const beats = async () => {
    const of = async (stack: Stack) => {
      const ids = (await stack.docker('ps', '-q', '--filter', 'label=com.docker.compose.service=beat'))
        .split('\n')
        .filter(Boolean);
      if (ids.length === 0) return '';
      const found = JSON.parse(await stack.docker('inspect', ...ids)) as Array<{ Config: { Env: string[] } }>;
      return found.map(({ Config }) => Config.Env.find((line) => line.startsWith('TAG='))).join();
    };
    return [await of(a), await of(b)];
  };
  const deploy = (hosts: Stack[], tag: string, values: Record<string, string> = {}) =>
    a.deploy({
      host: hosts.map(({ address }) => address).join('\n'),
      'known-hosts': [a, b].map(({ host }) => host.hostKey.knownHostsLine).join('\n'),
      environment: `TAG=${tag}`,
      'health-url': '',
      'singleton-services': 'beat',
      ...values,
    });
  const sicken = (stack: Stack, sick: string) => writeFile(join(stack.directory, '.env'), `SICK=${sick}\n`);

  beforeAll(async () => {
    a = await openStack();
    b = await openStack(a);
    await a.push('v2');
    for (const { directory, composeFile, registry } of [a, b])
      await writeFile(
        join(directory, 'compose.yaml'),
        `${composeFile.replace('GREETING:', 'SICK: ${SICK:-}\n      GREETING:')}
  beat:
    image: ${registry.url}/db:15
    environment: { TAG: "\${TAG:-v1}" }
`,
      );
  }, 60_000);
  afterAll(async () => {
    await b?.close();
    await a?.close();
  });

  it('run on the first host alone, also where all ran them before, and move with the order of the hosts', async () => {
    await sicken(a, '');
    await sicken(b, '');
    const before = await deploy([a, b], 'v1', { 'singleton-services': '' });
    expect(before.hosts.map(({ result }) => result)).toEqual(
      expect.arrayContaining([expect.stringMatching(/deployed|unchanged/)]),
    );
    expect(await beats()).toEqual(['TAG=v1', 'TAG=v1']);

    const report = await deploy([a, b], 'v2');
    expect(report.result).toBe('deployed');
    expect(report.hosts[1]?.services).toContainEqual({
      service: 'beat',
      change: 'remove',
      why: 'is not to run on this host',
    });
    expect(await beats()).toEqual(['TAG=v2', '']);
    expect(await deploy([a, b], 'v2')).toMatchObject({ result: 'unchanged' });
    expect(await beats()).toEqual(['TAG=v2', '']);

    expect(await deploy([b, a], 'v2')).toMatchObject({ result: 'deployed' });
    expect(await beats()).toEqual(['', 'TAG=v2']);

    // Each host goes to a release by name with the singletons where the order of the hosts has them.
    expect(await deploy([a, b], 'v2', { 'rollback-to': 'previous' })).toMatchObject({ result: 'deployed' });
    expect(await beats()).toEqual(['TAG=v2', '']);
  }, 240_000);

  it.each([
    ['rollback-all', 'b, as before', ['', 'TAG=v1']],
    ['rollback-failed', 'a, which stays on the new release', ['TAG=v2', '']],
  ])(
    'run once after the second host failed with on-failure: %s: on %s',
    async (onFailure, _where, where) => {
      await sicken(a, '');
      await sicken(b, '');
      expect((await deploy([b, a], 'v1')).result).toMatch(/deployed|unchanged/);
      expect(await beats()).toEqual(['', 'TAG=v1']);

      await sicken(b, '503');
      const report = await deploy([a, b], 'v2', { 'on-failure': onFailure });
      expect(report.result).toBe('rolled-back');
      expect(await beats()).toEqual(where);
    },
    240_000,
  );
});
