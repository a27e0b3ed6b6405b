import type { IngressRule } from '@lockkeeper/aws';
import { decideJoin, type Joiner, type JoinStep, learnJoin, newJoiner } from '../../src/join.ts';
import { closingKey, expiredKeys, hasLiveLease, isManaged, leaseKey, managedBy } from '../../src/lease.ts';
import {
  announcement,
  decideLeave,
  type Leaver,
  type LeaveStep,
  learnLeave,
  newLeaver,
} from '../../src/leave.ts';
import type { Patience } from '../../src/patience.ts';

/** What the search goes through: runs and sweeps that share one rule, of an AWS whose reads may be late. */
export interface Setting {
  /** What takes part: runs that join, hold and leave, and sweeps. */
  actors: Array<'run' | 'sweep'>;
  /** Tags of a rule that is there from the start. */
  rule?: Record<string, string>;
  /** How many of them may be killed. */
  kills?: number;
  /** By how many writings a read may be late; 1 unless given. */
  late?: number;
  /** In units of time; a call ends within one. */
  patience?: Patience;
  /** Other decisions than the real ones, to see whether their flaw is found. */
  decideJoin?: typeof decideJoin;
  decideLeave?: typeof decideLeave;
  learnLeave?: typeof learnLeave;
}

export const units: Patience = { closerLimit: 1, closerPatience: 3, lateReads: 1 };
export const longestCall = 1;
const awsNow = Date.parse('2026-11-21T00:00:00Z');
const liveLease = '2026-11-22T00:00:00Z octo/app 1.1 aa';
export const expiredLease = '2026-11-20T00:00:00Z octo/app 1.1 aa';

export type Seen = IngressRule | 'none';
type Call = { of: 'join'; step: JoinStep } | { of: 'leave'; step: LeaveStep; ruleId: string };
export type Actor =
  | { phase: 'joining'; joiner: Joiner; step: JoinStep }
  | { phase: 'holding'; ruleId: string; foreign: boolean }
  | { phase: 'looking' }
  /** `since`: when the step was decided on. */
  | { phase: 'leaving'; leaver: Leaver; step: LeaveStep; since: number }
  | { phase: 'done' }
  | { phase: 'dead'; onItsWay?: Call; since: number };

export interface State {
  time: number;
  made: number;
  kills: number;
  rule: Seen;
  /** What a late read may still show, newest first. */
  before: Seen[];
  actors: Actor[];
}

/** Leases and announcements carry their owner's name last. */
export const names = 'abc';
const nameOf = (index: number) => names[index]!;
export const hasEnded = ({ actors }: State) =>
  actors.every(({ phase }) => phase === 'done' || phase === 'dead');

function makeRule(number: number, tags: Record<string, string>): IngressRule {
  const port = { protocol: 'tcp', fromPort: 22, toPort: 22, cidr: '20.0.0.1/32', description: '' };
  return { id: `sgr-${number}`, groupId: 'sg-1', ...port, tags };
}

export function start(setting: Setting): State {
  const rule: Seen = setting.rule ? makeRule(0, setting.rule) : 'none';
  const actors = setting.actors.map(
    (kind, index): Actor =>
      kind === 'sweep' ? { phase: 'looking' } : joining(newJoiner(nameOf(index)), 0, setting),
  );
  return { time: 0, made: 0, kills: 0, rule, before: [], actors };
}

/** What must never be, in words. */
export function wrongWith(state: State, setting: Setting): string | undefined {
  const { rule, actors } = state;
  for (const [index, actor] of actors.entries()) {
    if (actor.phase !== 'holding' || actor.foreign) continue;
    if (rule === 'none' || rule.id !== actor.ruleId || !(leaseKey(nameOf(index)) in rule.tags))
      return `${nameOf(index)} holds a lease without its rule`;
  }
  if (!hasEnded(state)) return undefined;
  const wasForeign = setting.rule && !(managedBy[0] in setting.rule);
  if (wasForeign)
    return rule !== 'none' && Object.keys(rule.tags).length === Object.keys(setting.rule!).length
      ? undefined
      : "somebody else's rule was touched";
  if (rule === 'none') return undefined;
  // What a killed process left must be such that the next sweep closes it once the dead's leases have expired.
  const dead = actors.flatMap(({ phase }, index) => (phase === 'dead' ? [leaseKey(nameOf(index))] : []));
  if (dead.length === 0) return 'all have ended, and the rule is still there';
  if (!isManaged(rule)) return 'a rule is left that no sweep closes';
  return hasLiveLease(rule, awsNow, dead) ? 'a lease outlives its run' : undefined;
}

