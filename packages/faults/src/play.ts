import { existsSync } from 'node:fs';
import { explanationOf, seenAfter } from '@lockkeeper/rehearsal';
import type { WorkflowEvent, WorkflowResult } from '@lockkeeper/runner';
import { type Disturbance, type Ending, ends, type Moment, type PhaseOfFault, type Struck } from './case.ts';
import { judge, type Verdict } from './judgement.ts';
import { watching } from './kill-points.ts';
import { openScene, type RunSettings, type Scene } from './scene.ts';
import { needlesOf, shows } from './secrets.ts';
import { killProcess } from './strike.ts';
import type { StepInputs } from './workflow.ts';

/** One run with a fault in it, or the re-run after it, and what was there at its end. */
export interface Trial extends Verdict {
  id: string;
  what: string;
  phase: PhaseOfFault;
  run: 'first' | 're-run';
  ms: number;
}

export interface PlaySettings {
  seed: number;
  /** The folder with the actions whose committed dist runs. */
  actions: string;
  onLine?: (line: string) => void;
  /** `false`: the run with the fault alone. */
  reRun?: boolean;
  /** Cancels the workflow, and what comes after it is left out; the lab is taken down as ever. */
  signal?: AbortSignal;
}

/** Plays a disturbance in one phase, then the re-run after it, in a lab of their own. */
export async function play(
  id: string,
  disturbance: Disturbance,
  phase: PhaseOfFault,
  { seed, actions, onLine = () => {}, reRun = true, signal }: PlaySettings,
): Promise<Trial[]> {
  const { what, scene: kind, text, timeoutMinutes } = disturbance;
  const { inputs = {}, wrongInputs = {}, before } = disturbance;
  const show = (event: WorkflowEvent) => {
    if (event.kind === 'line') onLine(`${event.name} | ${event.text}`);
  };
  const scene = await openScene({ kind, seed, actions });
  try {
    await scene.release(disturbance.sick);
    const fault = arm(scene, disturbance, phase, signal);
    const { main = ends('success', 'new'), post = ends('failure', 'old') } = disturbance;
    const { says, mute } = disturbance;
    const first = await observed(
      scene,
      { ...{ main, post }[phase], says, mute },
      {
        attempt: 1,
        changes: { inputs: merged(inputs, wrongInputs), before, timeoutMinutes },
        text,
        debug: disturbance.debug,
        ...fault.control,
        onEvent(event) {
          show(event);
          fault.on(event);
        },
      },
    );
    const missed = fault.end();
    const named = { id, what, phase };
    const later = disturbance.loses || disturbance.mendedByReRun;
    const told: Trial = {
      ...named,
      run: 'first',
      ...first,
      ...(later ? { guarantees: [] } : {}),
      problems: [...first.problems, ...missed],
    };
    if (!reRun || signal?.aborted) return [told];
    if (disturbance.loses) scene.longAfter();
    const again = await observed(scene, disturbance.again ?? ends('success', 'new'), {
      attempt: 2,
      changes: { inputs, timeoutMinutes },
      text,
      cancel: signal,
      onEvent: show,
    });
    return [told, { ...named, run: 're-run', ...again }];
  } finally {
    await scene.close();
  }
}

function merged(...layers: StepInputs[]): StepInputs {
  const result: StepInputs = {};
  for (const layer of layers)
    for (const [step, given] of Object.entries(layer) as Array<[keyof StepInputs, Record<string, string>]>)
      result[step] = { ...result[step], ...given };
  return result;
}

/** Waits for the moment of a fault among the events of a run, and makes it so. */
function arm(scene: Scene, { at, atInPost, strike }: Disturbance, phase: PhaseOfFault, signal?: AbortSignal) {
  const cancel = new AbortController();
  signal?.addEventListener('abort', () => cancel.abort(), { once: true });
  const shutdown = new AbortController();
  const lost = new AbortController();
  let pid: number | undefined;
  let struck: Struck | undefined;
  let due = true;
  let killed = false;
  const wanted: Disturbance['at'] = phase === 'main' ? at : (atInPost ?? { step: 'deploy' });
  const now = () => {
    due = false;
    const moment: Moment = {
      scene,
      phase,
      pid: () => pid,
      cancel: () => cancel.abort(),
      shutDown: () => shutdown.abort(),
      lose: () => lost.abort(),
    };
    struck = strike?.(moment);
  };
  if (phase === 'main' && !at) now();
  return {
    control: {
      cancel: cancel.signal,
      shutdown: shutdown.signal,
      lost: lost.signal,
    } satisfies Partial<RunSettings>,
    on(event: WorkflowEvent) {
      if (event.kind === 'process-started') pid = event.pid;
      if (event.kind === 'step-finished') pid = undefined;
      if (event.kind === 'line') struck?.hear?.(event.text);
      if (!due || !(event.kind === 'process-started' || event.kind === 'line')) return;
      const line = event.kind === 'line' ? event.text : undefined;
      if (phase === 'post' && !killed) {
        // So that its post has something to do.
        if (event.stepId === 'deploy' && line && watching.test(line)) killed = killProcess(pid);
        return;
      }
      if (event.phase !== phase || event.stepId !== wanted?.step) return;
      if (line === undefined ? !wanted.line : wanted.line?.test(line)) now();
    },
    /** Ends the fault; answers why it proved nothing, if so. */
    end(): string[] {
      const met = struck?.met?.();
      struck?.end?.();
      if (due)
        return [
          phase === 'post' && !killed
            ? 'its moment never came: main was not killed'
            : `its moment never came: ${wanted?.step} said nothing like ${wanted?.line ?? 'a start'} in ${phase}`,
        ];
      return met === false ? ['nothing met the fault'] : [];
    },
  };
}

