import type { Step } from './roll.ts';

/** What a host went through, as people name it. */
export const phases = ['drain', 'deploy', 'health', 'bake', 'rejoin', 'rollback'] as const;
export type Phase = (typeof phases)[number];

export const phaseOf: Record<Step, Phase> = {
  'take-out': 'drain',
  drain: 'drain',
  switch: 'deploy',
  'put-back': 'health',
  'wait-healthy': 'health',
  bake: 'bake',
  rejoin: 'rejoin',
  'go-back': 'rollback',
};

/** Times in milliseconds since the epoch. */
export interface Span {
  host: string;
  phase: Phase;
  from: number;
  to: number;
}

/** Who was in which phase from when to when. */
export class Timeline {
  readonly spans: Span[] = [];

  /** Neighbouring spans of one phase become one. */
  add(span: Span): void {
    const last = this.spans.findLast(({ host }) => host === span.host);
    if (last && last.phase === span.phase && span.from - last.to < 1000) last.to = span.to;
    else this.spans.push({ ...span });
  }

  /** Whole seconds by phase, for the output; phases that did not happen are left out. */
  seconds(host: string): Partial<Record<Phase, number>> {
    const sum: Partial<Record<Phase, number>> = {};
    for (const span of this.spans)
      if (span.host === host) sum[span.phase] = (sum[span.phase] ?? 0) + (span.to - span.from) / 1000;
    return Object.fromEntries(
      Object.entries(sum).map(([phase, seconds]) => [phase, Math.round(seconds * 10) / 10]),
    );
  }
}
