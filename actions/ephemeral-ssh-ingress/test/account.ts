import { readFileSync } from 'node:fs';
import type { PolicyDocument, PolicyStatement, SecurityGroupRule } from '@lockkeeper/lab';

export const region = 'ap-northeast-2';
export const accountId = '123456789012';

/** The policy that the action ships, for one group (`*` for all), without some statements or actions. */
export function shippedPolicy(groupId: string, without: string[] = []): PolicyDocument {
  const text = readFileSync(new URL('../iam-policy.json', import.meta.url), 'utf8')
    .replaceAll('REGION', region)
    .replaceAll('ACCOUNT', accountId)
    .replaceAll('SECURITY_GROUP_ID', groupId);
  const { Version, Statement } = JSON.parse(text) as { Version: string; Statement: PolicyStatement[] };
  const kept = Statement.filter(({ Sid }) => !without.includes(Sid!)).map((statement) => ({
    ...statement,
    Action: [statement.Action ?? []].flat().filter((action) => !without.includes(action)),
  }));
  return { Version, Statement: kept.filter(({ Action }) => Action.length > 0) };
}

/** Tags of a rule of ours whose only lease belongs to some other run. */
export const leasedUntil = (expires: string, repository = 'other/repo') => ({
  'managed-by': 'ephemeral-ssh-ingress',
  'lease-00000000000000aa': `${expires} ${repository} 1.1 0123456789ab`,
});

/** A rule on one line, for comparison. */
export const spell = ({ cidr, fromPort, tags }: SecurityGroupRule) =>
  `${cidr} ${fromPort} ${[...tags].map((tag) => tag.join('=')).sort()}`;
