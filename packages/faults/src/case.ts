import type { Scene } from './scene.ts';
import type { SceneKind, StepInputs, StepName } from './workflow.ts';

/** `post`: main was killed between switch and proof, and the fault strikes while its post runs. */
export type PhaseOfFault = 'main' | 'post';

/** How a run has to end, and what has to serve then: `old`, `new`, or `one` where either may, but everywhere the same. */
export interface Ending {
  conclusions: ReadonlyArray<'success' | 'failure' | 'cancelled'>;
  serves: 'old' | 'new' | 'one';
}

/** What a case does to a deploy. */
export interface Disturbance {
  /** In words. */
  what: string;
  scene: SceneKind;
  /** How the new release is ill: SICK of the lab's sample app. */
  sick?: string;
  /**
   * Main's line of a step at which it strikes, or the start of its process where no line is given; without a step,
   * before the workflow begins.
   */
  at?: { step: StepName; line?: RegExp };
  /** Post's line of a step at which it strikes; the start of the post of the step that deploys unless given. */
  atInPost?: { step: StepName; line: RegExp };
  /** Makes it so. */
  strike?: (moment: Moment) => Struck | undefined;
  /** On top of what the workflow gives its steps. */
  inputs?: StepInputs;
  /** The same, in the first run alone: they are what is wrong. */
  wrongInputs?: StepInputs;
  /** Shell lines of an earlier step of the first run's job; `$MARK` is a file that nobody may make. */
  before?: string;
  /** `timeout-minutes` of the step that deploys. */
  timeoutMinutes?: number;
  /** Text that outsiders wrote; `$MARK` in it is a file that nobody may make. */
  text?: { message?: string; ref?: string; actor?: string };
  /** The runner is gone without a post: the re-run comes long after, when what it left has expired. */
  loses?: boolean;
  /** What the first run leaves is told, and judged after the re-run alone. */
  mendedByReRun?: boolean;
  /** The step that dies has no post: who failed is told by Slack alone, as `deploy › gate`. */
  mute?: boolean;
  /** Step debugging is on. */
  debug?: boolean;
  /** The phase in which alone it is tried, and why not in the other; main and post unless given. */
  only?: { phase: PhaseOfFault; because: string };
  /** How the run with the fault in main has to end; `success new` unless given. */
  main?: Ending;
  /** The same for a fault in post: main was killed, so it is red; `failure old` unless given. */
  post?: Ending;
  /** And the re-run of the same release without the fault; `success new` unless given. */
  again?: Ending;
  /** What log, summary or Slack have to say: so a fault that was met is told from one that was not. */
  says?: RegExp;
}

/** The moment at which a fault strikes. */
export interface Moment {
  scene: Scene;
  phase: PhaseOfFault;
  /** The process of the step that runs, while one does. */
  pid(): number | undefined;
  cancel(): void;
  /** Tells the runner's machine to stop. */
  shutDown(): void;
  /** The runner's machine is gone. */
  lose(): void;
}

/** A fault that was made so. */
export interface Struck {
  /** Before the re-run; it may be called again. */
  end?(): void;
  /** Is told each line of the log from then on. */
  hear?(line: string): void;
  /** Whether anything met it, where that can be told: a fault that met nothing proves nothing. */
  met?(): boolean;
}

/** A case of the reference, by its name. It runs here, or a test holds it, or it says why it is not ours. */
export interface FaultCase {
  id: string;
  what: string;
  runs?: readonly Disturbance[];
  /** Tests of this repository: a file, and in it a title as it is written there, `file › title`. */
  heldBy?: readonly string[];
  because?: string;
}

/** `ends('failure', 'old')`; several conclusions with a bar: `ends('failure|cancelled', 'one')`. */
export const ends = (conclusions: string, serves: Ending['serves']): Ending => ({
  conclusions: conclusions.split('|') as unknown as Ending['conclusions'],
  serves,
});