/** A run, seen from outside when it has ended. */
async function observed(
  scene: Scene,
  expected: Ending & Pick<Disturbance, 'says' | 'mute'>,
  settings: RunSettings,
): Promise<Verdict & { ms: number }> {
  const { lab } = scene;
  const toldBefore = lab.slack.messages.length;
  const load = scene.users();
  const began = performance.now();
  const result = await scene.run(settings);
  const ms = performance.now() - began;
  // A moment more, so that what breaks only after the end is seen too.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const served = await load.stop();
  const slack = lab.slack.messages.slice(toldBefore);
  const jobs = Object.values(result.jobs);
  const seen = await seenAfter({
    lab,
    workflow: scene.workflow(),
    result,
    served,
    slack,
    workflowMs: ms,
    registeredBefore: scene.registeredBefore,
    rulesBefore: scene.rulesBefore,
  });
  const verdict = judge(
    {
      ...seen,
      expectedConclusion:
        expected.conclusions.find((one) => one === result.conclusion) ?? expected.conclusions[0]!,
      expectedVersions: { old: ['v1'], new: ['v2'], one: ['v1', 'v2'] }[expected.serves],
      leaks: leaksOf(scene, result),
      explanation: expected.mute ? seen.failedIn : explanationOf(withCancelled(jobs)),
      left: scene.leftOnHosts(),
    },
    [
      ...(existsSync(scene.mark) ? ['text was executed'] : []),
      ...obeyed(result).map((place) => `a line of a host was obeyed as a command: ${place}`),
      ...(slack.some(({ payload }) => liveIn(payload).some((live) => /<!channel>|<http:\/\/evil/.test(live)))
        ? ['text became a mention or a link in Slack']
        : []),
    ],
  );
  const said = [...jobs.flatMap(({ log, summary }) => [...log, summary]), seen.slackText].join('\n');
  return {
    ...verdict,
    problems: expected.says && !expected.says.test(said) ? [`nothing says ${expected.says}`] : [],
    ms,
  };
}

/** A cancelled step has to say no less than one that failed. */
const withCancelled = (jobs: WorkflowResult['jobs'][string][]) =>
  jobs.flatMap(({ steps }) =>
    steps.map((step) => ({
      ...step,
      conclusion: step.conclusion === 'cancelled' ? ('failure' as const) : step.conclusion,
    })),
  );

/** Where a secret can be read: log, summary, annotations, outputs, Slack, files and arguments. */
function leaksOf(scene: Scene, { jobs }: WorkflowResult): string[] {
  const needles = needlesOf(scene.secrets()).filter((needle) => !scene.lab.envFile.includes(needle));
  const places = Object.values(jobs).flatMap((job) => [
    [`log of ${job.id}`, job.log.join('\n')] as const,
    [`summary of ${job.id}`, job.summary] as const,
    [`annotations of ${job.id}`, JSON.stringify(job.annotations)] as const,
    [`outputs of ${job.id}`, JSON.stringify([job.outputs, job.steps.map(({ outputs }) => outputs)])] as const,
  ]);
  return [
    ...[...places, ['Slack message', JSON.stringify(scene.lab.slack.messages)] as const]
      .filter(([, text]) => shows(text, needles))
      .map(([place]) => place),
    ...scene.leaks(),
  ];
}

/** Where a workflow command took effect that a host or an outsider had printed. */
function obeyed({ jobs }: WorkflowResult): string[] {
  return Object.values(jobs).flatMap((job) => [
    ...job.annotations.filter(({ message }) => message.startsWith('INJECTED')).map(() => 'annotation'),
    ...[job.outputs, ...job.steps.map(({ outputs }) => outputs)].flatMap((outputs) =>
      Object.entries(outputs).flatMap(([name, value]) => (value === 'INJECTED' ? [`output ${name}`] : [])),
    ),
  ]);
}

/** Texts of a message in which Slack obeys markup; in plain_text it does not. */
function liveIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(liveIn);
  if (typeof value !== 'object' || value === null) return [];
  const { type, text } = value as { type?: unknown; text?: unknown };
  const own = typeof text === 'string' && (type === 'mrkdwn' || type === undefined) ? [text] : [];
  return [...own, ...Object.values(value).flatMap(liveIn)];
}
