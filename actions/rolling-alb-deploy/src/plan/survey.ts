import { isIP } from 'node:net';
import type { Log } from '@lockkeeper/action';
import { AwsCallError, type Instance, type TargetGroups } from '@lockkeeper/aws';
import type { Account } from '../account.ts';
import { stateText } from '../roll/health.ts';
import { type GroupFacts, ofHosts } from './groups.ts';
import type { Lost, Surroundings } from './members.ts';
import { needsRoom, type ScalingFacts } from './scaling.ts';

/** Each group and its targets, as AWS tells them now. */
export async function lookAtGroups(
  gate: Pick<TargetGroups, 'describe' | 'health'>,
  arns: readonly string[],
): Promise<GroupFacts[]> {
  return Promise.all(
    arns.map(async (arn) => {
      const [group, health] = await Promise.all([gate.describe(arn), gate.health(arn)]);
      return { group, health };
    }),
  );
}

/** The same groups with their targets as they are now. */
export async function lookAgain(
  gate: Pick<TargetGroups, 'health'>,
  groups: readonly GroupFacts[],
): Promise<GroupFacts[]> {
  return Promise.all(groups.map(async ({ group }) => ({ group, health: await gate.health(group.arn) })));
}

/** The instances behind these ids (addresses are their own answer), and the Auto Scaling groups that they are in. */
export async function lookAround(
  account: Pick<Account, 'instances' | 'scaling'>,
  groups: readonly GroupFacts[],
  ids: readonly string[],
): Promise<Surroundings> {
  const instances = await account.instances.describe(ids.filter((id) => isIP(id) === 0));
  return { groups, instances, scaling: await lookAtScaling(account.scaling, instances.values()) };
}

/** Whom lost runs left out: one by one, because AWS refuses all of them for one that is terminated. */
export async function lookForLost(
  account: Pick<Account, 'instances' | 'scaling'>,
  around: Surroundings,
  lost: Lost,
  log: Log,
): Promise<{ around: Surroundings; lost: Lost }> {
  const instances = new Map(around.instances);
  const places: Array<Lost['places'][number]> = [];
  for (const place of lost.places) {
    const one =
      instances.get(place.id) ?? (isIP(place.id) === 0 ? await describeOne(account, place.id) : undefined);
    if (isIP(place.id) !== 0 || one?.state === 'running') {
      if (one) instances.set(place.id, one);
      places.push(place);
    } else
      log.warning(
        `${place.id} was in the target group when a run was interrupted, and is ${one?.state ?? 'gone'} now; it is left out of account`,
      );
  }
  const scaling = await lookAtScaling(account.scaling, instances.values());
  return { around: { ...around, instances, scaling }, lost: { ...lost, places } };
}

async function describeOne(
  { instances }: Pick<Account, 'instances'>,
  id: string,
): Promise<Instance | undefined> {
  try {
    return (await instances.describe([id])).get(id);
  } catch (error) {
    if (error instanceof AwsCallError && error.kind === 'refused') return undefined;
    throw error;
  }
}

async function lookAtScaling(
  scaling: Pick<Account['scaling'], 'describe' | 'refreshUnderWay'>,
  instances: Iterable<Instance>,
): Promise<Map<string, ScalingFacts>> {
  const names = [...new Set([...instances].map(({ autoScalingGroup }) => autoScalingGroup).filter(Boolean))];
  if (names.length === 0) return new Map();
  const groups = await scaling.describe(names);
  return new Map(
    await Promise.all(
      [...groups.values()].map(
        async (group) => [group.name, { group, refresh: await scaling.refreshUnderWay(group.name) }] as const,
      ),
    ),
  );
}

/** Refusals of what the roll will have to do, found without doing it: nobody is taken out who could not be put back. */
export async function missingPermissions(
  { gate, scaling }: Pick<Account, 'gate' | 'scaling'>,
  around: Surroundings,
  /** How many hosts leave at once. */
  batch: number,
): Promise<AwsCallError[]> {
  const refusals = await Promise.all([
    ...ofHosts(around.groups).map(({ group }) => gate.missingPermissions(group)),
    ...[...around.scaling.values()].map(({ group }) =>
      scaling.missingPermissions(group.name, { resize: needsRoom(group, batch) }),
    ),
  ]);
  return refusals.flat();
}

/** What DescribeTargetHealth says of each host, of all its places, in words. */
export function statesOf(groups: readonly GroupFacts[]): Map<string, string> {
  const states = new Map<string, string>();
  for (const { health } of groups)
    for (const target of health) {
      const known = states.get(target.id);
      const text = stateText(target);
      states.set(target.id, known && known !== text ? `${known}, ${text}` : text);
    }
  return states;
}
