import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { pinsFor } from '../src/host/pins.ts';
import type { PendingRecord } from '../src/record/release-record.ts';
import { proxiesOf } from '../src/switch/blue-green.ts';
import { inGroups } from '../src/switch/groups.ts';
import {
  fitsRelease,
  nextStep,
  reloadIsDue,
  type SwapGoal,
  type SwapKnowledge,
  type SwapStep,
} from '../src/switch/swap.ts';

/** `b1` is a container of release b. */
const container = (id: string, status = 'running') => ({ id, status }) as Container;
const goal = (release: string, back = false, replicas = 1): SwapGoal => ({
  replicas,
  back,
  fits: ({ id }) => id.startsWith(release),
});
const knowing = (changes: Partial<SwapKnowledge> = {}): SwapKnowledge => ({
  exposed: ['a1'],
  retired: [],
  started: false,
  proven: new Set(),
  checked: false,
  reloadDue: false,
  ...changes,
});

describe('a swap goes on from whatever is there', () => {
  const started = { started: true };
  const proven = { ...started, proven: new Set(['b1']) };
  it.each<[string, Container[], SwapGoal, Partial<SwapKnowledge>, SwapStep | undefined]>([
    ['the old one alone', [container('a1')], goal('b'), {}, { do: 'start', scale: 2 }],
    [
      'two of the old',
      [container('a1'), container('a2')],
      goal('b', false, 2),
      { exposed: ['a1', 'a2'] },
      { do: 'start', scale: 4 },
    ],
    [
      'both, the new one just started',
      [container('a1'), container('b1')],
      goal('b'),
      started,
      { do: 'prove', ids: ['b1'] },
    ],
    [
      'the new one died at once: it is judged, not started over',
      [container('a1'), container('b1', 'exited')],
      goal('b'),
      started,
      { do: 'prove', ids: ['b1'] },
    ],
    [
      'both, the new one proven',
      [container('a1'), container('b1')],
      goal('b'),
      proven,
      { do: 'expose', ids: ['b1'], keep: ['b1'] },
    ],
    [
      'both exposed, not asked yet',
      [container('a1'), container('b1')],
      goal('b'),
      { exposed: ['a1', 'b1'] },
      { do: 'check', ids: ['b1'] },
    ],
    [
      'both noted as exposed by a run that died',
      [container('a1'), container('b1')],
      goal('b'),
      { exposed: ['a1', 'b1'], reloadDue: true },
      { do: 'reload', keep: ['b1'] },
    ],
    [
      'both exposed and asked',
      [container('a1'), container('b1')],
      goal('b'),
      { exposed: ['a1', 'b1'], checked: true },
      { do: 'retire', ids: ['a1'], keep: ['b1'] },
    ],
    [
      'the old one stopped, not removed',
      [container('a1', 'exited'), container('b1')],
      goal('b'),
      { exposed: ['a1', 'b1'], retired: ['a1'] },
      { do: 'remove', ids: ['a1'] },
    ],
    [
      'the old one gone, the proxy not told',
      [container('b1')],
      goal('b'),
      { exposed: ['a1', 'b1'], retired: ['a1'], reloadDue: true },
      { do: 'reload', keep: ['b1'] },
    ],
    ['the new one alone', [container('b1')], goal('b'), { exposed: ['b1'] }, undefined],
    [
      'the new one made, never started',
      [container('a1'), container('b1', 'created')],
      goal('b'),
      {},
      { do: 'remove', ids: ['b1'] },
    ],
    [
      'a new one of an earlier run, unproven',
      [container('a1'), container('b1')],
      goal('b'),
      {},
      { do: 'prove', ids: ['b1'] },
    ],
    [
      'a new one of an earlier release, unproven',
      [container('a1'), container('b1')],
      goal('c'),
      {},
      { do: 'remove', ids: ['b1'] },
    ],
    [
      'a new one of an earlier release, exposed',
      [container('a1'), container('b1')],
      goal('c'),
      { exposed: ['a1', 'b1'] },
      { do: 'start', scale: 3 },
    ],
    [
      'one too many of the right ones, unmet',
      [container('b1'), container('b2')],
      goal('b'),
      { exposed: ['b1'] },
      { do: 'remove', ids: ['b2'] },
    ],
    [
      'one too many of the right ones, in use',
      [container('b1'), container('b2')],
      goal('b'),
      { exposed: ['b1', 'b2'], checked: true },
      { do: 'retire', ids: ['b2'], keep: ['b1'] },
    ],
    [
      'nobody but one that nobody met',
      [container('b1')],
      goal('c'),
      { exposed: [] },
      { do: 'start', scale: 2 },
    ],

    [
      'back, while the old one runs',
      [container('a1'), container('b1')],
      goal('a', true),
      {},
      { do: 'remove', ids: ['b1'] },
    ],
    [
      'back, while the old one runs and users met the new one',
      [container('a1'), container('b1')],
      goal('a', true),
      { exposed: ['a1', 'b1'] },
      { do: 'retire', ids: ['b1'], keep: ['a1'] },
    ],
    [
      'back, while the old one is stopping: it cannot be kept',
      [container('a1'), container('b1')],
      goal('a', true),
      { exposed: ['a1', 'b1'], retired: ['a1'] },
      { do: 'start', scale: 3 },
    ],
    [
      'back, after the old one stopped',
      [container('a1', 'exited'), container('b1')],
      goal('a', true),
      { exposed: ['a1', 'b1'], retired: ['a1'] },
      { do: 'remove', ids: ['a1'] },
    ],
    [
      'back, after the old one was removed',
      [container('b1')],
      goal('a', true),
      { exposed: ['a1', 'b1'], retired: ['a1'] },
      { do: 'start', scale: 2 },
    ],
    ['back, all done', [container('a1')], goal('a', true), {}, undefined],
  ])('%s', (_what, own, wanted, changes, step) =>
    expect(nextStep(own, wanted, knowing(changes))).toEqual(step),
  );
});

