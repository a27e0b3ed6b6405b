import { UserError } from '@lockkeeper/action';
import type { Opening, Permission } from '@lockkeeper/aws';
import { type Lease, leaseTag, managedBy } from './lease.ts';
import type { Outside } from './rule.ts';

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
  const refused = verdicts.flatMap((one) => (one.verdict === 'refused' ? [one.error] : []));
  if (refused.length > 0)
    throw new UserError(`nothing was opened: ${refused.map(({ message }) => message).join('; ')}`, {
      next: refused.map(({ next }) => next).join('; '),
    });
  if (verdicts.some(({ verdict }) => verdict === 'unclear'))
    log.info('the permission check by dry run was not conclusive; the calls themselves will tell');
}
