import { type Log, UserError } from '@lockkeeper/action';
import type { Instances, TargetGroups } from '@lockkeeper/aws';
import type { Fleet } from '../hosts/fleet.ts';
import { missingPlaces, type Place, readFleetRecord } from '../hosts/fleet-record.ts';
import { stateText } from '../roll/health.ts';
import { type FleetMember, fleetMembers, type GroupFacts, instanceIds, type PlanSettings } from './plan.ts';

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

/** Refuses to take out what could not be put back. */
export async function checkPermissions(
  gate: Pick<TargetGroups, 'missingPermissions'>,
  groups: readonly GroupFacts[],
): Promise<void> {
  const refusals = (await Promise.all(groups.map(({ group }) => gate.missingPermissions(group)))).flat();
  if (refusals.length > 0)
    throw new UserError(`nothing was changed: ${refusals.map(({ message }) => message).join('; ')}`, {
      next: [...new Set(refusals.map(({ next }) => next))].join('\n'),
    });
}

/** The hosts of the fleet: those that are registered, and those that an interrupted run left out. */
export async function lookAtInstances(
  instances: Pick<Instances, 'describe'>,
  groups: readonly GroupFacts[],
  settings: Pick<PlanSettings, 'targets' | 'hosts' | 'hostAddress'>,
  missing: readonly Place[],
  log: Log,
): Promise<FleetMember[]> {
  const found = new Map(await instances.describe(instanceIds(groups, settings)));
  // One by one: a terminated instance that a record still names makes AWS refuse all of them.
  const back: Place[] = [];
  for (const place of missing) {
    const one =
      found.get(place.id) ?? (await instances.describe([place.id]).catch(() => new Map())).get(place.id);
    if (one?.state === 'running') {
      found.set(place.id, one);
      back.push(place);
    } else
      log.warning(
        `${place.id} was in the target group when a run was interrupted, and is ${one?.state ?? 'gone'} now; it is left out of account`,
      );
  }
  return fleetMembers(groups, found, settings, back);
}

/** Who an interrupted run took out and nobody put back, from any host's record. */
export async function findMissing(fleet: Fleet, groups: readonly GroupFacts[], log: Log): Promise<Place[]> {
  const records = await Promise.all(
    fleet.machines.map(async ({ id, ready }) => readFleetRecord(await ready.readNote('fleet'), id, log)),
  );
  const registered = (place: Place) =>
    groups.some(
      ({ group, health }) =>
        group.arn === place.group &&
        health.some((one) => one.id === place.id && one.port === place.port && one.state !== 'draining'),
    );
  const places = missingPlaces(
    records.filter((one) => one !== undefined),
    registered,
    groups.map(({ group }) => group.arn),
  );
  for (const { id, port } of places)
    log.warning(`${id}:${port} was left out of rotation by an interrupted run; this run puts it back`);
  return places;
}

/** What DescribeTargetHealth says of each instance, of all its places, in words. */
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
