import type { Writable } from 'node:stream';
import type { Site } from './site.ts';
import { layOut, lookForFiles } from './stage/release-tree.ts';

/**
 * Runs lines of the user with the serving release's Compose; before our first deploy with the files as they lie. Shown
 * in the log, and outliving the connection; or with stdout into a stream, and no longer than the connection.
 */
export async function runLines(site: Site, lines: string, stdout?: Writable): Promise<void> {
  const { state, docker, context } = site;
  const scratch = `${state.path}/run.${context.lockToken}`;
  const file = `${scratch}/lines`;
  try {
    const release = site.serving ? await served(site, site.serving) : await asTheyLie(site, scratch);
    await state.write({ [file]: lines.replaceAll('\r\n', '\n') });
    await state.audit(`runs lines of the user ${context.owner.runUrl}`);
    if (stdout) await docker.hookInto(stdout, release, file, 'run');
    else await docker.hook(release, file, 'run');
  } finally {
    // A cancelled run leaves it to the post step, with the lock.
    if (!context.signal?.aborted) await state.remove(scratch);
  }
}

async function served(site: Site, id: string): Promise<string> {
  site.name = (await site.state.release(id)).project;
  return site.state.releasePath(id);
}

async function asTheyLie(site: Site, directory: string): Promise<string> {
  const { files, hostEnv } = await lookForFiles(site);
  await layOut(site, directory, { files, env: hostEnv });
  return directory;
}
