import type { TargetHealth } from '@lockkeeper/aws';
import type { HostRecord } from '../roll/roll.ts';
import { batchSizeOf, capacityWithout, keyOf, type Required, requiredHealthy } from './capacity.ts';
import { type Estimate, estimate } from './estimate.ts';
import type { GroupFacts } from './groups.ts';
import type { FleetMember } from './members.ts';
import type { PlanSettings } from './plan-settings.ts';
import { remarks } from './remarks.ts';
import { type ScalingFacts, scalingRemarks } from './scaling.ts';

/** What a staged host said of itself. */
export interface StagedFacts {
  /** It already runs this release. */
  unchanged: boolean;
}

export interface Plan {
  hosts: HostRecord[];
  batches: string[][];
  skipped: string[];
  required: Map<string, Required>;
  estimate: Estimate;
  /** Why it cannot be: a batch would leave too few in service, or min-healthy can never hold. */
  problems: string[];
  warnings: string[];
  notes: string[];
}

/** The whole roll in advance: who goes when, who is left alone, how long it takes, and what to look out for. */
export function planRoll(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  staged: ReadonlyMap<string, StagedFacts>,
  settings: PlanSettings,
  scaling: ReadonlyMap<string, ScalingFacts> = new Map(),
): Plan {
  const size = batchSizeOf(settings.batchSize, members.length);
  const required = new Map(
    groups.map(({ group, health }) => {
      const places = new Set([
        ...health.filter(({ state }) => state !== 'draining').map(keyOf),
        ...members.flatMap(({ id, memberships }) =>
          memberships.filter((m) => m.group === group.arn).map(({ port }) => keyOf({ id, port })),
        ),
      ]);
      return [group.arn, requiredHealthy(group, places.size, settings.minHealthy)] as const;
    }),
  );

  const skipped = members.filter(({ id, healthy }) => healthy && staged.get(id)?.unchanged === true);
  const rolled = members.filter((member) => !skipped.includes(member));
  // Who serves nobody goes first: if the release is bad, nothing is lost by it.
  const rank = ({ missing, healthy }: FleetMember) => (missing ? 0 : healthy ? 2 : 1);
  const ordered = [...rolled].sort((a, b) => rank(a) - rank(b));
  const missing = ordered.filter((member) => member.missing);
  const present = ordered.filter((member) => !member.missing);
  const batches: string[][] = [];
  // What is out already is no loss of capacity: all of it at once.
  if (missing.length > 0) batches.push(missing.map(({ id }) => id));
  for (let at = 0; at < present.length; at += size)
    batches.push(present.slice(at, at + size).map(({ id }) => id));

  const batchOf = new Map(batches.flatMap((batch, index) => batch.map((id) => [id, index] as const)));
  const hosts = members.map((member): HostRecord => {
    const { id, memberships, missing, draining, standby } = member;
    const skip = !batchOf.has(id);
    const out = draining ? 'draining' : 'out';
    return {
      id,
      memberships,
      scaling: member.scaling,
      standby,
      left: false,
      // One that runs the release already and that a lost run left in standby has only to return from there.
      rotation: missing ? out : skip && standby ? 'watched' : 'in',
      release: skip ? 'new' : 'old',
      goal: 'new',
      finished: skip && !standby,
      touched: missing || standby,
      changed: false,
      skipped: skip,
      batch: batchOf.get(id) ?? -1,
      cut: 0,
      failure: '',
    };
  });
  const ofGroups = remarks(groups, members, settings);
  const ofScaling = scalingRemarks(scaling, batches);
  return {
    hosts,
    batches,
    skipped: skipped.map(({ id }) => id),
    required,
    estimate: estimate(groups, members, batches.length, settings),
    problems: [...new Set(capacityProblems(groups, members, batches, required))],
    warnings: [...ofGroups.warnings, ...ofScaling.warnings],
    notes: [...ofGroups.notes, ...ofScaling.notes],
  };
}

/** Plays the batches through, each one healthy again before the next begins. */
function capacityProblems(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  batches: readonly string[][],
  required: ReadonlyMap<string, Required>,
): string[] {
  const problems: string[] = [];
  for (const { group, health } of groups) {
    let now = health;
    const places = (batch: readonly string[]) =>
      new Set(
        members
          .filter(({ id }) => batch.includes(id))
          .flatMap(({ id, memberships }) =>
            memberships.filter((m) => m.group === group.arn).map(({ port }) => keyOf({ id, port })),
          ),
      );
    for (const batch of batches) {
      const leaving = places(batch);
      const must = required.get(group.arn)!;
      const { allowed, remaining } = capacityWithout(now, group, leaving, must);
      if (!allowed)
        problems.push(
          `taking out ${batch.join(' and ')} would leave ${remaining} of ${now.length} targets of ${group.name} in service, and ${must.count} must stay (${must.because}); ${now.length <= must.count ? 'this can never hold: register another target, or ask for fewer' : 'choose a smaller batch-size'}`,
        );
      now = [
        ...now.filter((target) => !leaving.has(keyOf(target))),
        ...[...leaving].map((key): TargetHealth => {
          const at = key.lastIndexOf(':');
          return {
            id: key.slice(0, at),
            port: Number(key.slice(at + 1)),
            state: 'healthy',
            reason: '',
            description: '',
            shifted: false,
          };
        }),
      ];
    }
  }
  return problems;
}