/** A host with its proxy, and runs that die after any of their acts. */
class World {
  containers = [container('a1')];
  /** Told to stop: they run, but take no new requests. */
  stopping = new Set<string>();
  proxy = new Set(['a1']);
  good = new Set(['a1']);
  record: { exposed: string[]; retired: string[] } | undefined;
  /** Names in the proxy's own hosts file; undefined where it goes by Docker's DNS. */
  #pinned: string[] | undefined;
  readonly #canPin: boolean;
  #made = 1;
  #left = Number.POSITIVE_INFINITY;

  constructor(canPin: boolean) {
    this.#canPin = canPin;
  }

  get steps(): string {
    return `${this.containers.map(({ id, status }) => `${id} ${status}`)}; proxy ${[...this.proxy]}; stopping ${[...this.stopping]}`;
  }

  /** A run that dies after so many acts. Answers whether it came to its end. */
  run(release: string, back: boolean, acts = Number.POSITIVE_INFINITY): boolean {
    this.#left = acts;
    try {
      this.#run(release, back);
      return true;
    } catch (error) {
      if (error instanceof Died) return false;
      throw error;
    }
  }

  #run(release: string, back: boolean): void {
    const inherited = this.record;
    const known: SwapKnowledge & { proven: Set<string> } = {
      ...knowing(),
      exposed: inherited?.exposed ?? this.containers.map(({ id }) => id),
      retired: inherited?.retired ?? [],
      reloadDue: inherited !== undefined && reloadIsDue(inherited, this.containers, ['a1']),
      proven: new Set<string>(),
    };
    const note = () =>
      this.#act(() => {
        this.record = { exposed: known.exposed, retired: known.retired };
      });
    for (let taken = 0; taken < 20; taken++) {
      const step = nextStep(this.containers, goal(release, back), known);
      if (!step) return;
      if (taken === 0 && !inherited) note();
      if (step.do === 'remove') {
        known.reloadDue ||= step.ids.some((id) => known.exposed.includes(id));
        for (const id of step.ids) this.#remove(id);
      } else if (step.do === 'start') {
        const id = `${release}${++this.#made}`;
        this.#act(() => this.containers.push(container(id, 'created')));
        this.#act(() => this.#become(id, 'running'));
        known.started = true;
      } else if (step.do === 'prove') {
        for (const id of step.ids) {
          known.proven.add(id);
          this.good.add(id);
        }
      } else if (step.do === 'expose') {
        known.exposed = [...known.exposed, ...step.ids];
        note();
        this.#point(step.keep);
        known.reloadDue = false;
      } else if (step.do === 'check') known.checked = true;
      else if (step.do === 'retire') {
        known.retired = [...known.retired, ...step.ids];
        note();
        if (this.#canPin) this.#point(step.keep);
        for (const id of step.ids) this.#act(() => this.stopping.add(id));
        for (const id of step.ids) this.#act(() => this.#become(id, 'exited'));
        this.#point([]);
        for (const id of step.ids) this.#remove(id);
        known.reloadDue = false;
      } else {
        this.#point(step.keep);
        known.reloadDue = false;
      }
    }
    throw new Error(`no end: ${this.steps}`);
  }

  #become(id: string, status: string): void {
    this.containers = this.containers.map((one) => (one.id === id ? container(id, status) : one));
  }

  #remove(id: string): void {
    this.#act(() => {
      this.containers = this.containers.filter((one) => one.id !== id);
    });
  }

  /** Pins the proxy where others run too, and tells it to look again; Docker's DNS answers with all that run. */
  #point(keep: string[]): void {
    const running = this.containers.filter(({ status }) => status === 'running').map(({ id }) => id);
    if (this.#canPin)
      this.#act(() => {
        this.#pinned =
          running.some((id) => keep.includes(id)) && running.length > keep.length ? keep : undefined;
      });
    this.#act(() => {
      this.proxy = new Set(this.#pinned ?? running);
    });
  }

  #act(act: () => void): void {
    if (this.#left-- === 0) throw new Died();
    act();
    const isRunning = (id: string) =>
      this.containers.some((one) => one.id === id && one.status === 'running');
    const serving = [...this.proxy].filter((id) => isRunning(id) && !this.stopping.has(id));
    // Plain throws: this is asked a hundred thousand times.
    const wrong = (what: string) => {
      throw new Error(`${what}: ${this.steps}`);
    };
    if (serving.length === 0) wrong('nobody serves');
    if ([...this.proxy].some((id) => !this.good.has(id))) wrong('users meet one that is not proven');
    if (this.#canPin && [...this.proxy].some((id) => this.stopping.has(id)))
      wrong('requests go to one that was told to stop');
  }
}

