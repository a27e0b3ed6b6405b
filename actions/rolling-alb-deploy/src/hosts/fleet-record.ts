import { isIP } from 'node:net';
import type { Log } from '@lockkeeper/action';
import * as v from 'valibot';
import type { GroupFacts } from '../plan/groups.ts';
import type { Lost } from '../plan/members.ts';
import type { Membership } from '../roll/roll.ts';
import type { Minimum } from '../roll/roll-context.ts';
import type { Fleet } from './fleet.ts';

/** The id of a target: of an instance, or an address. */
export const targetId = v.pipe(
  v.string(),
  v.check((text) => /^i-[0-9a-f]+$/.test(text) || isIP(text) !== 0),
);
/** The minimum size of an Auto Scaling group. */
export const minimum = v.object({
  group: v.string(),
  minSize: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

const place = v.object({
  group: v.string(),
  id: targetId,
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
});

const recordShape = v.object({
  version: v.literal(1),
  /** Whether the run is still at work, or was lost: its end closes the record. */
  open: v.boolean(),
  runUrl: v.string(),
  release: v.string(),
  at: v.string(),
  targets: v.array(place),
  /** Of the fleet's Auto Scaling groups, before the roll. */
  minimums: v.optional(v.array(minimum), []),
});

/** What lies on every host while a roll is under way: all places of the fleet, so that a later run finds who is missing. */
export type FleetRecord = v.InferOutput<typeof recordShape>;

export type Place = Membership & { id: string };

/** The record of a run's fleet, for all its hosts; `at` is in milliseconds since the epoch. */
export function fleetRecord(
  run: { runUrl: string; release: string; open: boolean; at: number },
  members: ReadonlyArray<{ id: string; memberships: readonly Membership[] }>,
  minimums: readonly Minimum[] = [],
): FleetRecord {
  return {
    version: 1,
    open: run.open,
    runUrl: run.runUrl,
    release: run.release,
    at: new Date(run.at).toISOString(),
    targets: members.flatMap(({ id, memberships }) =>
      memberships.map(({ group, port }) => ({ group, id, port })),
    ),
    minimums: [...minimums],
  };
}

/** Reads what a host holds; undefined for nothing, or for what no version of ours wrote. */
export function readFleetRecord(found: unknown, host: string, log: Log): FleetRecord | undefined {
  if (found === undefined || found === null) return undefined;
  const parsed = v.safeParse(recordShape, found);
  if (parsed.success) return parsed.output;
  log.warning(`${host} holds a fleet record that cannot be read; it is left out of account`);
  return undefined;
}

/** Who lost runs' records say was in these groups, who of them is missing now, and what was lowered for it. Pure. */
export function lostBy(
  records: readonly FleetRecord[],
  groups: readonly GroupFacts[],
): Lost & { minimums: Minimum[] } {
  const open = records.filter((record) => record.open);
  const places = new Map<string, Place>();
  for (const one of open.flatMap(({ targets }) => targets))
    if (groups.some(({ group }) => group.arn === one.group))
      places.set(`${one.group} ${one.id}:${one.port}`, one);
  const registered = (place: Place) =>
    groups.some(
      ({ group, health }) =>
        group.arn === place.group &&
        health.some((one) => one.id === place.id && one.port === place.port && one.state !== 'draining'),
    );
  const minimums = new Map(open.flatMap((record) => record.minimums).map((one) => [one.group, one]));
  return {
    places: [...places.values()].filter((place) => !registered(place)),
    ids: new Set([...places.values()].map(({ id }) => id)),
    minimums: [...minimums.values()],
  };
}

/** What lost runs left, by the record of any host. */
export async function findLost(
  fleet: Fleet,
  groups: readonly GroupFacts[],
  log: Log,
): Promise<ReturnType<typeof lostBy>> {
  const records = await Promise.all(
    fleet.machines.map(async ({ id, ready }) => readFleetRecord(await ready.readNote('fleet'), id, log)),
  );
  const lost = lostBy(
    records.filter((one) => one !== undefined),
    groups,
  );
  for (const { id, port } of lost.places)
    log.warning(`${id}:${port} was left out of rotation by an interrupted run; this run puts it back`);
  return lost;
}
