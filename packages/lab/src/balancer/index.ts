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