class Died extends Error {}

/** What comes after a run to b that died: post, or a next run. */
const later: Array<[string, boolean]> = [
  ['a', true],
  ['b', false],
  ['c', false],
];

describe.each([true, false])('whenever runs die (the proxy can be pinned: %s)', (canPin) => {
  it.each(later)(
    'users always have a proven container, and the last run ends on %s (back: %s) alone',
    (last, back) => {
      let acts = 0;
      for (let unfinished = true; unfinished; acts++) {
        unfinished = !new World(canPin).run('b', false, acts);
        for (const [release, isBack] of later)
          for (let more = 0, again = true; again; more++) {
            const world = new World(canPin);
            world.run('b', false, acts);
            again = !world.run(release, isBack, more);
            world.run(last, back);
            const [only, ...others] = world.containers;
            expect({ others, release: only?.id[0], proxy: [...world.proxy] }).toEqual({
              others: [],
              release: last,
              proxy: [only?.id],
            });
          }
      }
      expect(acts).toBeGreaterThan(9);
    },
  );
});

describe('a container is one of a release', () => {
  const record = {
    id: '20261120-031200-a1b2c3d-aaaa',
    images: { web: { reference: 'web:v1', id: 'sha256:1' } },
    hashes: { web: 'h' },
  };
  const pending = { from: record.id, containers: { web: ['old'] } } as unknown as PendingRecord;
  const one = (id: string, image = 'sha256:1', configHash = 'h') => ({ id, image, configHash }) as Container;
  it.each<[string, Container, { pending?: PendingRecord; remounted?: boolean }, boolean]>([
    ['by image and hash', one('x'), {}, true],
    ['not by another image', one('x', 'sha256:2'), {}, false],
    ['not by another configuration', one('x', 'sha256:1', 'other'), {}, false],
    [
      'one that ran before, going back, though its file changed since',
      one('old', 'sha256:1', 'other'),
      { pending },
      true,
    ],
    ['not one that ran before with another image', one('old', 'sha256:2'), { pending }, false],
    [
      'not one that ran before when a mounted file changed',
      one('old'),
      { pending: { ...pending, from: null }, remounted: true },
      false,
    ],
    [
      'a new one when a mounted file changed',
      one('new'),
      { pending: { ...pending, from: null }, remounted: true },
      true,
    ],
  ])('%s', (_what, container, { pending, remounted = false }, fits) =>
    expect(fitsRelease(record, 'web', { pending, remounted })(container)).toBe(fits),
  );
});

