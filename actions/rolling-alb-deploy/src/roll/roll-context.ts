import type { Log, UserError } from '@lockkeeper/action';
import type { ScalingGroups, TargetGroup, TargetGroups } from '@lockkeeper/aws';
import type { Clock } from '@lockkeeper/wait';
import type { Required } from '../plan/capacity.ts';
import type { DrainSettings } from './drain.ts';
import type { HostRecord, OnFailure } from './roll.ts';
import type { Timeline } from './timeline.ts';

/** One host as the roll works on it. What goes wrong is thrown as UserError. */
export interface FleetHost {
  /** Puts the staged release up and proves it. */
  switchOver(): Promise<void>;
  /** Back to what ran before, verified; throws when that does not run. */
  goBack(reason: string): Promise<void>;
  /** Established connections to a port of the host's services; undefined when that cannot be told. */
  connections(port: number): Promise<number | undefined>;
  /** Healthy in its groups and watched: from now on the host counts the new release as the one that serves. */
  settle(): Promise<void>;
  /** Asks health-url once: what is wrong with the app; undefined when it is well, or nothing is to be asked. */
  unwell(): Promise<string | undefined>;
}

export interface RollSettings {
  drain: DrainSettings;
  healthyTimeout: number;
  bakeTime: number;
  /** Milliseconds that a host waits for its way into standby to end before it is registered again all the same. */
  standbyPatience: number;
  onFailure: OnFailure;
  /** By ARN of the target group. */
  required: ReadonlyMap<string, Required>;
}

/** The minimum size of an Auto Scaling group as it was before a roll lowered it. */
export interface Minimum {
  group: string;
  minSize: number;
}

/** All that a roll works with. */
export interface RollContext {
  groups: ReadonlyMap<string, TargetGroup>;
  gate: Pick<TargetGroups, 'health' | 'register' | 'deregister'>;
  /** Asked only where a host is a member of an Auto Scaling group. */
  scaling: Pick<ScalingGroups, 'describe' | 'enterStandby' | 'exitStandby' | 'setMinSize'>;
  /** Minimum sizes that were lowered, or are about to be, by Auto Scaling group. */
  minimums: Minimum[];
  fleet: (id: string) => FleetHost;
  settings: RollSettings;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  timeline: Timeline;
  /** What a host's failure holds beyond its one line: what the containers said, what to type next. */
  evidence(id: string, failure: Pick<UserError, 'details' | 'next'>): void;
  /** Writes the records down; called before each effect that they cover. */
  save(hosts: readonly HostRecord[]): void;
  saveMinimums(minimums: readonly Minimum[]): void;
}

/** Why, by instance id, in one line. */
export type Failures = Map<string, string>;
