import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openShop, type Shop } from './shop.ts';

/** A mistake of the user's, or a host that cannot: nothing is changed, and the reason names it. */
interface Mistake {
  name: string;
  inputs?: Record<string, string>;
  /** Makes it; answers how it is taken back. */
  make?: (shop: Shop) => Promise<() => Promise<unknown>>;
  reason: RegExp;
}

const compose = (choice: 'v1' | 'none') => async (shop: Shop) => {
  await shop.host.useCompose(choice);
  return () => shop.host.useCompose('stable');
};

const mistakes: Mistake[] = [
  {
    name: 'a Compose file that does not parse',
    make: async (shop) => {
      await shop.layOut((text) => text.replace('services:', 'services:\n  - web: ['));
      return () => shop.layOut();
    },
    reason: /yaml|parse|compose\.yaml/i,
  },
  {
    name: 'a service that the Compose file does not have',
    inputs: { services: 'web, wrok' },
    reason: /has no service wrok; it has .*web/,
  },
  {
    name: 'a project directory that is a symbolic link',
    inputs: { 'project-directory': '~/link' },
    make: async ({ host, directory }) => {
      await host.run('ln -s "$1" link', { args: [directory] });
      return () => host.run('rm link');
    },
    reason: /~\/link on [\d.]+ is a symbolic link to \/home\/deploy\/shop$/,
  },
  {
    name: 'a project directory that is not there',
    inputs: { 'project-directory': '~/shopp' },
    reason: /has no directory ~\/shopp/,
  },
  {
    name: 'a project name that belongs to another directory',
    inputs: { 'project-directory': '~/other' },
    make: async ({ host, directory }) => {
      await host.run('mkdir other; cp "$1/compose.yaml" "$1/.env" other', { args: [directory] });
      return () => host.run('rm -rf other');
    },
    reason: /the project name shop on [\d.]+ belongs to \/home\/deploy\/shop/,
  },
  {
    name: "another name than the directory's containers run under",
    inputs: { 'project-name': 'market' },
    reason: /run under the project name shop, not market/,
  },
  {
    name: 'a host with Compose v1',
    make: compose('v1'),
    reason: /has Compose 1\.29\.2, which ended in 2023/,
  },
  { name: 'a host without Compose', make: compose('none'), reason: /has docker, but no Docker Compose/ },
  {
    name: 'a user who may not use docker',
    make: async ({ host }) => {
      await host.run('chgrp root /run/docker.sock', { as: 'root' });
      return () => host.run('chgrp docker /run/docker.sock', { as: 'root' });
    },
    reason: /the user may not use docker on [\d.]+: it is not in the group docker/,
  },
  {
    name: 'a host key that is not the pinned one',
    inputs: {
      'known-hosts': '',
      'host-fingerprint': `SHA256:${'A'.repeat(43)}`,
    },
    reason: /the host key of [\d.]+ is .*; offered SHA256:.*, expected SHA256:A+/,
  },
  {
    name: 'a user that the host does not know',
    inputs: { username: 'nobody-here' },
    reason: /refused the key for user "nobody-here"/,
  },
];

describe('on a host that serves', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
    await shop.start();
  });
  afterAll(() => shop?.close());

  it.each(mistakes)('$name changes nothing, and is named', async ({ inputs, make, reason }) => {
    const containers = await shop.containers();
    const undo = await make?.(shop);
    try {
      const { main, conclusion } = await shop.deploy({ environment: 'TAG=v2', ...inputs });
      expect({ ...main?.outputs, conclusion, log: main?.log }).toMatchObject({
        conclusion: 'failure',
        result: 'failed',
        reason: expect.stringMatching(reason),
      });
      expect(main?.annotations.find(({ level }) => level === 'error')?.message).toContain(
        'No container was changed',
      );
    } finally {
      await undo?.();
    }
    expect(await shop.containers()).toEqual(containers);
    expect(await shop.version()).toBe('v1');
  });

  it('a home directory of somebody else is refused before anything is contacted', async () => {
    await shop.host.firewall.close();
    try {
      const { main } = await shop.deploy({ 'project-directory': '~root/shop' });
      expect(main?.annotations.map(({ message }) => message).join()).toContain(
        'project-directory: "~root/shop" is not',
      );
    } finally {
      await shop.host.firewall.open();
    }
  });

  it('a dry run tells what would change and changes nothing', async () => {
    await shop.host.run('rm -rf "$1/.lockkeeper"', { args: [shop.directory] });
    const containers = await shop.containers();
    const { main } = await shop.deploy({ environment: 'TAG=v2', 'dry-run': 'true' });
    expect(main?.outputs.result).toBe('unchanged');
    expect(main?.log.join('\n')).toMatch(/web: recreate \(image [0-9a-f]{12} → /);
    expect(await shop.containers()).toEqual(containers);
    expect(await shop.host.run('ls -a "$1" /tmp', { args: [shop.directory] })).not.toMatch(
      /lockkeeper|tmp\./,
    );
  });
});
