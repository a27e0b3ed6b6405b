import {
  type AwsConfig,
  type Instances,
  openInstances,
  openTargetGroups,
  type TargetGroups,
} from '@lockkeeper/aws';

/** What a roll asks of AWS. */
export interface Account {
  gate: TargetGroups;
  instances: Pick<Instances, 'describe'>;
  close(): void;
}

/** The AWS account; the EC2 part of the SDK, which post does not need, is loaded with the first question to it. */
export async function openAccount(config: AwsConfig, signal: AbortSignal): Promise<Account> {
  // Calls that change membership run to their end, also when the run is cancelled: their answers are awaited with care.
  const gate = await openTargetGroups(config);
  let ec2: Promise<Instances> | undefined;
  return {
    gate,
    instances: {
      describe: async (ids) => {
        ec2 ??= openInstances(config, { signal });
        return (await ec2).describe(ids);
      },
    },
    close() {
      gate.close();
      void ec2?.then((opened) => opened.close());
    },
  };
}
