import { get } from 'node:http';
import { connect } from 'node:net';
import type { SecurityGroupRule } from './account/index.ts';
import type { Lab } from './lab.ts';

/** What stands open and what serves in a lab, asked from outside. */
export interface Observation {
  rules: SecurityGroupRule[];
  /** Addresses of the hosts, and of the bastion, whose SSH port answers. */
  openHosts: string[];
  /** By the target group: its state there, and the version that the host itself serves; without a balancer by the host. */
  targets: Array<{ id: string; state: string; version: string }>;
}

/** Looks at a lab as somebody on its network would. */
export async function observeLab(lab: Lab): Promise<Observation> {
  const sshPort = Number(lab.vars().SSH_PORT);
  const reached = [...(lab.bastion ? [lab.bastion] : []), ...lab.hosts.map(({ host }) => host)];
  const registered = lab.balanced
    ? lab.group.health()
    : lab.hosts.map(({ instanceId: id }) => ({ id, port: lab.group.port, state: undefined }));
  const [openHosts, targets] = await Promise.all([
    Promise.all(reached.map(async ({ address }) => ((await letsIn(address, sshPort)) ? [address] : []))),
    Promise.all(
      registered.map(async ({ id, port, state }) => {
        const found = lab.hosts.find(({ instanceId }) => instanceId === id);
        const version = await versionAt(`http://${found?.host.address}:${port}/health/`);
        return { id, state: state ?? (version === 'nothing' ? 'down' : 'healthy'), version };
      }),
    ),
  ]);
  const { rules } = lab.account.securityGroups.get(lab.securityGroupId)!;
  return { rules: [...rules], openHosts: openHosts.flat(), targets };
}

/** A server that takes the connection only to reset it, because no rule covers the caller, lets nobody in. */
function letsIn(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    let connected = false;
    socket.once('connect', () => {
      connected = true;
    });
    socket.once('data', () => end(true));
    socket.once('close', () => end(false));
    socket.once('timeout', () => end(connected));
    socket.once('error', () => end(false));
  });
}

/** Asked on a connection of its own that is closed again: one kept alive would hold up a target's draining. */
function versionAt(url: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 3000 }, async (response) => {
      try {
        const { version } = JSON.parse(Buffer.concat(await response.toArray()).toString());
        resolve(String(version ?? 'an unknown version'));
      } catch {
        resolve('an unknown version');
      }
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 3 s')));
    request.on('error', () => resolve('nothing'));
  });
}
