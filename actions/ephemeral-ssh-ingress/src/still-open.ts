import { messageOf, UserError } from '@lockkeeper/action';
import type { Opening } from '@lockkeeper/aws';
import { leaseKey } from './lease.ts';

/** The command that closes a rule by hand; `ruleIds` may be shell that prints them. */
export function closeRuleCommand(region: string, groupId: string, ruleIds: string): string {
  return `aws ec2 revoke-security-group-ingress --region ${region} --group-id ${groupId} --security-group-rule-ids ${ruleIds}`;
}

/** The same for what a step set out to open: without an id the rule is named by the lease that it carries. */
export function closeCommand(
  region: string,
  { groupId }: Opening,
  ruleId: string | undefined,
  nonce: string,
): string {
  return closeRuleCommand(
    region,
    groupId,
    ruleId ??
      `$(aws ec2 describe-security-group-rules --region ${region} --filters Name=group-id,Values=${groupId} 'Name=tag:${leaseKey(nonce)},Values=*' --query 'SecurityGroupRules[].SecurityGroupRuleId' --output text)`,
  );
}

/** Says that something is open that should not be, and how to close it by hand. */
export function stillOpen(what: string, error: unknown, command: string): UserError {
  return new UserError(`${what} could not be closed and is still open: ${causeOf(error)}`, { next: command });
}

export const causeOf = (error: unknown) => (error instanceof UserError ? error.message : messageOf(error));
