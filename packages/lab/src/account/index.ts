export {
  Account,
  type AccountSettings,
  type LoadBalancer,
  type Principal,
  type Role,
  type RoleTrust,
  type SecurityGroup,
  type SecurityGroupRule,
} from './account.ts';
export type { Call } from './calls.ts';
export type { Fault, FaultKind, FaultMatch, Faults } from './faults.ts';
export {
  type AccessRequest,
  checkPolicy,
  evaluate,
  type PolicyDocument,
  type PolicyStatement,
} from './iam.ts';
export type { Instance, InstanceState } from './instance.ts';
export { type OidcEndpoint, OidcIssuer, type TokenGrant, type TokenRequest } from './oidc.ts';
export {
  type LifecycleState,
  ScalingGroup,
  type ScalingGroupSettings,
  type ScalingMember,
} from './scaling-group.ts';
export { type AwsEndpoint, serveAws } from './server.ts';
