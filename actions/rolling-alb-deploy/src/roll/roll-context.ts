import type { Log, UserError } from '@lockkeeper/action';
import type { TargetGroup, TargetGroups } from '@lockkeeper/aws';
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
}

export interface RollSettings {
  drain: DrainSettings;
  healthyTimeout: number;
  bakeTime: number;
  onFailure: OnFailure;
  /** By ARN of the target group. */
  required: ReadonlyMap<string, Required>;
}

/** All that a roll works with. */
export interface RollContext {
  groups: ReadonlyMap<string, TargetGroup>;
  gate: Pick<TargetGroups, 'health' | 'register' | 'deregister'>;
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
}

/** Why, by instance id, in one line. */
export type Failures = Map<string, string>;
