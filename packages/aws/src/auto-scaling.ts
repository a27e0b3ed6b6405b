import type { AutoScalingClientConfig } from '@aws-sdk/client-auto-scaling';
import { AwsCallError, callAws } from './call.ts';
import { noInstance } from './load-balancing.ts';
import { renewedWhenExpired } from './renewal.ts';
import { refreshing, type ScalingGroup, type ScalingGroups } from './scaling-group.ts';

/** Members that one call moves at most (API model; the guide's 20 is refused). */
const atOnce = 19;
/** Groups that one page names at most. */
const pageSize = 50;

/**
 * Auto Scaling groups over the Auto Scaling API. `signal` ends calls under way. The SDK is loaded here, late: most
 * fleets have no such group.
 */
export async function openScalingGroups(
  config: AutoScalingClientConfig,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ScalingGroups & { close(): void }> {
  const {
    AutoScalingClient,
    DescribeAutoScalingGroupsCommand,
    DescribeInstanceRefreshesCommand,
    EnterStandbyCommand,
    ExitStandbyCommand,
    UpdateAutoScalingGroupCommand,
  } = await import('@aws-sdk/client-auto-scaling');
  const client = renewedWhenExpired(new AutoScalingClient(config), config.credentials);
  const call = <T>(action: string, name: string, send: (abortSignal: AbortSignal) => Promise<T>) =>
    callAws(`autoscaling:${action}`, name, send, { signal });

  const update = (name: string, sizes: { MinSize?: number }) =>
    call('UpdateAutoScalingGroup', name, (abortSignal) =>
      client.send(new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: name, ...sizes }), {
        abortSignal,
      }),
    );

  const api: ScalingGroups & { close(): void } = {
    async describe(names) {
      const found = new Map<string, ScalingGroup>();
      for (const AutoScalingGroupNames of chunks(names, pageSize)) {
        const { AutoScalingGroups = [] } = await call(
          'DescribeAutoScalingGroups',
          AutoScalingGroupNames.join(', '),
          (abortSignal) =>
            client.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames }), { abortSignal }),
        );
        for (const group of AutoScalingGroups) {
          const name = group.AutoScalingGroupName ?? '';
          found.set(name, {
            name,
            minSize: group.MinSize ?? 0,
            maxSize: group.MaxSize ?? 0,
            desired: group.DesiredCapacity ?? 0,
            suspended: (group.SuspendedProcesses ?? []).map(({ ProcessName = '' }) => ProcessName),
            targetGroups: group.TargetGroupARNs ?? [],
            members: (group.Instances ?? []).map((one) => ({
              id: one.InstanceId ?? '',
              zone: one.AvailabilityZone ?? '',
              lifecycle: one.LifecycleState ?? '',
            })),
          });
        }
      }
      return found;
    },

    async refreshUnderWay(name) {
      const { InstanceRefreshes = [] } = await call('DescribeInstanceRefreshes', name, (abortSignal) =>
        client.send(new DescribeInstanceRefreshesCommand({ AutoScalingGroupName: name, MaxRecords: 10 }), {
          abortSignal,
        }),
      );
      return InstanceRefreshes.find(({ Status = '' }) => refreshing.has(Status))?.Status;
    },

    async enterStandby(name, ids) {
      for (const InstanceIds of chunks(ids, atOnce))
        await call('EnterStandby', name, (abortSignal) =>
          client.send(
            new EnterStandbyCommand({
              AutoScalingGroupName: name,
              InstanceIds,
              ShouldDecrementDesiredCapacity: true,
            }),
            { abortSignal },
          ),
        );
    },

    async exitStandby(name, ids) {
      for (const InstanceIds of chunks(ids, atOnce))
        await call('ExitStandby', name, (abortSignal) =>
          client.send(new ExitStandbyCommand({ AutoScalingGroupName: name, InstanceIds }), { abortSignal }),
        );
    },

    async setMinSize(name, MinSize) {
      await update(name, { MinSize });
    },

    async missingPermissions(name, { resize }) {
      const refusals: AwsCallError[] = [];
      // Auto Scaling has no dry run, but IAM judges a call before the service looks at what is to change.
      for (const harmless of [
        () => api.enterStandby(name, [noInstance]),
        () => api.exitStandby(name, [noInstance]),
        // An update that names the group alone changes nothing.
        ...(resize ? [() => update(name, {})] : []),
      ]) {
        try {
          await harmless();
        } catch (error) {
          if (!(error instanceof AwsCallError)) throw error;
          if (error.kind === 'denied') refusals.push(error);
        }
      }
      return refusals;
    },

    close: () => client.destroy(),
  };
  return api;
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}
