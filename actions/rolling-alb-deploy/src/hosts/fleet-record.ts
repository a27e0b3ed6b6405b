import type { Log } from '@lockkeeper/action';
import * as v from 'valibot';
import type { Membership } from '../roll/roll.ts';

const place = v.object({
  group: v.string(),
  id: v.pipe(v.string(), v.regex(/^i-[0-9a-f]+$/)),
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
});

/** What lies on every host while a roll is under way: all places of the fleet, so that a later run finds who is missing. */
export type FleetRecord = v.InferOutput<typeof recordShape>;

export type Place = Membership & { id: string };

/** The record of a run's fleet, for all its hosts; `at` is in milliseconds since the epoch. */
export function fleetRecord(
  run: { runUrl: string; release: string; open: boolean; at: number },
  members: ReadonlyArray<{ id: string; memberships: readonly Membership[] }>,
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

/** Places that a lost run's records name in these groups and that are not registered (or are draining) now. */
export function missingPlaces(
  records: readonly FleetRecord[],
  registered: (place: Place) => boolean,
  groups: readonly string[],
): Place[] {
  const places = records.filter(({ open }) => open).flatMap(({ targets }) => targets);
  const seen = new Set<string>();
  return places.filter((one) => {
    const key = `${one.group} ${one.id}:${one.port}`;
    if (seen.has(key) || !groups.includes(one.group)) return false;
    seen.add(key);
    return !registered(one);
  });
}
