import type { SecurityGroup, SecurityGroupRule } from '@lockkeeper/lab';
import { seeded } from '../../../packages/lab/src/seeded.ts';
import { leasedUntil, spell } from './account.ts';
import { address, type Bench, type BenchStep } from './bench.ts';
import { type Death, Fate } from './fate.ts';

/** What the step that is killed is given, and another run of ours that holds the same rule all the while. */
interface Scene {
  inputs: Record<string, string>;
  other?: BenchStep;
}

const someDays = { ttl: '6d' };

type Arrange = (bench: Bench, group: SecurityGroup) => Promise<Scene>;

/** What a step can meet in its group, besides rules of others. */
const scenes = {
  'nothing is open': async (_, { id }) => ({
    inputs: { 'security-group-id': id },
  }),
  'two ports are to be opened': async (_, { id }) => ({
    inputs: { 'security-group-id': id, port: '22, 2222' },
  }),
  'another run holds the rule': async (bench, { id }) => {
    const other = bench.step({ 'security-group-id': id, ...someDays });
    await other.main();
    return { inputs: { 'security-group-id': id }, other };
  },
  'a human made the same rule': async ({ account }, { id }) => {
    account.addRule(id, { cidr: address, port: 22, description: 'office' });
    return { inputs: { 'security-group-id': id } };
  },
  'the same rule has expired': async ({ account }, { id }) => {
    account.addRule(id, { cidr: address, port: 22, tags: leasedUntil('2020-01-01T00:00:00Z') });
    return { inputs: { 'security-group-id': id } };
  },
  'a run was killed that was about to close the rule of another': async (bench, { id }) => {
    const other = bench.step({ 'security-group-id': id, ...someDays });
    const dead = bench.step({ 'security-group-id': id });
    await other.main();
    await dead.main();
    const announced = new Fate({ at: 2, how: 'after' });
    await dead.postUntil(announced);
    return { inputs: { 'security-group-id': id }, other };
  },
} satisfies Record<string, Arrange>;
export type SceneName = keyof typeof scenes;

/** Post runs at once; or it never does, and once the lease has ended somebody else comes. */
export const aftermaths = ['post', 'the next run', 'a sweep'] as const;
export type Aftermath = (typeof aftermaths)[number];

/** A group in which a scene is set, long enough ago for every read to show it. */
async function arrange(bench: Bench, scene: SceneName, vpc: 'custom' | 'default') {
  const group = groupWithRulesOfOthers(bench, vpc);
  const set = await (scenes[scene] as Arrange)(bench, group);
  await bench.clock.sleep(10_000);
  return { group, ...set };
}

/** Every way to die in a scene: at each call and writing of the state that a main makes when it is let live. */
async function deathsIn(bench: Bench, scene: SceneName): Promise<Death[]> {
  const { inputs } = await arrange(bench, scene, 'custom');
  const fate = new Fate();
  await bench.step(inputs).mainUntil(fate);
  const { points } = fate;
  const deaths = points.flatMap((name, at): Death[] => {
    // Of a wait only the first look and the last.
    if (points[at - 1] === name && points[at + 1] === name) return [];
    const ways: Record<string, Death['how'][]> = {
      rules: ['before'],
      mayAuthorize: ['before'],
      mayRevoke: ['before'],
      mayClose: ['before'],
      save: ['before', 'after'],
    };
    return (ways[name] ?? ['before', 'on its way', 'after']).map((how) => ({ at, name, how }));
  });
  return [...deaths, { at: points.length - 1, name: points.at(-1)!, how: 'after' }];
}

