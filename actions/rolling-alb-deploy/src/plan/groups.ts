import type { TargetGroup, TargetHealth } from '@lockkeeper/aws';

/** A target group and what DescribeTargetHealth lists of it. */
export interface GroupFacts {
  group: TargetGroup;
  health: TargetHealth[];
}

/** What makes a target group impossible to roll, one line each. */
export function groupProblems(groups: readonly GroupFacts[]): string[] {
  return groups.flatMap(({ group }) => {
    if (group.targetType === 'lambda')
      return [`the target group ${group.name} has targets of type lambda; there is no host to deploy to`];
    if (group.targetType === 'alb')
      return [
        `the target group ${group.name} forwards to another load balancer; name that one's target group`,
      ];
    if (group.protocol !== 'HTTP' && group.protocol !== 'HTTPS')
      return [
        `the target group ${group.name} speaks ${group.protocol || 'an unknown protocol'}; expected HTTP or HTTPS, behind an Application Load Balancer`,
      ];
    if (group.loadBalancers.length === 0)
      return [
        `no load balancer uses the target group ${group.name}, so nothing checks or serves its targets; add it to a listener rule`,
      ];
    return [];
  });
}

/** Groups whose targets are hosts: the others are refused, and their targets mean nothing here. */
export function ofHosts(groups: readonly GroupFacts[]): GroupFacts[] {
  return groups.filter(({ group }) => group.targetType === 'instance' || group.targetType === 'ip');
}
