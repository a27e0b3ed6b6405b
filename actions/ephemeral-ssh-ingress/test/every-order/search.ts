import { hasEnded, movesOf, type Setting, start, units, wrongWith } from './model.ts';
import { keyOf } from './state-key.ts';

/**
 * A model checker for runs that share one rule: it goes through every state that any order of their calls can lead
 * to, late reads, kills and passing time included, and proves that none of them is wrong.
 */
export interface Explored {
  states: number;
  /** The first thing found that must not be, and the calls that lead there; undefined when there is none. */
  flaw?: { what: string; trace: string[] };
}

interface Visit {
  from?: string;
  label: () => string;
  /** The states that lead here. */
  sources: string[];
  ends: boolean;
}

/** Visits every state, breadth first, so that a flaw is shown by a shortest way to it. */
export function exploreEveryOrder(setting: Setting): Explored {
  const limits = setting.patience ?? units;
  const first = start(setting);
  const queue = [first];
  const visits = new Map<string, Visit>([
    [keyOf(first, limits), { label: () => '', sources: [], ends: false }],
  ]);
  const flawAt = (what: string, key: string): Explored => {
    const trace: string[] = [];
    for (let visit = visits.get(key)!; visit.from !== undefined; visit = visits.get(visit.from)!)
      trace.unshift(visit.label());
    return { states: visits.size, flaw: { what, trace } };
  };
  const ends: string[] = [];
  for (const state of queue) {
    const key = keyOf(state, limits);
    const what = wrongWith(state, setting);
    if (what) return flawAt(what, key);
    if (hasEnded(state)) ends.push(key);
    for (const { label, next } of movesOf(state, setting)) {
      const to = keyOf(next, limits);
      const visit = visits.get(to);
      if (visit) visit.sources.push(key);
      else {
        visits.set(to, { from: key, label, sources: [key], ends: false });
        queue.push(next);
      }
    }
  }
  for (let key = ends.pop(); key !== undefined; key = ends.pop()) {
    const visit = visits.get(key)!;
    if (!visit.ends) ends.push(...visit.sources);
    visit.ends = true;
  }
  for (const [key, visit] of visits) if (!visit.ends) return flawAt('somebody waits for ever', key);
  return { states: visits.size };
}
