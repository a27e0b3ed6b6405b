import { messageOf } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import { Deadline } from '@lockkeeper/wait';
import { Locked } from './host/lock.ts';
import { onHost } from './host/next-command.ts';
import * as scripts from './host/scripts.ts';
import { openProject, type Project, type UnderWay } from './project.ts';
import type { SingletonRole } from './singletons.ts';
import type { ProjectContext } from './site.ts';

export interface Recovered {
  host: string;
  /** Whether the host ends on something verified, or is somebody else's concern now. */
  good: boolean;
  /** What was interrupted, what was done about it, what serves now. */
  message: string;
  /** The command that shows more; '' where there is nothing to see to. */
  next: string;
  /** It runs the singleton services, and nothing on it had to go back. */
  keepsSingletons?: boolean;
}

/**
 * What a post step does on a host whose main ended without finishing: lets a step that still runs end (or
 * ends it), goes back to what ran before, verified, and releases the lock. Does nothing where main finished.
 */
export async function recoverHost(
  context: ProjectContext,
  budget: number,
  singletons?: SingletonRole,
): Promise<Recovered> {
  const { shell, settings, clock, log } = context;
  const host = shell.name;
  const deadline = new Deadline(clock, budget);
  let project: Project;
  try {
    project = await openProject({ ...context, settings: { ...settings, lockTimeout: 0, dryRun: false } });
  } catch (error) {
    if (error instanceof Locked)
      return {
        host,
        good: true,
        message: `${host}: another deploy has taken over (${error.message})`,
        next: '',
      };
    throw error;
  }
  try {
    if (!(await project.needsRollBack()))
      return {
        host,
        good: true,
        message: `${host}: nothing was under way, no container was changed. ${servesNow(project.serving)}`,
        next: '',
        keepsSingletons:
          settings.singletonServices.length > 0 && (await project.runs(settings.singletonServices)),
      };
    const what = interruptedWhile(project.underWay);
    if (!settings.rollback) {
      await project.leaveAsItIs();
      return {
        host,
        good: false,
        message: `${host}: ${what}. rollback is off, so it was left as it is`,
        next: onHost(shell, 'docker compose ps --all', project.directory),
      };
    }
    await waitForSteps(context, project, Math.min(45_000, budget / 3));
    const back = await project.rollBack('the deploy was interrupted', {
      timeout: Math.max(5_000, deadline.remaining() - 10_000),
      singletons,
    });
    return {
      host,
      good: back.verified,
      message: `${host}: ${what}. ${back.message} ${back.verified ? servesNow(back.serving) : 'What serves now is not known.'}`,
      next: back.verified
        ? ''
        : onHost(shell, `docker compose -p ${word(project.name)} ps --all`, project.directory),
    };
  } finally {
    await project
      .close()
      .catch((error) => log.warning(`${host}: the lock stays until it expires: ${messageOf(error)}`));
  }
}

/** A command of main may outlive it: it gets `grace` ms to end by itself, then it is told to. */
async function waitForSteps(
  { shell, lockToken, clock, log }: ProjectContext,
  project: Project,
  grace: number,
) {
  for (let waited = 0; ; waited += 1_000) {
    const ask = waited >= grace ? 'stop' : 'ask';
    const { stdout } = await shell.run(scripts.stepsOf, { args: [project.directory, lockToken, ask] });
    if (!stdout.includes('alive') || waited >= grace + 10_000) return;
    if (waited === 0)
      log.info(`${shell.name}: a command of the interrupted deploy still runs; waiting for its end`);
    await clock.sleep(1_000);
  }
}

const doing: Record<UnderWay['phase'], string> = {
  placed: 'before any container was replaced',
  switched: 'while its containers were replaced and proven',
  'rolling-back': 'while it was going back',
  left: 'and left as it was',
};

/** Pure. */
function interruptedWhile(change: UnderWay | undefined): string {
  return change
    ? `the deploy of ${change.to} was interrupted ${doing[change.phase]}`
    : 'the deploy was interrupted';
}

function servesNow(release: string | undefined): string {
  return release ? `Serving now: ${release}.` : 'No release serves now.';
}
