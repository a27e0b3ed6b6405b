import type { Turn } from './plan.ts';

/** What was so when a deploy had ended. */
export interface Outcome {
  conclusion: string;
  /** The mishap met the run. */
  struck: boolean;
  /** What served before. */
  serving: string;
  /** What each host serves. */
  versions: string[];
  /** Of the load balancer; [] without one. */
  targets: string[];
  /** Rules that were not there before, and hosts whose SSH port answers. */
  open: string[];
  requests: number;
  lost: number;
  firstLost?: string;
  /** By host, and of the runner. */
  left: string[];
}

/** Which guarantees a deploy broke, in words; an empty list when all held. Pure. */
export function broken({ mishap, sick, version }: Turn, outcome: Outcome): string[] {
  const { conclusion, struck, serving, open, targets, requests, lost, firstLost, left } = outcome;
  const dropped =
    lost > 0 ? [`dropped: ${lost} of ${requests} requests${firstLost ? `, first ${firstLost}` : ''}`] : [];
  // Its runner is gone: what it left is for the next run, and users must not notice.
  if (mishap.kind === 'lost' && struck) return dropped;
  const versions = [...new Set(outcome.versions)];
  const undisturbed = mishap.kind === 'none' || !struck;
  const expected =
    conclusion === 'success' ? [version] : undisturbed || sick ? [serving] : [serving, version];
  const due = sick ? 'failure' : undisturbed ? 'success' : undefined;
  return [
    ...open.map((one) => `open: ${one}`),
    ...targets.filter((state) => !state.endsWith(' healthy')).map((state) => `broken: ${state}`),
    ...(versions.length === 1 && expected.includes(versions[0]!)
      ? []
      : [`broken: ${versions.join(' and ')} served, expected ${expected.join(' or ')}`]),
    ...(sick && versions.includes(version) ? [`broken: the sick ${version} serves`] : []),
    ...dropped,
    ...left.map((one) => `left over: ${one}`),
    ...(due === undefined || conclusion === due || (conclusion === 'cancelled' && struck)
      ? []
      : [`ended as ${conclusion}, expected ${due}`]),
  ];
}
