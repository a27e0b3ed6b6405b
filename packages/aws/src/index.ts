export { openScalingGroups } from './auto-scaling.ts';
export { AwsCallError, type CallFailureKind } from './call.ts';
export {
  type AwsConfig,
  type AwsRoute,
  type AwsSettings,
  awsConfig,
  awsRoute,
  readAwsInputs,
  takeRoute,
} from './credentials.ts';
export { type Instance, type Instances, openInstances } from './instances.ts';
export { openTargetGroups } from './load-balancing.ts';
export type { ScalingGroup, ScalingGroups, ScalingMember } from './scaling-group.ts';
export {
  type IngressRule,
  type Opening,
  openSecurityGroups,
  type Permission,
  ruleDescription,
  type SecurityGroups,
} from './security-group.ts';
export {
  type LoadBalancer,
  type TargetGroup,
  type TargetGroups,
  type TargetHealth,
  type TargetRef,
  type TargetState,
  type Threshold,
  targetGroupName,
} from './target-group.ts';
