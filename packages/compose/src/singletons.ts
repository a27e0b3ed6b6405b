import type { ReleaseRecord } from './record/release-record.ts';

/**
 * What a host does with the singleton services (beat, cron): it `runs` them; it `leaves` them to another
 * host; or, where it goes back, it does `as-recorded`, as it did with that release.
 */
export type SingletonRole = 'runs' | 'leaves' | 'as-recorded';

/** Service → containers that a host is to have of a release. Pure. */
export function replicasFor(
  { services, replicas }: { services: readonly string[]; replicas: ReleaseRecord['replicas'] },
  singletons: readonly string[],
  role: SingletonRole,
): Record<string, number> {
  return Object.fromEntries(
    services.map((service) => {
      const recorded = replicas[service] ?? 1;
      if (role === 'as-recorded' || !singletons.includes(service)) return [service, recorded];
      // The release may have been recorded when another host ran it.
      return [service, role === 'runs' ? Math.max(1, recorded) : 0];
    }),
  );
}

/** Arguments for `docker compose up` of these services: it refuses the scale of one that it does not see. Pure. */
export function scaleArguments(
  replicas: Readonly<Record<string, number>>,
  services: readonly string[],
): string[] {
  return services.flatMap((service) => (replicas[service] === 0 ? ['--scale', `${service}=0`] : []));
}

/**
 * What a host does with the singletons when it goes back. The first of `host`, A, runs them and changes first, so
 * that there is always one; where another, B, ran them before, there are two from A's switch to B's.
 *
 * | B ran them, and        | A                          | so B            | in the end         |
 * | ---------------------- | -------------------------- | --------------- | ------------------ |
 * | nothing fails          | runs them                  | lets them go    | one, on A          |
 * | A fails                | goes back, without them    | is not touched  | one, on B          |
 * | B fails, all go back   | goes back after B          | runs them again | one, on B          |
 * | B fails, A stays       | runs them (`firstRuns`)    | goes back, without them | one, on A  |
 * | nothing is known of A  | may run them               | runs them again | one or two: none would be worse |
 *
 * With `on-failure: stop` everything stays as the failure left it, for a person to look at. Pure.
 */
export function roleOnWayBack(isFirst: boolean, firstRuns: boolean | undefined): SingletonRole {
  return !isFirst && firstRuns ? 'leaves' : 'as-recorded';
}
