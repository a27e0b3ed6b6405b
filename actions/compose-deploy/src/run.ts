import { Cancelled, UserError } from '@lockkeeper/action';
import { type HostOutcome, Locked, type Project } from '@lockkeeper/compose';
import { formatDuration } from '@lockkeeper/wait';
import { type DeployReport, report } from './deploy.ts';
import { Hosts, type Opening } from './hosts.ts';
import { OutputFile, type Places } from './output-file.ts';

export interface Run extends Opening {
  lines: string;
  /** Absolute, on the runner; with one host. */
  output?: string;
  places: Places;
}

/**
 * Runs shell lines with the serving release's Compose on the hosts, one after another; the first that fails is the
 * last. A failure is a report; only a cancel is thrown, with the locks left to the post step.
 */
export async function runLines(run: Run): Promise<DeployReport> {
  const hosts = new Hosts(run);
  const outcomes: HostOutcome[] = [];
  let cancelled = false;
  try {
    await hosts.open();
    for (const host of run.hosts) {
      const project = hosts.projects.get(host)!;
      outcomes.push(await run.log.group(`Run on ${host}`, () => runOn(run, project)));
      if (outcomes.at(-1)?.result !== 'ran') break;
    }
    return reportRun(outcomes, run.hosts);
  } catch (error) {
    if (error instanceof Cancelled || run.signal?.aborted) {
      cancelled = true;
      throw error;
    }
    if (!(error instanceof UserError)) throw error;
    const result = error instanceof Locked ? 'locked' : 'failed';
    return reportRun([{ ...blank(run.hosts[0] ?? ''), ...told(error), result }], run.hosts);
  } finally {
    await hosts.close({ leave: cancelled });
  }
}

async function runOn(run: Run, project: Project): Promise<HostOutcome> {
  const { clock, log, signal } = run;
  const started = clock.now();
  const outcome = (rest: Pick<HostOutcome, 'result' | 'message'> & Partial<HostOutcome>): HostOutcome => ({
    ...blank(project.host),
    previous: project.serving,
    serving: project.serving,
    duration: clock.now() - started,
    ...rest,
  });
  let before = '';
  if (!run.settings.rollback && (await project.needsRollBack()))
    log.warning(
      `${project.host}: an earlier deploy was interrupted here, and rollback is false: what runs may be a mixture`,
    );
  else if (await project.needsRollBack()) {
    // What runs is a mixture: the lines are for the release that serves.
    log.warning(`${project.host}: an earlier deploy was interrupted here; going back first`);
    const back = await project.rollBack('an earlier deploy was interrupted');
    before = ` An earlier deploy had been interrupted. ${back.message}`;
    if (!back.verified)
      return outcome({
        result: 'rollback-failed',
        serving: back.serving,
        reason: `an earlier deploy was interrupted on ${project.host}, and going back failed`,
        message: `${project.host}:${before} Nothing was run.`,
      });
  }
  let file: OutputFile | undefined;
  try {
    file = run.output === undefined ? undefined : await OutputFile.create(run.output, run.places);
    await project.runLines(run.lines, file?.stream);
    const into = file ? await keep(file, project.host) : '';
    const took = formatDuration(clock.now() - started);
    const whose = project.serving ? `release ${project.serving}` : 'the files as they lie there';
    return outcome({
      result: 'ran',
      message: `Ran on ${project.host} with ${whose} in ${took}${into}.${before}`,
    });
  } catch (error) {
    await file?.discard();
    signal?.throwIfAborted();
    const cause = file?.failure
      ? new UserError(`run-output: cannot write ${file.path}: ${file.failure.message}`)
      : error;
    if (!(cause instanceof UserError)) throw cause;
    return outcome({
      ...told(cause),
      result: 'failed',
      message: `${cause.message}.${file ? ` There is no ${file.path}.` : ''}${before}`,
    });
  }
}

/** `: 1.1 GB to backup.sql`. */
async function keep(file: OutputFile, host: string): Promise<string> {
  // A backup that holds nothing is the worst of all: it is there.
  const bytes = await file.finish();
  if (bytes === 0) throw new UserError(`run on ${host} printed nothing, and run-output was to hold it`);
  await file.keep();
  return `: ${formatSize(bytes)} to ${file.path}`;
}

/** The report of a run; hosts that it did not come to are named. Pure. */
export function reportRun(outcomes: HostOutcome[], hosts: readonly string[]): DeployReport {
  const all = report(outcomes, outcomes[0]?.serving ?? '');
  const left = hosts.filter((host) => !outcomes.some((outcome) => outcome.host === host));
  if (left.length === 0) return all;
  return { ...all, message: `${all.message} Not run on ${left.join(', ')}.` };
}

/** `350 bytes`, `4.2 MB`, `1.1 GB`. Pure. */
export function formatSize(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let size = bytes;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 || size >= 99.95 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

function told(error: UserError): Pick<HostOutcome, 'reason' | 'message' | 'details' | 'next'> {
  return {
    reason: error.message,
    message: `${error.message}.`,
    details: error.details ?? '',
    next: error.next ?? '',
  };
}

function blank(host: string): HostOutcome {
  return {
    host,
    result: 'failed',
    images: {},
    services: [],
    reason: '',
    message: '',
    details: '',
    next: '',
    downtime: 0,
    duration: 0,
  };
}
