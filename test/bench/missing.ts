import { spawnSync } from 'node:child_process';

/** Why `program` cannot be run here; undefined when it can. */
export function missing(program: string, ...probe: string[]): string | undefined {
  const { error, status } = spawnSync(program, probe, { stdio: 'ignore' });
  return error || status !== 0 ? `${program} is not installed` : undefined;
}
