import { describe, expect, it } from '@jest/globals';
import { fakeClock } from '@lockkeeper/wait';
import { job } from '../docs/scenes.ts';
import { type ActionsApi, lookUp } from '../src/lookup.ts';

const refusal = (status: number, message = 'no') => Object.assign(new Error(message), { status });
const jobs = (count: number) => Array.from({ length: count }, (_, i) => job(`job ${i + 1}`, 'success'));
const never = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

/** An API of so many jobs, in pages of 100; `fails` may throw before an answer. */
function api(count: number, fails: (call: string) => void = () => {}): ActionsApi & { calls: string[] } {
  const calls: string[] = [];
  const call = (name: string) => {
    calls.push(name);
    fails(name);
  };
  return {
    calls,
    async attempt() {
      call('attempt');
      return { startedAt: 7, commit: { message: 'One', author: 'Mona' } };
    },
    async jobs(page) {
      call(`page ${page}`);
      return { total: count, jobs: jobs(count).slice((page - 1) * 100, page * 100) };
    },
  };
}

const ask = (from: ActionsApi, signal = new AbortController().signal, ms = 10_000) =>
  lookUp(from, { clock: fakeClock(), signal, ms });

describe('the look-up of the run', () => {
  it('reads every page, and when the attempt began', async () => {
    const { jobs: found, ...rest } = await ask(api(201));
    expect(found?.map(({ name }) => name)).toEqual(jobs(201).map(({ name }) => name));
    expect(rest).toEqual({ startedAt: 7, commit: { message: 'One', author: 'Mona' } });
  });

  it('asks for no page that is not there', async () => {
    const from = api(100);
    await ask(from);
    expect(from.calls.filter((call) => call.startsWith('page'))).toEqual(['page 1']);
  });

  it('ends where the API promises more jobs than it gives', async () => {
    const from: ActionsApi = {
      ...api(0),
      jobs: async (page) => ({ total: 9, jobs: page === 1 ? jobs(3) : [] }),
    };
    expect((await ask(from)).jobs).toHaveLength(3);
  });

  it('survives one bad moment of the API', async () => {
    let bad = 2;
    const from = api(3, () => {
      if (bad-- > 0) throw refusal(502);
    });
    expect(await ask(from)).toMatchObject({ jobs: jobs(3), startedAt: 7 });
  });

  it.each<[string, unknown, RegExp]>([
    [
      'it may not ask',
      refusal(403, 'Resource not accessible by integration'),
      /refuses \(403\); add permissions: actions: read/,
    ],
    ['it is told of no such run', refusal(404), /refuses \(404\); add permissions: actions: read/],
    ['its token is not known', refusal(401), /does not know github-token \(401\)/],
    [
      'the rate limit is used up',
      refusal(403, 'API rate limit exceeded for installation'),
      /rate limit is used up \(403\)$/,
    ],
    ['the API is down', refusal(500, 'Unicorn!'), /failed: Unicorn!$/],
    [
      'it answers something else',
      new TypeError('data.jobs.map is not a function'),
      /failed: data\.jobs\.map/,
    ],
  ])('is left without jobs, and says why, where %s', async (_, error, problem) => {
    const found = await ask(
      api(3, () => {
        throw error;
      }),
    );
    expect(found).toEqual({ problem: expect.stringMatching(problem) });
    expect(found.problem).toMatch(/^the failed job and step cannot be named: /);
  });

  it('keeps the pages that it could read, and says that there are more', async () => {
    const found = await ask(
      api(250, (call) => {
        if (call === 'page 2') throw refusal(403);
      }),
    );
    expect(found.jobs).toHaveLength(100);
    expect(found.problem).toMatch(/^only the first 100 jobs could be read/);
  });

  it('keeps the jobs where only the run itself is not told', async () => {
    const found = await ask(
      api(3, (call) => {
        if (call === 'attempt') throw refusal(403);
      }),
    );
    expect(found).toEqual({ jobs: jobs(3) });
  });

  it('does not wait for an API that hangs', async () => {
    const found = await ask({ attempt: never, jobs: (_, signal) => never(signal) }, undefined, 20);
    expect(found).toEqual({ problem: expect.stringMatching(/did not answer within 20 ms$/) });
  });

  it('ends when the step is cancelled', async () => {
    const cancel = new AbortController();
    const found = ask({ attempt: never, jobs: (_, signal) => never(signal) }, cancel.signal);
    cancel.abort(new Error('cancelled (SIGINT)'));
    expect(await found).toEqual({ problem: expect.stringContaining('cancelled (SIGINT)') });
  });
});