/** Kills a main, lets the aftermath happen, and answers in words what is not as it should be. */
async function kill(
  bench: Bench,
  scene: SceneName,
  death: Death,
  aftermath: Aftermath,
  random: () => number,
): Promise<string[]> {
  const { account, clock } = bench;
  const { group, inputs, other } = await arrange(bench, scene, random() < 0.5 ? 'custom' : 'default');
  const isOurs = (rule: SecurityGroupRule) => rule.cidr === address && rule.tags.has('managed-by');
  const foreign = () => group.rules.filter((rule) => !isOurs(rule)).map(spell);
  const before = foreign();
  // What a lost run left is for the next sweep, not for our post.
  const lost = other ? [] : group.rules.filter(isOurs);
  const wrong: string[] = [];
  const look = (when: string, mustBeClosed: boolean) => {
    if (foreign().join() !== before.join())
      wrong.push(`${when} rules of others were changed to ${foreign()}`);
    const ours = group.rules.filter((rule) => isOurs(rule) && !lost.some(({ id }) => id === rule.id));
    if (mustBeClosed) wrong.push(...ours.map((rule) => `${when} ${spell(rule)} is open`));
    else if (other && !ours.some((rule) => rule.tags.has(`lease-${other.record!.nonce}`)))
      wrong.push(`${when} the other run has no rule`);
  };
  const sweep = () => bench.step({ 'security-group-id': group.id, mode: 'sweep', cidr: '' }).main();
  const afterTheLease = async () => {
    await clock.sleep(7 * 3_600_000);
    if (aftermath !== 'the next run') return void (await sweep());
    const next = bench.step({ 'security-group-id': group.id });
    await next.main();
    look('while the next run is there', false);
    await next.post();
  };

  const step = bench.step(inputs);
  const fate = new Fate(death);
  if ((await step.mainUntil(fate)) !== 'killed') wrong.push('main was not killed');
  look('after the kill', false);
  if (aftermath === 'post') {
    // What is on its way arrives while post looks for it, or when post has long ended; post may be killed as well.
    const arrivesAt = Math.floor(random() * 6);
    const postFate = new Fate(random() < 0.25 ? { at: Math.floor(random() * 6), how: 'after' } : undefined);
    let arrivedUnseen = false;
    postFate.onPoint = async (at) => {
      // Reads that are late may not show it before post's last look: then it is for the lease to end.
      if (at === arrivesAt && (await fate.arrive())) arrivedUnseen = account.readLagMs > 0;
    };
    const closed = await step.postUntil(postFate);
    if (typeof closed === 'object') wrong.push(...closed.failures.map(({ message }) => `post: ${message}`));
    if ((await fate.arrive()) || arrivedUnseen || closed === 'killed') await afterTheLease();
  } else {
    await fate.arrive();
    await afterTheLease();
  }
  look(`after ${aftermath}`, !other);
  await other?.post();
  look(`after ${aftermath} and the other run's post`, true);
  if (lost.length > 0) await sweep();
  lost.length = 0;
  look('after the next sweep', true);
  return wrong;
}

function groupWithRulesOfOthers({ account }: Bench, vpc: 'custom' | 'default'): SecurityGroup {
  const group = account.addSecurityGroup({ vpc });
  account.addRule(group.id, { cidr: '198.51.100.7/32', port: 22, description: 'vpn' });
  const live = leasedUntil('2999-01-01T00:00:00Z');
  account.addRule(group.id, { cidr: '198.51.100.8/32', port: 22, tags: live });
  return group;
}

/** All deaths of a scene, one after the other; one line for each thing that went wrong. */
export async function killEverywhere(
  bench: Bench,
  scene: SceneName,
  aftermath: Aftermath,
  { seed, readLagMs }: { seed: number; readLagMs: number },
): Promise<{ cases: number; wrong: string[] }> {
  const random = seeded(seed);
  bench.account.readLagMs = readLagMs;
  const deaths = await deathsIn(bench, scene);
  const wrong: string[] = [];
  for (const death of deaths)
    for (const what of await kill(bench, scene, death, aftermath, random))
      wrong.push(`killed ${death.how} ${death.name} (${death.at}): ${what}`);
  return { cases: deaths.length, wrong };
}
