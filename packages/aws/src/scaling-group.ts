import type { AwsCallError } from './call.ts';

/** A member of an Auto Scaling group. */
export interface ScalingMember {
  /** Instance id. */
  id: string;
  zone: string;
  /** `InService`, `EnteringStandby`, `Standby`, `Pending`, `Pending:Wait`, `Terminating`, … */
  lifecycle: string;
}

/** An Auto Scaling group with what of it matters to a roll. */
export interface ScalingGroup {
  name: string;
  minSize: number;
  maxSize: number;
  desired: number;
  /** Processes that somebody suspended, such as `Launch`. */
  suspended: string[];
  /** ARNs of the target groups that it registers its members in. */
  targetGroups: string[];
  members: ScalingMember[];
}

/** The calls that a roll makes to Auto Scaling. All throw AwsCallError. */
export interface ScalingGroups {
  /** Groups by name; a name that is not there is left out. */
  describe(names: readonly string[]): Promise<Map<string, ScalingGroup>>;
  /** The status of an instance refresh that is under way, such as `InProgress`; undefined when there is none. */
  refreshUnderWay(name: string): Promise<string | undefined>;
  /** Lowers the desired capacity with it, so that nobody is launched instead. Asynchronous: verify with `describe`. */
  enterStandby(name: string, ids: readonly string[]): Promise<void>;
  /** Raises the desired capacity with it. Asynchronous: verify with `describe`. */
  exitStandby(name: string, ids: readonly string[]): Promise<void>;
  setMinSize(name: string, minSize: number): Promise<void>;
  /** Refusals of these calls for want of permission, found without changing anything; of `setMinSize` with `resize`. */
  missingPermissions(name: string, needed: { resize: boolean }): Promise<AwsCallError[]>;
}

/** Statuses of an instance refresh that may still replace or end members (API reference, InstanceRefresh). */
export const refreshing = new Set(['Pending', 'InProgress', 'Cancelling', 'RollbackInProgress', 'Baking']);
