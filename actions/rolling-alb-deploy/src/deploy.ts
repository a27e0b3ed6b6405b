import { Deployment } from './deployment.ts';
import { withHostKeys } from './hosts/host-keys.ts';
import type { RollingInputs } from './inputs.ts';
import type { Outside } from './outside.ts';
import { batchSizeOf } from './plan/capacity.ts';
import { groupProblems, ofHosts } from './plan/groups.ts';
import { type FleetMember, fleetMembers, type Surroundings, wantedIds } from './plan/members.ts';
import { planRoll } from './plan/plan.ts';
import { refuse } from './plan/refusal.ts';
import { scalingProblems } from './plan/scaling.ts';
import { lookAround, lookAtGroups, missingPermissions } from './plan/survey.ts';
import type { Deployed } from './report/report.ts';
import type { ReleaseNames } from './report/target-report.ts';

/**
 * Deploys to the fleet, batch after batch: all hosts are reached, locked and staged before the first one drains.
 * `announce` is told the releases once the plan stands. A failed release is an outcome; what is thrown kept the
 * roll from beginning, or cancelled it.
 */
export async function deploy(
  inputs: RollingInputs,
  outside: Outside,
  announce: (releases: ReleaseNames) => void,
): Promise<Deployed> {
  const deployment = new Deployment(inputs, outside, await survey(inputs, outside));
  try {
    await deployment.reach();
    const { plan, lines } = await deployment.stage();
    announce(deployment.releases);
    if (inputs.release.dryRun) return { kind: 'planned', releases: deployment.releases, lines };
    await deployment.begin(plan);
    await deployment.roll();
    await deployment.rollNewcomers();
    await deployment.replaceHolder();
    return await deployment.end();
  } catch (error) {
    await deployment.abandon();
    throw error;
  } finally {
    await deployment.close();
  }
}

/** The fleet as AWS tells it, before any host is asked. Throws one UserError with all that makes a roll impossible. */
async function survey(
  inputs: RollingInputs,
  outside: Outside,
): Promise<{ around: Surroundings; members: FleetMember[] }> {
  const groups = await lookAtGroups(outside.gate, inputs.targetGroupArns);
  const around = await lookAround(outside, groups, wantedIds(groups, inputs));
  const fleet = fleetMembers(around, inputs);
  const keys =
    inputs.hostKeys === 'ec2-console' ? await withHostKeys(outside.instances, fleet.members) : undefined;
  const members = keys?.members ?? fleet.members;
  const batch = batchSizeOf(inputs.batchSize, members.length);
  const denied = await missingPermissions(outside, around, batch);
  const problems = [
    ...groupProblems(groups),
    ...scalingProblems(around.scaling),
    ...fleet.problems,
    ...(keys?.problems ?? []),
    ...denied.map(({ message }) => message),
  ];
  // Too few to take anybody out is no problem yet: hosts that run the release already stay where they are.
  const capacity = problems.length > 0 ? planRoll(ofHosts(groups), members, new Map(), inputs).problems : [];
  refuse(
    [...problems, ...capacity],
    denied.flatMap(({ next }) => next ?? []),
  );
  for (const warning of fleet.warnings) outside.log.warning(warning);
  return { around, members };
}
