import { announcement } from '../../src/leave.ts';
import type { Patience } from '../../src/patience.ts';
import { type Actor, longestCall, names, type Seen, type State } from './model.ts';

/** Who has a mark on a rule, as bits: a lease, an announcement, an announcement made before the last one. */
const bits = { lease: 1, closing: 2, earlier: 4 };
/** The marks of each actor in turn, and of those that take no part. */
type Marks = number[];

/**
 * Two states of one key go on in the same way: ages stand for times, a rule's id for whether it is still there, and
 * names are given anew by what each is at, since runs differ in nothing else.
 */
export function keyOf(
  { time, kills, actors, rule, before }: State,
  { closerLimit, closerPatience }: Patience,
): string {
  const sights = [rule, ...before];
  const age = (since: number | undefined, most: number) =>
    since === undefined ? '' : Math.min(time - since, most);
  const idOf = (id: string | undefined) =>
    id === undefined ? '' : sights.findIndex((sight) => sight !== 'none' && sight.id === id);
  const announcements = actors.map((actor) =>
    actor.phase === 'leaving' && actor.leaver.announcedAt !== undefined
      ? announcement(actor.leaver.announcedAt)
      : undefined,
  );
  const marksOf = (seen: Seen | 'unread'): Marks => {
    const marks = [0, 0, 0, 0];
    if (typeof seen === 'string') return marks;
    for (const key in seen.tags) {
      const kind = key.startsWith('lease-') ? bits.lease : key.startsWith('closing-') ? bits.closing : 0;
      const found = names.indexOf(key.at(-1)!);
      const owner = found < 0 ? names.length : found;
      const earlier = kind === bits.closing && seen.tags[key] !== announcements[owner];
      marks[owner]! |= earlier ? bits.earlier : kind;
    }
    return marks;
  };
  /** What a step carries over into the next; every read replaces the rest. */
  const carriedBy = (actor: Actor): Marks => {
    if (actor.phase === 'leaving' && actor.step.kind === 'remove') return marksOf(actor.leaver.view);
    const step =
      actor.phase === 'joining' ? actor.step : actor.phase === 'dead' ? actor.onItsWay?.step : undefined;
    return step?.kind === 'clear-closing' ? marksOf(step.rule) : [];
  };
  const shapeOf = (actor: Actor): string => {
    switch (actor.phase) {
      case 'joining': {
        const { written, lateReads, unmanagedReads, waitingSince } = actor.joiner;
        const { step } = actor;
        const about = 'rule' in step ? idOf(step.rule.id) : '';
        return `j${step.kind} ${about} ${idOf(written)} ${lateReads}${unmanagedReads} ${age(waitingSince, closerPatience)}`;
      }
      case 'leaving': {
        const { leaver, step, since } = actor;
        const late = closerLimit + 1;
        const sent = 'at' in step || step.kind === 'revoke' ? age(since, late) : '';
        return `l${step.kind} ${idOf(leaver.ruleId)} ${leaver.removed} ${leaver.reads} ${age(leaver.announcedAt, late)} ${sent}`;
      }
      case 'holding':
        return `h${idOf(actor.ruleId)}${actor.foreign}`;
      case 'dead': {
        const { onItsWay: call, since } = actor;
        if (!call) return 'dead';
        const about = call.of === 'leave' ? call.ruleId : 'rule' in call.step ? call.step.rule.id : undefined;
        return `d${call.step.kind} ${idOf(about)} ${call.step.kind === 'revoke' ? age(since, longestCall) : ''}`;
      }
      default:
        return actor.phase;
    }
  };
  const shown = sights.map(marksOf);
  const shapes = actors.map((actor, index) => `${shapeOf(actor)} ${shown.map((marks) => marks[index])}`);
  const order = shapes.map((_, index) => index).sort((a, b) => (shapes[a]! < shapes[b]! ? -1 : 1));
  const inOrder = (marks: Marks) => `${order.map((index) => marks[index])},${marks[names.length]}`;
  return [
    kills,
    ...sights.map((sight, at) => (sight === 'none' ? '' : `${idOf(sight.id)} ${inOrder(shown[at]!)}`)),
    ...order.map((index) => `${shapes[index]} ${inOrder(carriedBy(actors[index]!))}`),
  ].join('|');
}
