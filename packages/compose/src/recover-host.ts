import { messageOf, UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import { Deadline } from '@lockkeeper/wait';
import { Locked } from './host/lock.ts';
import { onHost } from './host/next-command.ts';
import { SteadyShell } from './host/steady-shell.ts';
import { askSteps, stopSteps } from './host/step-scripts.ts';
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
 * What a post step does, within `budget` ms, on a host whose main ended without finishing: lets a step that still runs
 * end (or ends it), goes back to what ran before, verified, and releases the lock. `what` main was to do: a run of
 * shell lines has nothing to go back to.
 */
export async function recoverHost(
  context: ProjectContext,
  budget: number,
  { what = 'deploy', singletons }: { what?: 'deploy' | 'run'; singletons?: SingletonRole } = {},
): Promise<Recovered> {
  const { shell, settings, clock, log } = context;
  const host = shell.name;
  const deadline = new Deadline(clock, budget);
  let project: Project;
  try {
    project = await openProject({
      ...context,
      settings: { ...settings, lockTimeout: 0, dryRun: false },
      reconnectWithin: budget / 3,
    });
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
    const begun = await project.needsRollBack();
    // What changes containers is better ended than cut off; a pull is of no use any more.
    const ended = await endSteps(context, project, begun ? Math.min(45_000, budget / 3) : 0);
    if (!begun) {
      const { singletonServices } = settings;
      const story =
        what === 'run'
          ? `the run was interrupted${ended ? ', its command was ended' : ''}; what it had done stays`
          : 'nothing was under way, no container was changed';
      return {
        host,
        good: true,
        message: `${host}: ${story}. ${servesNow(project.serving)}`,
        next: '',
        keepsSingletons:
          singletonServices.length > 0 &&
          (await project.running(singletonServices)).length === singletonServices.length,
      };
    }
    const story = interruptedWhile(project.underWay);
    if (!settings.rollback) {
      await project.leaveAsItIs();
      return {
        host,
        good: false,
        message: `${host}: ${story}. rollback is off, so it was left as it is`,
        next: onHost(shell, 'docker compose ps --all', project.directory),
      };
    }
    const back = await project.rollBack('the deploy was interrupted', {
      timeout: Math.max(5_000, deadline.remaining() - 10_000),
      singletons,
    });
    return {
      host,
      good: back.verified,
      message: `${host}: ${story}. ${back.message} ${back.verified ? servesNow(back.serving) : 'What serves now is not known.'}`,
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

/** A command of main outlives it: it gets `grace` ms to end by itself, then it is ended. Whether it had to be. */
async function endSteps(
  { shell: raw, lockToken, clock, log }: ProjectContext,
  project: Project,
  grace: number,
): Promise<boolean> {
  const shell = new SteadyShell(raw, { within: 20_000, clock, log });
  const deadline = new Deadline(clock, grace);
  const args = [project.directory, lockToken];
  for (let told = false; ; told = true) {
    const { stdout } = await shell.run(askSteps, { args });
    if (!stdout.includes('alive')) return false;
    if (deadline.passed()) break;
    if (!told) log.info(`${shell.name}: a command of the interrupted run still runs; waiting for its end`);
    await clock.sleep(1_000);
  }
  log.info(`${shell.name}: ending a command of the interrupted run`);
  const { stdout } = await shell.run(stopSteps, { args: [...args, '50'] });
  if (stdout.includes('alive'))
    throw new UserError(`${shell.name}: a command of the interrupted run cannot be ended`, {
      next: onHost(shell, 'ps -ef'),
    });
  return true;
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
