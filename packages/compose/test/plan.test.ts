import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { releaseId, releaseNonce } from '../src/record/release-id.ts';
import {
  obsoleteReleases,
  parseReleases,
  previousRelease,
  type ReleaseRecord,
} from '../src/record/release-record.ts';
import { parseConfig, parseHashes, withDependencies } from '../src/stage/compose-config.ts';
import { planChanges } from '../src/stage/plan.ts';

const running = (service: string, changes: Partial<Container> = {}) =>
  ({
    service,
    image: 'sha256:1111111111112222',
    configHash: 'same',
    status: 'running',
    oneOff: false,
    ...changes,
  }) as Container;

const wanted = {
  services: ['web'],
  known: ['web', 'db'],
  hashes: { web: 'same' },
  images: { web: { reference: 'web:v2', id: 'sha256:1111111111112222' } },
  replicas: {},
  changedMounts: {},
};

describe('the plan', () => {
  it.each<[string, Container[], Partial<typeof wanted>, string, string]>([
    ['same image and configuration', [running('web')], {}, 'unchanged', 'same image and configuration'],
    ['nothing there', [], {}, 'create', 'has no container yet'],
    [
      'another image',
      [running('web', { image: 'sha256:3333333333334444' })],
      {},
      'recreate',
      'image 333333333333 → 111111111111',
    ],
    [
      'another configuration',
      [running('web', { configHash: 'other' })],
      {},
      'recreate',
      'configuration changed',
    ],
    [
      'a mounted file with another content',
      [running('web')],
      { changedMounts: { web: ['nginx.conf'] } },
      'recreate',
      'mounted nginx.conf changed',
    ],
    ['a stopped container', [running('web', { status: 'exited', exitCode: 1 })], {}, 'start', 'is exited'],
    ['a job that is done', [running('web', { status: 'exited', exitCode: 0 })], {}, 'unchanged', 'same'],
  ])('for %s', (_what, containers, changes, change, why) => {
    const [plan] = planChanges(containers, { ...wanted, ...changes });
    expect(plan).toMatchObject({ service: 'web', change });
    expect(plan?.why).toContain(why);
  });

  it('names orphans, and does not take services left out of the deploy for orphans', () => {
    const plan = planChanges([running('web'), running('db'), running('celery')], wanted);
    expect(plan.map(({ service, change }) => [service, change])).toEqual([
      ['web', 'unchanged'],
      ['celery', 'orphan'],
    ]);
  });
});

describe("Compose's answers", () => {
  const config = parseConfig(
    JSON.stringify({
      name: 'shop',
      services: {
        web: {
          image: 'web:v1',
          depends_on: {
            db: { condition: 'service_healthy', required: true },
            mail: { condition: 'service_completed_successfully', required: true },
          },
          deploy: { replicas: 2 },
          volumes: [
            { type: 'bind', source: '/srv/shop/nginx.conf', target: '/etc/nginx.conf' },
            { type: 'volume', source: 'data', target: '/data' },
          ],
        },
        db: { image: 'db:15', secrets: [{ source: 'password' }], configs: [{ source: 'tuning' }] },
        mail: { build: { context: '.' } },
      },
      secrets: { password: { name: 'shop_password', file: '/srv/shop/password' } },
      configs: { tuning: { name: 'shop_tuning', content: 'x' } },
    }),
  );

  it('are read for images, replicas, mounts and dependencies', () => {
    expect(config.services.web).toEqual({
      image: 'web:v1',
      namesImage: true,
      build: undefined,
      dependsOn: ['db', 'mail'],
      behind: ['db'],
      replicas: 2,
      published: [],
      network: '',
      fixedAddress: false,
      healthCheck: false,
      mounts: ['/srv/shop/nginx.conf'],
    });
    expect(config.services.db?.mounts).toEqual(['/srv/shop/password']);
    expect(config.services.mail).toMatchObject({
      image: `${config.name}-mail`,
      namesImage: false,
      build: { context: '.', dockerfile: 'Dockerfile' },
    });
    expect(withDependencies(config, ['web'])).toEqual(['web', 'db', 'mail']);
    expect(withDependencies(config, [])).toEqual(['web', 'db', 'mail']);
  });

  it('give hashes line by line, and nothing else is taken for one', () => {
    expect(parseHashes(`web ${'a'.repeat(64)}\nwarning: x\n`)).toEqual({ web: 'a'.repeat(64) });
  });
});

describe('release ids', () => {
  it('tell time and commit and sort by time', () => {
    const id = releaseId(new Date('2026-11-21T03:12:00Z'), 'A1B2C3D4E5', 'k3f9');
    expect(id).toBe('20261121-031200-a1b2c3d-k3f9');
    expect(releaseId(new Date('2026-11-21T03:12:01Z'), '0000000', 'aaaa') > id).toBe(true);
  });

  it('cannot become a path or an option', () => {
    expect(() => releaseId(new Date(), '../../x', 'k3f9')).toThrow('is not a release id');
    expect(releaseNonce(() => 0)).toBe('0000');
    expect(releaseNonce(() => 0.999999999)).toMatch(/^[a-z0-9]{4}$/);
  });
});

describe('the releases on a host', () => {
  const id = (n: number) => `2026112${n}-031200-a1b2c3d-k3f9`;
  const record = (n: number, verified = true): ReleaseRecord => ({
    version: 1,
    id: id(n),
    commit: 'a',
    createdAt: '',
    baseline: false,
    project: 'shop',
    services: [],
    named: [],
    replicas: {},
    needs: {},
    behind: {},
    beside: [],
    images: {},
    hashes: {},
    mounts: {},
    content: '',
    envFile: null,
    files: 'host',
    verifiedAt: verified ? `2026-11-2${n}T03:12:00.000Z` : null,
  });
  const printed = (...records: ReleaseRecord[]) =>
    records.map((one) => `--- ${one.id}/\n${JSON.stringify(one)}\n\n`).join('');

  it('are read, and what is cut or lies in the wrong place is left out', () => {
    const list = parseReleases(
      `${printed(record(1))}--- ${id(2)}/\n{"version":1,\n--- ${id(3)}/\n${JSON.stringify(record(4))}\n--- bad ${id(1)}\n`,
    );
    expect(list.releases.map((one) => one.id)).toEqual([id(1)]);
    expect([...list.bad]).toEqual([id(1)]);
  });

  it('have a previous one: the newest verified that neither serves nor is bad', () => {
    const list = parseReleases(printed(record(1), record(2), record(3, false), record(4), record(5)));
    expect(previousRelease(list, id(5))).toBe(id(4));
    list.bad.add(id(4));
    expect(previousRelease(list, id(5))).toBe(id(2));
    expect(previousRelease(parseReleases(printed(record(5))), id(5))).toBeUndefined();
  });

  it('go when they are old, but never the serving one or the one to go back to', () => {
    const list = parseReleases(printed(...[1, 2, 3, 4, 5, 6].map((n) => record(n))));
    const gone = (serving: number, keep: number) =>
      obsoleteReleases(list, id(serving), keep).map((one) => one.id);
    expect(gone(6, 3)).toEqual([id(1), id(2), id(3)]);
    expect(gone(6, 1)).toEqual([id(1), id(2), id(3), id(4)]);
    expect(gone(1, 1)).toEqual([id(2), id(3), id(4), id(5)]);
  });
});
