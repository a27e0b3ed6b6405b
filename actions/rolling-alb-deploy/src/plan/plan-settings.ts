import type { CountOrPercent } from '@lockkeeper/action';
import type { DrainSettings } from '../roll/drain.ts';
import type { MemberSettings } from './members.ts';

/** What the inputs say of how a fleet is rolled; times in milliseconds. */
export interface PlanSettings extends MemberSettings {
  batchSize: CountOrPercent;
  minHealthy: CountOrPercent;
  drain: DrainSettings;
  healthyTimeout: number;
  bakeTime: number;
  stabilityWindow: number;
  /** Whether something is done once, before the first host drains. */
  preDeploy: boolean;
}
