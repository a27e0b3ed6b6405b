import type { Operations } from './turn.ts';

/** The Auto Scaling actions that the lab knows (API version 2011-01-01): who is a member of which group. */
export const autoscaling: Operations = {
  DescribeAutoScalingInstances(turn) {
    const { account, query } = turn;
    turn.authorize('autoscaling:DescribeAutoScalingInstances', [{ arn: '*' }]);
    const ids = query.texts('InstanceIds.member');
    return {
      AutoScalingInstances: {
        // Instances of no group, and ids of nothing, are left out without a word, as on AWS.
        member: [...account.instances.values()].flatMap(({ id, zone, state, autoScaling }) =>
          autoScaling && (ids.length === 0 || ids.includes(id))
            ? [
                {
                  InstanceId: id,
                  AutoScalingGroupName: autoScaling.group,
                  AvailabilityZone: zone,
                  LifecycleState: autoScaling.lifecycleState,
                  HealthStatus: state === 'running' ? 'HEALTHY' : 'UNHEALTHY',
                  ProtectedFromScaleIn: false,
                },
              ]
            : [],
        ),
      },
    };
  },
};
