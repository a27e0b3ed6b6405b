import { type Log, messageOf } from '@lockkeeper/action';
import {
  openProject,
  type Project,
  type ReleaseSettings,
  type Repository,
  type RunnerImages,
} from '@lockkeeper/compose';
import type { Shell } from '@lockkeeper/ssh';
import type { Clock } from '@lockkeeper/wait';

/** What opens the project on every host of a run. */
export interface Opening {
  hosts: readonly string[];
  settings: ReleaseSettings;
  release: string;
  commit: string;
  repository: Repository;
  lockToken: string;
  owner: { repository: string; runUrl: string };
  connect(host: string): Promise<Shell>;
  /** For `images: transfer`. */
  runnerImages?: RunnerImages;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

/** The hosts of a run: a connection and a locked project each. */
export class Hosts {
  /** Those that are open, by the name of the host. */
  readonly projects = new Map<string, Project>();
  readonly #run: Opening;
  readonly #shells: Shell[] = [];

  constructor(run: Opening) {
    this.#run = run;
  }

  async open(): Promise<void> {
    // One order for all runs, so that two of them never hold what the other waits for.
    for (const host of [...this.#run.hosts].sort()) {
      const shell = await this.#run.connect(host);
      this.#shells.push(shell);
      this.projects.set(
        host,
        await openProject({ ...this.#run, shell, runsSingletons: host === this.#run.hosts[0] }),
      );
    }
  }

  /** Gives the locks back; `leave`: post of the same run has use for them. */
  async close({ leave }: { leave: boolean }): Promise<void> {
    await Promise.all(
      [...this.projects.values()].map(async (project) => {
        if (leave) return project.leave();
        await project
          .close()
          .catch((error) => this.#run.log.warning(`the lock stays until it expires: ${messageOf(error)}`));
      }),
    );
    for (const shell of this.#shells) await shell.close();
  }
}
