import { UserError } from '@lockkeeper/action';
import type { Opening, Permission } from '@lockkeeper/aws';
import { type Lease, leaseTag, managedBy } from './lease.ts';
import { type Held, type Outside, openingName } from './rule.ts';

/** Refuses to open what could not be closed. A refusal counts when it names the group itself. */
export async function checkPermissions(
  openings: Opening[],
  lease: Lease,
  { groups, log }: Outside,
): Promise<void> {
  const [key, value] = leaseTag(lease);
  const perGroup = new Map(openings.map((opening) => [opening.groupId, opening]));
  const as = { description: managedBy[1], tags: { [managedBy[0]]: managedBy[1], [key]: value } };
  const verdicts = await Promise.all(
    [...perGroup.values()].flatMap(
      (opening): Array<Promise<Permission>> => [groups.mayAuthorize(opening, as), groups.mayRevoke(opening)],
    ),
  );
  refuse(verdicts, 'nothing was opened');
  if (verdicts.some(({ verdict }) => verdict === 'unclear'))
    log.info('the permission check by dry run was not conclusive; the calls themselves will tell');
}

/** The same once there is a rule: what closing it takes is allowed on it, or it had better not stay open. */
export async function checkClosable(held: Held, { groups }: Outside): Promise<void> {
  const verdicts = await groups.mayClose({ id: held.ruleId, groupId: held.groupId });
  refuse(verdicts, `${openingName(held)} is not kept open, because it could not be closed after the job`);
}

function refuse(verdicts: Permission[], consequence: string): void {
  const refused = verdicts.flatMap((one) => (one.verdict === 'refused' ? [one.error] : []));
  if (refused.length > 0)
    throw new UserError(`${consequence}: ${refused.map(({ message }) => message).join('; ')}`, {
      next: refused.map(({ next }) => next).join('; '),
    });
}
