import { messageOf } from '@lockkeeper/action';
import { Deadline } from '@lockkeeper/wait';
import { Locked } from './host/lock.ts';
import * as scripts from './host/scripts.ts';
import { openProject } from './project.ts';
import type { ProjectContext } from './site.ts';

export interface Recovered {
  host: string;
  /** Whether the host ends on something verified, or is somebody else's concern now. */
  good: boolean;
  message: string;
}

/**
 * What a post step does on a host whose main ended without finishing: lets a step that still runs end (or
 * ends it), goes back to what ran before, verified, and releases the lock. Does nothing where main finished.
 */
export async function recoverHost(context: ProjectContext, budget: number): Promise<Recovered> {
  const { shell, settings, clock, log } = context;
  const host = shell.name;
  const deadline = new Deadline(clock, budget);
  let project: Awaited<ReturnType<typeof openProject>>;
  try {
    project = await openProject({ ...context, settings: { ...settings, lockTimeout: 0, dryRun: false } });
  } catch (error) {
    if (error instanceof Locked)
      return { host, good: true, message: `${host}: another deploy has taken over (${error.message})` };
    throw error;
  }
  try {
    if (!(await project.needsRollBack()))
      return { host, good: true, message: `${host}: nothing was under way` };
    if (!settings.rollback) {
      await project.leaveAsItIs();
      return {
        host,
        good: false,
        message: `${host}: the deploy was interrupted; rollback is off, so it was left as it is`,
      };
    }
    const grace = Math.min(45_000, budget / 3);
    for (let waited = 0; ; waited += 1_000) {
      const ask = waited >= grace ? 'stop' : 'ask';
      const { stdout } = await shell.run(scripts.stepsOf, {
        args: [project.directory, context.lockToken, ask],
      });
      if (!stdout.includes('alive') || waited >= grace + 10_000) break;
      if (waited === 0)
        log.info(`${host}: a command of the interrupted deploy still runs; waiting for its end`);
      await clock.sleep(1_000);
    }
    const back = await project.rollBack('the deploy was interrupted', {
      timeout: Math.max(5_000, deadline.remaining() - 10_000),
    });
    return {
      host,
      good: back.verified,
      message: `${host}: the deploy was interrupted. ${back.message}`,
    };
  } finally {
    await project
      .close()
      .catch((error) => log.warning(`${host}: the lock stays until it expires: ${messageOf(error)}`));
  }
}
