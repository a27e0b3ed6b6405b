export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export interface Instance {
  readonly id: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly zone: string;
  readonly launchedAt: number;
  publicIp?: string;
  privateIp: string;
  publicDns: string;
  privateDns: string;
  securityGroupIds: string[];
  state: InstanceState;
  tags: ReadonlyMap<string, string>;
  /** What GetConsoleOutput shows; undefined while the instance has not written any. */
  consoleOutput?: string;
  /** What it shows when asked for the latest; undefined where that is the same. */
  latestConsoleOutput?: string;
}
