import { expect, it } from '@jest/globals';
import { resultOf } from '../src/roll/roll.ts';
import { runRoll } from '../src/roll/run-roll.ts';
import { arn, group, stand } from './stand.ts';

// What a roll costs beside the pipeline that teams write themselves, on the same two hosts in simulated time. Both start
// the same containers; only waiting differs.

/** Milliseconds, the same for both. */
const pull = 10_000;
const up = 5_000;
/** Of the action's defaults. */
const stabilityWindow = 10_000;

const at = (deregistrationDelay: number) => stand({ target: group({ deregistrationDelay }) });
const running = new AbortController().signal;

/** Seconds of: deregister, `aws elbv2 wait`, ssh pull and up, 10-second health retries, register, `aws elbv2 wait`. */
async function ownPipeline(delay: number): Promise<number> {
  const { clock, ...s } = at(delay);
  const { gate, fleet } = s.context('stop', running);
  const from = clock.now();
  const stateOf = async (id: string) => (await gate.health(arn)).find((one) => one.id === id)?.state;
  /** The CLI's waiter: one look every 15 s. */
  const wait = async (id: string, wanted: string | undefined) => {
    while ((await stateOf(id)) !== wanted) await clock.sleep(15_000);
  };
  for (const id of ['i-a', 'i-b']) {
    await gate.deregister(arn, [{ id, port: 8000 }]);
    await wait(id, undefined);
    await clock.sleep(pull + up);
    await fleet(id).switchOver();
    await clock.sleep(10_000);
    await gate.register(arn, [{ id, port: 8000 }]);
    await wait(id, 'healthy');
  }
  expect(s.states()).toEqual({ 'i-a': 'healthy', 'i-b': 'healthy' });
  return (clock.now() - from) / 1_000;
}

/** Seconds of a roll with the defaults, its pull before the first drain included. */
async function ours(delay: number): Promise<number> {
  const { clock, ...s } = at(delay);
  const context = s.context('rollback-all', running);
  const from = clock.now();
  await clock.sleep(pull);
  const hosts = await runRoll([s.record('i-a'), s.record('i-b', { batch: 1 })], {
    ...context,
    fleet: (id) => ({
      ...context.fleet(id),
      async switchOver() {
        await clock.sleep(up + stabilityWindow);
        await context.fleet(id).switchOver();
      },
    }),
  });
  expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
  return (clock.now() - from) / 1_000;
}

it.each([
  // Seconds of the delay, and the most of their time that ours may take. Recorded: 0.70, 0.48 and 0.14.
  [6, 0.75],
  [60, 0.5],
  [300, 0.15],
])(
  'with a deregistration delay of %i s it takes at most %f of the time of the own pipeline',
  async (delay, most) => {
    const [theirs, mine] = [await ownPipeline(delay * 1_000), await ours(delay * 1_000)];
    expect(mine / theirs).toBeLessThanOrEqual(most);
  },
);
