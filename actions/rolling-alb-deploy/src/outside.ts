import type { Log } from '@lockkeeper/action';
import type { AwsRoute } from '@lockkeeper/aws';
import type { Repository, RunnerImages } from '@lockkeeper/compose';
import type { Clock } from '@lockkeeper/wait';
import type { Account } from './account.ts';
import type { RollState } from './state.ts';

/** All that a deploy, and post after it, meets of the world outside; the hosts it reaches by SSH. */
export interface Outside extends Pick<Account, 'gate' | 'instances' | 'scaling'> {
  run: { repository: string; runUrl: string; commit: string; route: AwsRoute };
  repository: Repository;
  /** For `images: transfer`. */
  runnerImages?: RunnerImages;
  log: Log;
  clock: Clock;
  signal: AbortSignal;
  /** On disk when it returns. */
  save(state: RollState): void;
}
