import { keyOf, type TargetChange } from './target-group.ts';

/**
 * For each target (`id:port`), the lab ms that it was not healthy between the first time it was and `until`: what a
 * roll cost it. A target that was never healthy was never in rotation and is not listed.
 */
export function outOfRotation(history: readonly TargetChange[], until: number): Record<string, number> {
  const out: Record<string, number> = {};
  const leftAt = new Map<string, number>();
  for (const change of history) {
    const key = keyOf(change);
    if (change.at > until) break;
    if (change.state === 'healthy') {
      const left = leftAt.get(key);
      out[key] = (out[key] ?? 0) + (left === undefined ? 0 : change.at - left);
      leftAt.delete(key);
    } else if (key in out && !leftAt.has(key)) {
      leftAt.set(key, change.at);
    }
  }
  for (const [key, left] of leftAt) out[key]! += until - left;
  return out;
}