export function* movesOf(state: State, setting: Setting): Generator<{ label: () => string; next: State }> {
  for (const [index, actor] of state.actors.entries()) {
    const put = (becomes: Actor, rule?: Seen): State => ({
      ...state,
      ...(rule === undefined
        ? {}
        : { rule, before: [state.rule, ...state.before].slice(0, setting.late ?? 1) }),
      made: rule && rule !== 'none' ? Math.max(state.made, Number(rule.id.slice(4))) : state.made,
      actors: state.actors.with(index, becomes),
    });
    for (const { label, rule, becomes } of actsOf(actor, nameOf(index), state, setting))
      yield { label: () => `${nameOf(index)} ${label()}`, next: put(becomes, rule) };
    if (state.kills >= (setting.kills ?? 0)) continue;
    for (const corpse of corpsesOf(actor, state.time))
      yield {
        label: () =>
          `${nameOf(index)} is killed${corpse.onItsWay ? ` with ${corpse.onItsWay.step.kind} on its way` : ''}`,
        next: { ...put(corpse), kills: state.kills + 1 },
      };
  }
  if (state.actors.every((actor) => mayWait(actor, state.time)))
    yield { label: () => 'time passes', next: { ...state, time: state.time + 1 } };
}

type Act = { label: () => string; rule?: Seen; becomes: Actor };

function* actsOf(actor: Actor, name: string, state: State, setting: Setting): Generator<Act> {
  const { rule, before, time } = state;
  const sights = [...new Map([...before, rule].map((sight) => [spell(sight), sight])).values()];
  switch (actor.phase) {
    case 'joining': {
      const { joiner, step } = actor;
      const learn = (answer: Parameters<typeof learnJoin>[2]) =>
        joining(learnJoin(joiner, step, answer, time), time, setting);
      if (step.kind === 'read')
        for (const sight of sights) yield { label: () => `reads ${spell(sight)}`, becomes: learn(sight) };
      else {
        const { after, answer } = performJoin(step, name, state);
        yield { label: () => `${step.kind}: ${spell(after)}`, rule: after, becomes: learn(answer) };
      }
      return;
    }
    case 'holding':
      if (actor.foreign) yield { label: () => 'ends', becomes: { phase: 'done' } };
      else
        for (const sight of sights) {
          if (sight === 'none' || sight.id !== actor.ruleId) continue;
          const mine = { nonce: name, leases: [leaseKey(name)], created: false };
          yield {
            label: () => `begins to leave, seeing ${spell(sight)}`,
            becomes: leaving(newLeaver(sight, mine), time, setting),
          };
        }
      return;
    case 'looking':
      for (const sight of sights) {
        const idle = sight === 'none' || !isManaged(sight) || hasLiveLease(sight, awsNow);
        yield {
          label: () => `sweeps, seeing ${spell(sight)}`,
          becomes: idle
            ? { phase: 'done' }
            : leaving(
                newLeaver(sight, { nonce: name, leases: expiredKeys(sight, awsNow), created: false }),
                time,
                setting,
              ),
        };
      }
      return;
    case 'leaving': {
      const { leaver, step } = actor;
      const learn = (answer: Parameters<typeof learnLeave>[2]) =>
        leaving((setting.learnLeave ?? learnLeave)(leaver, step, answer), time, setting);
      if (step.kind === 'read')
        for (const sight of sights) {
          const shown = sight !== 'none' && sight.id === leaver.ruleId ? sight : 'none';
          yield { label: () => `reads ${spell(sight)}`, becomes: learn(shown) };
        }
      else {
        const { after, answer } = performLeave(step, leaver.ruleId, name, state);
        yield { label: () => `${step.kind}: ${spell(after)}`, rule: after, becomes: learn(answer) };
      }
      return;
    }
    case 'dead': {
      const { onItsWay } = actor;
      if (!onItsWay) return;
      const { after } =
        onItsWay.of === 'join'
          ? performJoin(onItsWay.step, name, state)
          : performLeave(onItsWay.step, onItsWay.ruleId, name, state);
      yield {
        label: () => `is dead, but its ${onItsWay.step.kind} arrives: ${spell(after)}`,
        rule: after,
        becomes: { phase: 'dead', since: time },
      };
    }
  }
}

