import type { EC2ClientConfig } from '@aws-sdk/client-ec2';
import { callAws } from './call.ts';
import { renewedWhenExpired } from './renewal.ts';

/** An instance as far as one must know it to reach it. Addresses are '' where it has none. */
export interface Instance {
  id: string;
  /** `running`, `stopped`, … */
  state: string;
  zone: string;
  publicIp: string;
  privateIp: string;
  publicDns: string;
  privateDns: string;
  /** Name of the Auto Scaling group it belongs to, from the tag that Auto Scaling itself sets; '' when none. */
  autoScalingGroup: string;
}

/** The calls on instances. Throws AwsCallError; InvalidInstanceID.NotFound names the id. */
export interface Instances {
  describe(ids: readonly string[]): Promise<Map<string, Instance>>;
  /**
   * What an instance wrote to its console: as it was kept shortly after its last start, or as it is now (`latest`;
   * newer instance types alone). At most the last 64 KB; '' where there is none.
   */
  console(id: string, when: 'kept' | 'latest'): Promise<string>;
  close(): void;
}

/** Instances by their ids, over the EC2 API. The SDK is loaded here, late, as for security groups. */
export async function openInstances(
  config: EC2ClientConfig,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Instances> {
  const { DescribeInstancesCommand, EC2Client, GetConsoleOutputCommand } = await import(
    '@aws-sdk/client-ec2'
  );
  const client = renewedWhenExpired(new EC2Client(config), config.credentials);
  return {
    async describe(ids) {
      if (ids.length === 0) return new Map();
      const { Reservations = [] } = await callAws(
        'ec2:DescribeInstances',
        ids.join(', '),
        (abortSignal) =>
          client.send(new DescribeInstancesCommand({ InstanceIds: [...ids] }), { abortSignal }),
        { signal },
      );
      const found = Reservations.flatMap(({ Instances = [] }) => Instances).map(
        (one): Instance => ({
          id: one.InstanceId ?? '',
          state: one.State?.Name ?? '',
          zone: one.Placement?.AvailabilityZone ?? '',
          publicIp: one.PublicIpAddress ?? '',
          privateIp: one.PrivateIpAddress ?? '',
          publicDns: one.PublicDnsName ?? '',
          privateDns: one.PrivateDnsName ?? '',
          autoScalingGroup: one.Tags?.find(({ Key }) => Key === 'aws:autoscaling:groupName')?.Value ?? '',
        }),
      );
      return new Map(found.map((one) => [one.id, one]));
    },
    async console(id, when) {
      const { Output = '' } = await callAws(
        'ec2:GetConsoleOutput',
        id,
        (abortSignal) =>
          client.send(new GetConsoleOutputCommand({ InstanceId: id, Latest: when === 'latest' }), {
            abortSignal,
          }),
        { signal },
      );
      return Buffer.from(Output, 'base64').toString('utf8');
    },
    close: () => client.destroy(),
  };
}
