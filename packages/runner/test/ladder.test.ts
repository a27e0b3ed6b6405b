import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runJob } from '../src/job.ts';
import type { JobEvent, JobResult } from '../src/job-result.ts';
import { actionStep, fakeAction, jobSpec, removeDirectories, settings } from './fake-action.ts';

// The runner's own delays, in real time: three jobs side by side.

interface Timed {
  result: JobResult;
  /** Seconds from the line `ready` to each later line, and to the end of main. */
  at: Record<string, number>;
}

async function timed(main: string, cancels: boolean): Promise<Timed> {
  const path = await fakeAction({
    main,
    post: `print('post ' + env.INPUT_STATUS)`,
    ...(cancels ? { postIf: 'cancelled()' } : {}),
    inputs: '  status: {default: "${{ job.status }}"}',
  });
  const { ladder: _ladder, pipeGraceMs: _grace, ...real } = await settings();
  const cancel = new AbortController();
  const at: Record<string, number> = {};
  let ready = 0;
  const onEvent = (event: JobEvent) => {
    const now = performance.now();
    if (event.kind === 'line' && event.phase === 'main' && event.text === 'ready') {
      ready = now;
      if (cancels) cancel.abort();
    } else if (event.kind === 'line' && event.phase === 'main') at[event.text] = (now - ready) / 1000;
    if (event.kind === 'step-finished' && event.phase === 'main') at.end = (now - ready) / 1000;
  };
  const result = await runJob(jobSpec([actionStep(path, { id: 'a' })]), real, {
    cancel: cancel.signal,
    onEvent,
  });
  return { result, at };
}

let polite: Timed;
let stubborn: Timed;
let holding: Timed;

beforeAll(async () => {
  [polite, stubborn, holding] = await Promise.all([
    timed(
      `process.on('SIGINT', async () => {
         await sleep(3000);
         append('OUTPUT', 'undone=yes\\n');
         append('STATE', 'left=nothing\\n');
         process.exit(0);
       });
       print('ready'); setInterval(() => {}, 1000);`,
      true,
    ),
    timed(
      `process.on('SIGINT', () => print('SIGINT')); process.on('SIGTERM', () => print('SIGTERM'));
       print('ready'); setInterval(() => {}, 1000);`,
      true,
    ),
    timed(
      `spawn(process.execPath, ['-e', 'setTimeout(() => {}, 30000)'], { stdio: 'inherit', detached: true }).unref();
       print('ready');`,
      false,
    ),
  ]);
}, 30_000);
afterAll(removeDirectories);

describe('a cancelled job', () => {
  it('is cancelled although its handler exits 0 after 3 s; its files are read and its post knows', () => {
    const [main, post] = polite.result.steps;
    expect(polite.at.end).toBeGreaterThan(2.9);
    expect(polite.at.end).toBeLessThan(4);
    expect(main).toMatchObject({
      outcome: 'cancelled',
      exitCode: 0,
      outputs: { undone: 'yes' },
      annotations: [{ message: 'The operation was canceled.' }],
    });
    expect(post).toMatchObject({ phase: 'post', outcome: 'success', state: { left: 'nothing' } });
    expect(post!.log).toContain('post cancelled');
    expect(polite.result.conclusion).toBe('cancelled');
  });

  it('sends SIGTERM after 7.5 s and SIGKILL after 10 s to an action that ignores it', () => {
    expect(stubborn.at.SIGINT).toBeLessThan(0.3);
    expect(Math.abs(stubborn.at.SIGTERM! - 7.5)).toBeLessThan(0.3);
    expect(Math.abs(stubborn.at.end! - 10)).toBeLessThan(0.4);
    expect(stubborn.result.steps[0]).toMatchObject({ outcome: 'cancelled', signal: 'SIGKILL' });
  });
});

describe('a child that keeps stdout of a finished action', () => {
  it('delays the end of the step by 5 s, lives on, and is reported and killed at the end of the job', () => {
    expect(Math.abs(holding.at.end! - 5)).toBeLessThan(0.4);
    expect(holding.result.conclusion).toBe('success');
    expect(holding.result.survivors).toEqual([
      { pid: expect.any(Number), command: expect.stringContaining('30000'), step: 'fake', found: 'pipes' },
    ]);
    expect(holding.result.log.join('\n')).toContain('Terminate orphan process: pid (');
  });
});
