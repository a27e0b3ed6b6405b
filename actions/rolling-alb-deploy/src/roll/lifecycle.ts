import type { ScalingGroup } from '@lockkeeper/aws';

/** '' when it is no member. */
export function lifecycleOf({ members }: ScalingGroup, id: string): string {
  return members.find((one) => one.id === id)?.lifecycle ?? '';
}

/** Ended, or on its way there, or no member any more. */
export function hasLeft(lifecycle: string): boolean {
  return lifecycle === '' || /^(Terminat|Detach)/.test(lifecycle);
}
