import {
  type AwsConfig,
  type Instances,
  openInstances,
  openScalingGroups,
  openTargetGroups,
  type ScalingGroups,
  type TargetGroups,
} from '@lockkeeper/aws';

/** What a roll asks of AWS. */
export interface Account {
  gate: TargetGroups;
  instances: Pick<Instances, 'describe' | 'console'>;
  scaling: ScalingGroups;
  close(): void;
}

/** The AWS account; of the SDK, what not every roll needs is loaded with the first question to it. */
export async function openAccount(config: AwsConfig, signal: AbortSignal): Promise<Account> {
  // Calls that change membership run to their end, also when the run is cancelled: their answers are awaited with care.
  const gate = await openTargetGroups(config);
  const ec2 = late(() => openInstances(config, { signal }));
  const autoScaling = late(() => openScalingGroups(config));
  return {
    gate,
    instances: {
      describe: async (ids) => (await ec2.opened()).describe(ids),
      console: async (id, when) => (await ec2.opened()).console(id, when),
    },
    scaling: {
      describe: async (names) => (await autoScaling.opened()).describe(names),
      refreshUnderWay: async (name) => (await autoScaling.opened()).refreshUnderWay(name),
      enterStandby: async (name, ids) => (await autoScaling.opened()).enterStandby(name, ids),
      exitStandby: async (name, ids) => (await autoScaling.opened()).exitStandby(name, ids),
      setMinSize: async (name, minSize) => (await autoScaling.opened()).setMinSize(name, minSize),
      missingPermissions: async (name, needed) =>
        (await autoScaling.opened()).missingPermissions(name, needed),
    },
    close() {
      gate.close();
      ec2.close();
      autoScaling.close();
    },
  };
}

/** Opened with the first question, closed only if there was one. */
function late<T extends { close(): void }>(open: () => Promise<T>) {
  let opening: Promise<T> | undefined;
  return {
    opened() {
      opening ??= open();
      return opening;
    },
    close() {
      void opening?.then((opened) => opened.close());
    },
  };
}