it('takes for a proxy what publishes a port and is not blue-green itself', () => {
  const proxy = { service: 'nginx', status: 'running', ports: [{ host: 80, container: 80 }] } as Container;
  expect(proxiesOf([proxy], ['web'])).toEqual([proxy]);
  expect(proxiesOf([{ ...proxy, status: 'exited' }], ['web'])).toEqual([]);
  expect(proxiesOf([proxy], ['nginx'])).toEqual([]);
  expect(proxiesOf([{ ...proxy, ports: [] }], ['web'])).toEqual([]);
  expect(proxiesOf([{ ...proxy, ports: [], hostNetwork: true }], ['web'])).toHaveLength(1);
});

describe('the hosts file of a proxy', () => {
  const inNetwork = (id: string, network: string, address: string, aliases: string[], address6 = '') =>
    ({ id, networks: [{ network, address, address6, aliases }] }) as Container;
  const nginx = inNetwork('nginx1', 'n1', '172.18.0.9', ['nginx', 'shop-nginx-1']);
  const old = inNetwork('a1', 'n1', '172.18.0.2', ['web', 'app', 'shop-web-1', 'a1']);
  const fresh = inNetwork('b1', 'n1', '172.18.0.3', ['web', 'app', 'shop-web-2', 'b1'], 'fd00::3');

  it('names the new container alone by what both are called, while the old one lives', () =>
    expect(pinsFor([nginx], [fresh], [old])).toEqual([
      { proxy: 'nginx1', address: '172.18.0.9', lines: ['172.18.0.3 web app', 'fd00::3 web app'] },
    ]));

  it('is as Docker has it once the old one has gone', () =>
    expect(pinsFor([nginx], [fresh], [])).toEqual([{ proxy: 'nginx1', address: '172.18.0.9', lines: [] }]));

  it('names nobody that the proxy cannot reach', () =>
    expect(pinsFor([nginx], [inNetwork('b1', 'n2', '172.19.0.3', ['web'])], [old])).toEqual([
      { proxy: 'nginx1', address: '172.18.0.9', lines: [] },
    ]));

  it('is left alone where it is not the proxy’s own', () =>
    expect(pinsFor([{ ...nginx, networks: [] }], [fresh], [old])).toEqual([]));
});

it('brings up what others depend on before them, and never more than is asked for', () => {
  const needs = { web: ['api', 'auth', 'db'], api: ['auth', 'db'], auth: ['db'], worker: ['db'] };
  expect(inGroups(['web', 'worker', 'api', 'auth'], needs)).toEqual([['worker', 'auth'], ['api'], ['web']]);
  expect(inGroups(['web', 'worker'], needs)).toEqual([['web', 'worker']]);
  expect(inGroups([], needs)).toEqual([]);
  expect(inGroups(['a', 'b'], { a: ['b'], b: ['a'] })).toEqual([['a', 'b']]);
});
