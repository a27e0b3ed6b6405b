import type { ElasticLoadBalancingV2ClientConfig } from '@aws-sdk/client-elastic-load-balancing-v2';
import { AwsCallError, callAws } from './call.ts';
import { renewedWhenExpired } from './renewal.ts';
import {
  type LoadBalancer,
  readAttributes,
  type TargetGroup,
  type TargetGroups,
  type TargetHealth,
  type TargetState,
} from './target-group.ts';

/**
 * Target groups over the ELBv2 API. `signal` ends calls under way; `close` lets go of the connections. The SDK is
 * loaded here, late: it costs more start-up time than all the rest, and a run refused for its inputs needs none.
 */
export async function openTargetGroups(
  config: ElasticLoadBalancingV2ClientConfig,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TargetGroups & { close(): void }> {
  const {
    DeregisterTargetsCommand,
    DescribeLoadBalancerAttributesCommand,
    DescribeTargetGroupAttributesCommand,
    DescribeTargetGroupsCommand,
    DescribeTargetHealthCommand,
    ElasticLoadBalancingV2Client,
    RegisterTargetsCommand,
  } = await import('@aws-sdk/client-elastic-load-balancing-v2');
  const client = renewedWhenExpired(new ElasticLoadBalancingV2Client(config), config.credentials);

  const idleTimeout = async (arn: string): Promise<LoadBalancer> => {
    try {
      const { Attributes = [] } = await callAws(
        'elasticloadbalancing:DescribeLoadBalancerAttributes',
        arn,
        (abortSignal) =>
          client.send(new DescribeLoadBalancerAttributesCommand({ LoadBalancerArn: arn }), { abortSignal }),
        { signal },
      );
      const seconds = Number(Attributes.find(({ Key }) => Key === 'idle_timeout.timeout_seconds')?.Value);
      return Number.isFinite(seconds) && seconds > 0 ? { arn, idleTimeout: seconds * 1000 } : { arn };
    } catch (error) {
      // It only serves a warning of the plan, and older policies do not grant it.
      if (error instanceof AwsCallError) return { arn };
      throw error;
    }
  };

  const api: TargetGroups & { close(): void } = {
    async describe(arn) {
      const [{ TargetGroups: [group] = [] }, { Attributes = [] }] = await Promise.all([
        callAws(
          'elasticloadbalancing:DescribeTargetGroups',
          arn,
          (abortSignal) =>
            client.send(new DescribeTargetGroupsCommand({ TargetGroupArns: [arn] }), { abortSignal }),
          { signal },
        ),
        callAws(
          'elasticloadbalancing:DescribeTargetGroupAttributes',
          arn,
          (abortSignal) =>
            client.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn: arn }), { abortSignal }),
          { signal },
        ),
      ]);
      if (!group)
        throw new AwsCallError(
          'refused',
          'TargetGroupNotFound',
          `there is no target group ${arn} in this region`,
        );
      const described: TargetGroup = {
        arn,
        name: group.TargetGroupName ?? arn,
        targetType: group.TargetType ?? 'instance',
        protocol: group.Protocol ?? '',
        port: group.Port ?? 0,
        loadBalancers: await Promise.all((group.LoadBalancerArns ?? []).map(idleTimeout)),
        healthCheck: {
          path: group.HealthCheckPath ?? '/',
          port: group.HealthCheckPort ?? 'traffic-port',
          interval: (group.HealthCheckIntervalSeconds ?? 30) * 1000,
          timeout: (group.HealthCheckTimeoutSeconds ?? 6) * 1000,
          healthyThreshold: group.HealthyThresholdCount ?? 5,
          unhealthyThreshold: group.UnhealthyThresholdCount ?? 2,
          matcher: group.Matcher?.HttpCode ?? '200',
        },
        ...readAttributes(new Map(Attributes.map(({ Key = '', Value = '' }) => [Key, Value]))),
      };
      return described;
    },

    async health(arn) {
      const { TargetHealthDescriptions = [] } = await callAws(
        'elasticloadbalancing:DescribeTargetHealth',
        arn,
        (abortSignal) =>
          client.send(new DescribeTargetHealthCommand({ TargetGroupArn: arn }), { abortSignal }),
        { signal },
      );
      return TargetHealthDescriptions.map(
        ({ Target, TargetHealth: health, AdministrativeOverride: override }): TargetHealth => ({
          id: Target?.Id ?? '',
          port: Target?.Port ?? 0,
          state: (health?.State ?? 'unavailable') as TargetState,
          reason: health?.Reason ?? '',
          description: health?.Description ?? '',
          shifted: override?.State?.startsWith('zonal_shift_active') ?? false,
        }),
      );
    },

    async register(arn, targets) {
      await callAws(
        'elasticloadbalancing:RegisterTargets',
        arn,
        (abortSignal) =>
          client.send(
            new RegisterTargetsCommand({
              TargetGroupArn: arn,
              Targets: targets.map(({ id, port }) => ({ Id: id, Port: port })),
            }),
            { abortSignal },
          ),
        { signal },
      );
    },

    async deregister(arn, targets) {
      await callAws(
        'elasticloadbalancing:DeregisterTargets',
        arn,
        (abortSignal) =>
          client.send(
            new DeregisterTargetsCommand({
              TargetGroupArn: arn,
              // Always with the port: without it a place registered under a port of its own stays, silently.
              Targets: targets.map(({ id, port }) => ({ Id: id, Port: port })),
            }),
            { abortSignal },
          ),
        { signal },
      );
    },

    async missingPermissions({ arn, port, targetType }) {
      const nobody = [{ id: targetType === 'ip' ? noAddress : noInstance, port }];
      const refusals: AwsCallError[] = [];
      for (const call of [api.deregister, api.register]) {
        try {
          await call(arn, nobody);
          // Registering it cannot succeed; should it ever, nothing of it may stay.
          if (call === api.register) await api.deregister(arn, nobody);
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

/**
 * An instance id that no instance has. ELBv2 has no dry run, but IAM judges a call before the service looks at its
 * targets: whoever may register gets InvalidTarget for it, and deregistering what is not there does nothing.
 */
export const noInstance = 'i-00000000000000000';
/** Of TEST-NET-1 (RFC 5737): ELBv2 takes private addresses only. */
const noAddress = '192.0.2.1';
