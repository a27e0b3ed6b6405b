// `pnpm real:hosts`: real hosts to try things on by hand.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { baseImages } from './network/base-images.ts';
import type { ComposeChoice } from './network/compose-versions.ts';
import { directoryOf, openNetwork, sweep } from './network/network.ts';
import { prepareMachine } from './network/prerequisites.ts';
import { names, registries } from './network/services.ts';
import { appVersions, openWarehouse } from './warehouse.ts';

const usage = `Usage: pnpm real:hosts up [--hosts N] [--compose stable|newest|v1|none]
       pnpm real:hosts down

Makes this machine several: hosts with their own OpenSSH, Docker and Compose, and a registry, on a bridge. They stay
until ctrl-C, or until this process ends in any other way. \`down\` takes away what nobody holds any more.`;

async function up({ hosts = '1', compose = 'stable' }: { hosts?: string; compose?: string }): Promise<void> {
  const { dockerRoot, registry } = await openWarehouse();
  const network = await openNetwork({ registry });
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  try {
    const key = join(directoryOf(network.number), 'key');
    const knownHosts = join(directoryOf(network.number), 'known_hosts');
    writeFileSync(key, network.key.private, { mode: 0o600 });
    let known = '';
    for (let index = 1; index <= Number(hosts); index++) {
      const host = await network.host(`web-${index}`, { compose: compose as ComposeChoice, dockerRoot });
      known += host.knownHosts;
      writeFileSync(knownHosts, known);
      console.log(`ssh -i ${key} -o UserKnownHostsFile=${knownHosts} ${host.user}@${host.address}`);
    }
    const { username, password } = network.services.login;
    console.log(
      `registries, as the hosts call them: ${registries.open}; ${registries.locked} (${username}, ${password})`,
    );
    console.log(
      `images there: ${baseImages.map(({ reference }) => reference).join(', ')}, web:${Object.keys(appVersions).join(', web:')}`,
    );
    console.log(`bare repositories in ${network.services.repositories} are at git://${names.git}/`);
    console.log('ctrl-C takes them down');
    const alive = setInterval(() => {}, 60_000);
    await ended;
    clearInterval(alive);
  } finally {
    await network.close();
  }
}

async function down(): Promise<void> {
  const { swept, held } = await sweep();
  console.log(
    `taken down: ${swept.join(', ') || 'none was left'}${held.length > 0 ? `; still held by somebody: ${held.join(', ')}` : ''}`,
  );
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { hosts: { type: 'string' }, compose: { type: 'string' } },
});
const verbs: Record<string, () => Promise<void>> = { up: () => up(values), down };
const verb = verbs[positionals[0] ?? ''];
if (!verb || positionals.length > 1) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const unfit = await prepareMachine();
  if (unfit) {
    console.error(`no real hosts here: ${unfit}`);
    process.exitCode = 1;
  } else await verb();
}
