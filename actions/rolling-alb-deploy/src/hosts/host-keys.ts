import { isIP } from 'node:net';
import { AwsCallError, type Instances } from '@lockkeeper/aws';
import limited from 'p-limit';
import type { FleetMember } from '../plan/members.ts';

/** How many consoles are read side by side. */
const atOnce = 5;

/**
 * Fingerprints (`SHA256:…`) that cloud-init printed to a console, of the last start that printed them whole: at an
 * earlier one the instance may have had other keys. Who writes there is root on the instance. Pure.
 */
export function fingerprintsIn(console: string): string[] {
  const [, ...begun] = console.split('-----BEGIN SSH HOST KEY FINGERPRINTS-----');
  const [block = ''] =
    begun
      .map((text) => text.split('-----END SSH HOST KEY FINGERPRINTS-----'))
      .findLast((parts) => parts.length > 1) ?? [];
  // `ec2: 256 SHA256:… root@ip-10-0-0-5 (ED25519)`, behind whatever the console puts before a line.
  const line = /(?:^|\s)\d{3,5} (SHA256:[A-Za-z0-9+/]{43}) .*\([A-Z0-9-]+\)\s*$/;
  return block.split(/[\r\n]+/).flatMap((text) => line.exec(text)?.[1] ?? []);
}

/** Members with the host keys that their consoles show; what cannot be known so is a problem, one line each. */
export async function withHostKeys(
  instances: Pick<Instances, 'console'>,
  members: readonly FleetMember[],
): Promise<{ members: FleetMember[]; problems: string[] }> {
  const limit = limited(atOnce);
  const problems: string[] = [];
  const known = await Promise.all(
    members.map((member) =>
      limit(async (): Promise<FleetMember> => {
        const { id, address } = member;
        if (address.fingerprints) return member;
        if (isIP(id) !== 0) {
          problems.push(
            `host-keys: ec2-console reads an instance's console, and ${id} is registered by its address; give known-hosts, and host-keys: inputs`,
          );
          return member;
        }
        // What was kept after the last start shows them on a first start; later the latest 64 KB may still do.
        const fingerprints =
          orNone(fingerprintsIn(await instances.console(id, 'kept'))) ??
          orNone(fingerprintsIn(await latest(instances, id)));
        if (!fingerprints) problems.push(nothingPrinted(id));
        return { ...member, address: { ...address, ...(fingerprints && { fingerprints }) } };
      }),
    ),
  );
  return { members: known, problems };
}

const orNone = (found: string[]) => (found.length > 0 ? found : undefined);

/** Older instance types keep no latest output. */
async function latest(instances: Pick<Instances, 'console'>, id: string): Promise<string> {
  try {
    return await instances.console(id, 'latest');
  } catch (error) {
    if (error instanceof AwsCallError && error.kind === 'refused') return '';
    throw error;
  }
}

function nothingPrinted(id: string): string {
  return `the console of ${id} shows no SSH host keys: cloud-init prints them at an instance's first start alone, and EC2 keeps the last 64 KB. Print them again there with: sudo cloud-init single --name keys_to_console --frequency always   or give known-hosts, and host-keys: inputs`;
}
