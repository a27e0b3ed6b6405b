import { Deadline, systemClock, until } from '@lockkeeper/wait';

/** Waits until it is so, two minutes at most: a test that hangs until its own time is up tells nobody what it waited for. */
export async function waitFor(what: string, isSo: () => boolean): Promise<void> {
  await until(async () => (isSo() ? true : undefined), {
    clock: systemClock,
    deadline: new Deadline(systemClock, 120_000),
    interval: 100,
    what,
  });
}
