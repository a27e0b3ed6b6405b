import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStack, type Stack } from './stack.ts';

/** Two hosts that serve v1; on the second one the new release can be made to fail. */
describe('on several hosts', () => {
  let first: Stack;
  let second: Stack;
  const both = async () => [await first.version(), await second.version()];
  const deploy = (values: Record<string, string>) =>
    first.deploy({
      host: `${first.address}\n${second.address}`,
      'known-hosts': `${first.host.hostKey.knownHostsLine}\n${second.host.hostKey.knownHostsLine}`,
      ...values,
    });
  // What a host's own .env says is all that differs.
  const sicken = (sick: string) => writeFile(join(second.directory, '.env'), `SICK=${sick}\n`);

  beforeAll(async () => {
    first = await openStack();
    second = await openStack(first);
    for (const { directory, composeFile } of [first, second])
      await writeFile(
        join(directory, 'compose.yaml'),
        composeFile.replace('GREETING:', 'SICK: ${SICK:-}\n      GREETING:'),
      );
    await first.push('v2');
    expect(await deploy({})).toMatchObject({ result: 'deployed' });
  }, 60_000);
  afterAll(async () => {
    await second.close();
    await first.close();
  });

  it.each([
    ['rollback-all', 'rolled-back', ['rolled-back', 'rolled-back'], ['v1', 'v1']],
    ['rollback-failed', 'rolled-back', ['deployed', 'rolled-back'], ['v2', 'v1']],
    ['stop', 'failed', ['deployed', 'failed'], ['v2', 'v2']],
  ])(
    'one that fails with on-failure: %s makes it %s, the hosts %j, serving %j',
    async (onFailure, result, results, versions) => {
      await sicken('');
      expect(['deployed', 'unchanged']).toContain((await deploy({ environment: 'TAG=v1' })).result);
      expect(await both()).toEqual(['v1', 'v1']);

      await sicken('503');
      const report = await deploy({ environment: 'TAG=v2', 'on-failure': onFailure, 'health-url': '' });
      expect(report.result).toBe(result);
      expect(report.hosts.map((host) => host.result)).toEqual(results);
      expect(report.reason).toContain(`web is unhealthy on ${second.address}`);
      expect(await both()).toEqual(versions);
    },
    60_000,
  );

  it('all are staged before the first one changes', async () => {
    await sicken('');
    const before = await both();
    const report = await deploy({ environment: 'TAG=v2', 'required-env': 'ONLY_ON_THE_FIRST' });
    expect(report).toMatchObject({ result: 'failed' });
    expect(await both()).toEqual(before);
  }, 30_000);
});

it('a mounted file that changed recreates its service, and no other', async () => {
  const stack = await openStack();
  try {
    await writeFile(
      join(stack.directory, 'compose.yaml'),
      stack.composeFile.replace(
        'depends_on: [db]',
        'depends_on: [db]\n    volumes: ["./banner.txt:/app/banner.txt:ro"]',
      ),
    );
    await writeFile(join(stack.directory, 'banner.txt'), 'one\n');
    await stack.deploy();
    const before = await stack.containers();
    expect((await stack.deploy()).result).toBe('unchanged');

    await writeFile(join(stack.directory, 'banner.txt'), 'two\n');
    const report = await stack.deploy();
    expect(report.hosts[0]?.services).toContainEqual({
      service: 'web',
      change: 'recreate',
      why: 'mounted banner.txt changed',
    });
    expect(report.result).toBe('deployed');
    const after = await stack.containers();
    expect(after.web).not.toBe(before.web);
    expect(after.db).toBe(before.db);
  } finally {
    await stack.close();
  }
}, 60_000);
