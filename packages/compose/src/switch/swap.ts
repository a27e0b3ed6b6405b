import type { Container } from '../host/containers.ts';
import type { PendingRecord, ReleaseRecord, SwapRecord } from '../record/release-record.ts';

/** What a blue-green service is to end on. */
export interface SwapGoal {
  replicas: number;
  /** On the way back what ran before is known to be good: it is neither watched nor checked once more. */
  back: boolean;
  /** Whether a container is one that the release wants. */
  fits(container: Container): boolean;
}

/** What is known of a swap besides the containers. The first two come from the host's record and outlive a run. */
export interface SwapKnowledge extends SwapRecord {
  /** This run has started containers: they are judged now, not started over. */
  started: boolean;
  proven: ReadonlySet<string>;
  /** The app answered well after the proxy was told. */
  checked: boolean;
  /** The proxy may know a container that is gone, or not know one that was to be exposed. */
  reloadDue: boolean;
}

export type SwapStep =
  /** Nobody meets these: they go at once. */
  | { do: 'remove'; ids: string[] }
  /** New ones beside those that serve, up to `scale` containers in all. */
  | { do: 'start'; scale: number }
  /** Judged while the proxy does not know them. */
  | { do: 'prove'; ids: string[] }
  /** From now on the proxy is to find `keep`, among them `ids` for the first time. */
  | { do: 'expose'; ids: string[]; keep: string[] }
  /** Asked through the proxy while the old ones are still there. */
  | { do: 'check'; ids: string[] }
  /** They end their requests and stop, while the proxy finds `keep` alone. */
  | { do: 'retire'; ids: string[]; keep: string[] }
  | { do: 'reload'; keep: string[] };

const alive = ({ status }: Container) => ['running', 'restarting', 'paused'].includes(status);

/**
 * The next step from what is there to what is wanted, undefined at the end. It looks only at containers and
 * at what was written down before each step, so that whoever takes over half-way goes on from there: no step
 * leaves users without a container, none shows them one that is not proven. Pure.
 */
export function nextStep(
  own: readonly Container[],
  goal: SwapGoal,
  known: SwapKnowledge,
): SwapStep | undefined {
  const { exposed, retired, proven, started } = known;
  // Once told to stop it is on its way out, also where it still runs.
  const fitting = own
    .filter((container) => goal.fits(container) && !retired.includes(container.id))
    .sort((a, b) => Number(exposed.includes(b.id)) - Number(exposed.includes(a.id)));
  const wanted = (started ? fitting : fitting.filter(alive)).slice(0, goal.replicas);
  const others = own.filter((container) => !wanted.includes(container));
  if (!started) {
    const unmet = others.filter(({ id }) => !exposed.includes(id) && !retired.includes(id));
    const serves = (container: Container) => alive(container) && !unmet.includes(container);
    const garbage = others.filter(
      (container) => !alive(container) || (unmet.includes(container) && own.some(serves)),
    );
    if (garbage.length > 0) return { do: 'remove', ids: idsOf(garbage) };
    const lacking = goal.replicas - wanted.length;
    if (lacking > 0) return { do: 'start', scale: own.length + lacking };
  }
  const fresh = wanted.filter(({ id }) => !exposed.includes(id));
  const unproven = fresh.filter(({ id }) => !proven.has(id));
  if (unproven.length > 0) return { do: 'prove', ids: idsOf(unproven) };
  const keep = idsOf(wanted);
  if (fresh.length > 0) return { do: 'expose', ids: idsOf(fresh), keep };
  if (known.reloadDue) return { do: 'reload', keep };
  if (others.length === 0) return undefined;
  if (!goal.back && !known.checked) return { do: 'check', ids: keep };
  return { do: 'retire', ids: idsOf(others), keep };
}

/**
 * Whether a run that takes a swap over must tell the proxy: somebody was exposed beside those that ran
 * `before`, or told to stop, or is gone, and nobody knows whether the reload came after that. Pure.
 */
export function reloadIsDue(
  { exposed, retired }: SwapRecord,
  own: readonly Container[],
  before: readonly string[],
): boolean {
  return (
    retired.length > 0 ||
    exposed.some((id) => !before.includes(id) || !own.some((container) => container.id === id))
  );
}

/**
 * Which containers of a service are those of a release: by image and Compose's hash, and on the way back
 * those that ran before, whatever their hash (their file may have changed since). Pure.
 */
export function fitsRelease(
  record: Pick<ReleaseRecord, 'id' | 'images' | 'hashes'>,
  service: string,
  { pending, remounted }: { pending: PendingRecord | undefined; remounted: boolean },
): (container: Container) => boolean {
  const image = record.images[service]?.id;
  const before = pending?.containers[service] ?? [];
  return (container) => {
    if (image !== undefined && container.image !== image) return false;
    if (before.includes(container.id)) {
      if (pending?.from === record.id) return true;
      // It holds a mounted file as it was: Compose sees no change, we do.
      if (remounted) return false;
    }
    return container.configHash === record.hashes[service];
  };
}

function idsOf(containers: readonly Container[]): string[] {
  return containers.map(({ id }) => id);
}
