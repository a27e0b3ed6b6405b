export {
  type Balancer,
  type BalancerCounts,
  type BalancerSettings,
  openBalancer,
  type TargetCounts,
} from './balancer.ts';
export type { Resolve } from './health-check.ts';
export {
  type KindReport,
  type Load,
  type LoadFailure,
  type LoadKind,
  type LoadReport,
  type LoadSecond,
  type LoadSettings,
  startLoad,
} from './load.ts';
export { outOfRotation } from './out-of-rotation.ts';
export {
  type HealthCheckSettings,
  keyOf,
  type TargetChange,
  TargetGroup,
  TargetGroupError,
  type TargetGroupSettings,
  type TargetId,
} from './target-group.ts';
export type { TargetCondition, TargetHealth, TargetStateName } from './target-state.ts';