function joining(joiner: Joiner, time: number, setting: Setting): Actor {
  const step = (setting.decideJoin ?? decideJoin)(joiner, time, setting.patience ?? units);
  if (step.kind === 'hold')
    return { phase: 'holding', ruleId: step.rule.id, foreign: step.how === 'foreign' };
  return { phase: 'joining', joiner, step };
}

function leaving(leaver: Leaver, time: number, setting: Setting): Actor {
  const step = (setting.decideLeave ?? decideLeave)(leaver, time, awsNow, setting.patience ?? units);
  return step.kind === 'end' ? { phase: 'done' } : { phase: 'leaving', leaver, step, since: time };
}

/** What a writing makes of the rule, and what AWS answers. */
function performJoin(
  step: JoinStep,
  name: string,
  { rule, made }: State,
): { after: Seen; answer: Parameters<typeof learnJoin>[2] } {
  switch (step.kind) {
    case 'authorize': {
      if (rule !== 'none') return { after: rule, answer: 'duplicate' };
      const fresh = makeRule(made + 1, { [managedBy[0]]: managedBy[1], [leaseKey(name)]: liveLease });
      return { after: fresh, answer: fresh };
    }
    case 'add-lease':
      if (rule === 'none' || rule.id !== step.rule.id) return { after: rule, answer: 'gone' };
      return { after: withTag(rule, leaseKey(name), liveLease), answer: 'tagged' };
    case 'clear-closing':
      return { after: withoutTags(rule, step.rule.id, step.keys), answer: 'cleared' };
    default:
      throw new Error(`${step.kind} writes nothing`);
  }
}

function performLeave(
  step: LeaveStep,
  ruleId: string,
  name: string,
  { rule }: State,
): { after: Seen; answer: Parameters<typeof learnLeave>[2] } {
  const there = rule !== 'none' && rule.id === ruleId;
  switch (step.kind) {
    case 'remove':
      return { after: withoutTags(rule, ruleId, step.keys), answer: 'removed' };
    case 'announce':
      if (!there) return { after: rule, answer: 'gone' };
      return { after: withTag(rule, closingKey(name), announcement(step.at)), answer: 'tagged' };
    case 'withdraw':
      return { after: withoutTags(rule, ruleId, [closingKey(name)]), answer: 'withdrawn' };
    case 'revoke':
      return there ? { after: 'none', answer: 'revoked' } : { after: rule, answer: 'gone' };
    default:
      throw new Error(`${step.kind} writes nothing`);
  }
}

const withTag = (rule: IngressRule, key: string, value: string): IngressRule => ({
  ...rule,
  tags: { ...rule.tags, [key]: value },
});

function withoutTags(rule: Seen, ruleId: string, keys: string[]): Seen {
  if (rule === 'none' || rule.id !== ruleId) return rule;
  const kept = Object.entries(rule.tags).filter(([key]) => !keys.includes(key));
  return { ...rule, tags: Object.fromEntries(kept) };
}

/** What a kill can leave: nothing more, or the call that was about to be sent, arriving at some later time. */
function* corpsesOf(actor: Actor, time: number): Generator<Actor & { phase: 'dead' }> {
  if (actor.phase === 'done' || actor.phase === 'dead') return;
  yield { phase: 'dead', since: time };
  if (actor.phase === 'joining' && actor.step.kind !== 'read')
    yield { phase: 'dead', since: time, onItsWay: { of: 'join', step: actor.step } };
  if (actor.phase === 'leaving' && actor.step.kind !== 'read') {
    const onItsWay: Call = { of: 'leave', step: actor.step, ruleId: actor.leaver.ruleId };
    yield { phase: 'dead', since: actor.since, onItsWay };
  }
}

/** A call ends within its bound; of those that change something this matters for the one that closes. */
function mayWait(actor: Actor, time: number): boolean {
  const closes =
    (actor.phase === 'leaving' && actor.step.kind === 'revoke') ||
    (actor.phase === 'dead' && actor.onItsWay?.step.kind === 'revoke');
  return !closes || time - actor.since < longestCall;
}

const spell = (rule: Seen): string =>
  rule === 'none'
    ? 'nothing'
    : `${rule.id} [${Object.keys(rule.tags)
        .filter((key) => key !== managedBy[0])
        .sort()
        .join(' ')}]`;
