import type { TargetGroup } from '@lockkeeper/aws';
import type { StagedRelease } from '@lockkeeper/compose';
import { formatDuration } from '@lockkeeper/wait';
import type { GroupFacts } from '../plan/groups.ts';
import type { FleetMember } from '../plan/members.ts';
import type { Plan } from '../plan/plan.ts';

/** The plan, for the log and the summary of a dry run. */
export function planLines(
  plan: Plan,
  members: readonly FleetMember[],
  groups: readonly GroupFacts[],
  staged: ReadonlyMap<string, StagedRelease>,
): string[] {
  const member = (id: string) => members.find((one) => one.id === id)!;
  const line = (id: string) => {
    const { address, memberships, state, missing } = member(id);
    const ports = [...new Set(memberships.map(({ port }) => port))].join(', ');
    const change = staged
      .get(id)
      ?.plan.map(({ service, change: what, why }) => `${service} ${what} (${why})`)
      .join(', ');
    return `    ${id}:${ports} at ${address.host}, ${missing ? 'out of rotation since an interrupted run' : state}${change ? `: ${change}` : ''}`;
  };
  return [
    ...groups.map(({ group }) => groupLine(group, plan)),
    ...plan.batches.flatMap((batch, index) => [`  batch ${index + 1}:`, ...batch.map(line)]),
    ...(plan.skipped.length > 0
      ? ['  left alone, because it runs this release already and is healthy:', ...plan.skipped.map(line)]
      : []),
    plan.batches.length > 0
      ? `  about ${formatDuration(plan.estimate.least)}, and at most some ${formatDuration(plan.estimate.most)} when connections stay open`
      : '  nothing to do',
    ...plan.notes.map((note) => `  note: ${note}`),
  ];
}

function groupLine(group: TargetGroup, plan: Plan): string {
  const required = plan.required.get(group.arn)!;
  return `${group.name} (${group.protocol}, deregistration delay ${formatDuration(group.deregistrationDelay)}, check of ${group.healthCheck.path} every ${formatDuration(group.healthCheck.interval)}): at least ${required.count} must keep serving (${required.because})`;
}
