import { seeded } from '@lockkeeper/lab';

export const sites = ['server', 'fleet'] as const;
export type Site = (typeof sites)[number];

/** What goes wrong in a deploy besides its release. */
export type Mishap =
  | { kind: 'none' }
  /** At that line of what the job's steps log. `kill`: -9 to the step under way; `lost`: the runner and all on it. */
  | { kind: 'kill' | 'cancel' | 'lost' | 'drop-ssh'; atLine: number }
  /** That call to AWS of the job, counted from 1. */
  | { kind: 'denied' | 'throttled' | 'no-answer'; action: string; nth: number };

export interface Turn {
  number: number;
  site: Site;
  version: string;
  /** How the release is ill, as SICK of the lab's sample app. */
  sick?: 'crash' | '503';
  mishap: Mishap;
}

/** As many lines as the steps of a good deploy log, about. */
const lines: Record<Site, number> = { server: 20, fleet: 45 };

const ingressCalls = ['AuthorizeSecurityGroupIngress', 'DescribeSecurityGroupRules'];
const rollCalls = ['DescribeTargetHealth', 'RegisterTargets', 'DeregisterTargets'];
const calls: Record<Site, string[]> = { server: ingressCalls, fleet: [...ingressCalls, ...rollCalls] };
/** Not to be denied: who may not close a port has left it open, and who may not sign in has done nothing. */
const closing = ['RevokeSecurityGroupIngress', 'AssumeRoleWithWebIdentity'];

/**
 * The deploys of a soak: good and sick releases in turn, a mishap in two of three. After a lost runner the same site
 * has its next deploy, a good one with nothing in its way, as the guarantees leave that to the next run. Pure.
 */
export function planSoak(deploys: number, seed: number): Turn[] {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const turns: Turn[] = [];
  let sickNext = false;
  for (let number = 1; number <= deploys; number++) {
    const before = turns.at(-1);
    const version = `v${number + 1}`;
    if (before?.mishap.kind === 'lost') {
      turns.push({ number, site: before.site, version, mishap: { kind: 'none' } });
      continue;
    }
    const site = pick(sites);
    const sick = sickNext ? { sick: pick(['crash', '503'] as const) } : {};
    sickNext = !sickNext;
    const kind = pick([
      ...(['none', 'none', 'none'] as const),
      ...(['kill', 'cancel', 'lost', 'drop-ssh', 'denied', 'throttled', 'no-answer'] as const),
    ]);
    const mishap = ((): Mishap => {
      switch (kind) {
        case 'none':
          return { kind };
        case 'kill':
        case 'cancel':
        case 'lost':
        case 'drop-ssh':
          return { kind, atLine: upTo(lines[site]) };
        default: {
          const action = pick(kind === 'denied' ? calls[site] : [...calls[site], ...closing]);
          return { kind, action, nth: upTo(rollCalls.includes(action) ? 3 : 1) };
        }
      }
    })();
    turns.push({ number, site, version, ...sick, mishap });
  }
  return turns;
}

/** A mishap in words. */
export function inWords(mishap: Mishap): string {
  if (mishap.kind === 'none') return '';
  if ('action' in mishap) return `${mishap.kind} ${mishap.action} #${mishap.nth}`;
  return `${mishap.kind} at line ${mishap.atLine}`;
}
