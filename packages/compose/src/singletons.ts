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
 * What a host does with the singletons when it goes back. The host that is to run them changes first, so as
 * it stays on the new release and runs them, the others go back without them: a second one would stay. Where
 * that host goes back too, or nothing is known of it, each does as it did before: none would be worse.
 * `firstRuns`: the first host runs them and stays as it is. Pure.
 */
export function roleOnWayBack(isFirst: boolean, firstRuns: boolean | undefined): SingletonRole {
  return !isFirst && firstRuns ? 'leaves' : 'as-recorded';
}
