import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { nodePath } from '../src/node-path.ts';
import { LineSplitter, runProcess } from '../src/process.ts';
import { directory, isAlive, removeDirectories } from './fake-action.ts';

afterAll(removeDirectories);

/** Runs a script under Node 24 and answers its lines with the end. */
async function run(source: string, spec: Partial<Parameters<typeof runProcess>[0]> = {}) {
  const cwd = await directory();
  const file = join(cwd, 'script.mjs');
  await writeFile(file, source);
  const lines: string[] = [];
  let pid = 0;
  const end = await runProcess({
    file: nodePath,
    args: [file],
    cwd,
    env: {},
    onStart: (started) => {
      pid = started;
    },
    onLine: (text, stream) => lines.push(`${stream === 'stderr' ? '2' : '1'} ${text}`),
    ...spec,
  });
  return { ...end, lines, pid, cwd };
}

describe('the line splitter', () => {
  it.each([
    [['a\nb\r\nc\rd'], ['a', 'b', 'c', 'd']],
    [
      ['a\r', '\nb\n'],
      ['a', 'b'],
    ],
    [
      ['a\r', 'b'],
      ['a', 'b'],
    ],
    [['a\r'], ['a']],
    [['\n\n'], ['', '']],
    [['a', 'b', '\n'], ['ab']],
    [[''], []],
    [['a\n\r\nb'], ['a', '', 'b']],
  ])('makes of %j the lines %j', (chunks, lines) => {
    const splitter = new LineSplitter();
    expect([...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()]).toEqual(lines);
  });
});

describe('a process', () => {
  it('has exactly the environment given, a closed stdin, no terminal and the given directory', async () => {
    const { lines, cwd, exitCode } = await run(
      `import { readFileSync } from 'node:fs';
       console.log(JSON.stringify([process.env, readFileSync(0, 'utf8'), process.stdout.isTTY ?? false, process.cwd(), process.execArgv]));`,
      { env: { A: 'b' } },
    );
    expect(exitCode).toBe(0);
    expect(JSON.parse(lines[0]!.slice(2))).toEqual([{ A: 'b' }, '', false, cwd, []]);
  });

  /** On a busy machine the child can be held up between its two writes; then there was nothing to choose between. */
  async function inOneLook(attempt: () => Promise<{ lines: string[] }>, wanted: string[]) {
    let { lines } = await attempt();
    for (let i = 0; i < 20 && lines.join() !== wanted.join(); i++) ({ lines } = await attempt());
    expect(lines).toEqual(wanted);
  }

  it('shows stderr before stdout when both have something', () =>
    inOneLook(
      () => run(`import { writeSync } from 'node:fs'; writeSync(1, 'first\\n'); writeSync(2, 'second\\n');`),
      ['2 second', '1 first'],
    ));

  it('shows both streams in an order by chance, each in its own order', () =>
    inOneLook(() => {
      const bits = [0.9, 0.1, 0.1, 0.9];
      return run(`import { writeSync } from 'node:fs'; writeSync(1, 'a\\nb\\n'); writeSync(2, 'c\\nd\\n');`, {
        drain: 'random',
        random: () => bits.shift() ?? 0.9,
      });
    }, ['2 c', '1 a', '1 b', '2 d']));

  it('keeps characters whole that come in pieces', async () => {
    const { lines } = await run(
      `import { writeSync } from 'node:fs'; import { setTimeout as sleep } from 'node:timers/promises';
       const bytes = Buffer.from('wäit\\n'); writeSync(1, bytes.subarray(0, 2)); await sleep(30); writeSync(1, bytes.subarray(2));`,
    );
    expect(lines).toEqual(['1 wäit']);
  });

  it('tells its exit code, or the signal that ended it', async () => {
    expect(await run('process.exitCode = 3')).toMatchObject({ exitCode: 3, cancelled: false });
    const killed = await run(`process.kill(process.pid, 'SIGKILL'); setTimeout(() => {}, 5000)`);
    expect(killed).toMatchObject({ signal: 'SIGKILL', cancelled: false });
    expect(killed.exitCode).toBeUndefined();
  });

  it('cannot start with a variable of 128 KiB', async () => {
    const longest = await run('', { env: { A: 'x'.repeat(131_060) } });
    expect(longest.exitCode).toBe(0);
    await expect(run('', { env: { A: 'x'.repeat(131_072) } })).rejects.toThrow('Argument list too long');
  });

  it('cannot start in a directory that is gone', async () => {
    await expect(run('', { cwd: '/nonexistent/workspace' })).rejects.toThrow('No such file or directory');
  });

  it('loses what it had queued when it calls process.exit after writing', async () => {
    const { lines, exitCode } = await run(
      `process.stdout.write(('x'.repeat(99) + '\\n').repeat(100_000)); console.log('::error::lost'); process.exit(1);`,
    );
    expect(exitCode).toBe(1);
    expect(lines.length).toBeLessThan(100_000);
    expect(lines).not.toContain('1 ::error::lost');
  });

  it('delays the end while a child holds its output, and leaves the child alone', async () => {
    const begun = performance.now();
    const { lines, heldPipes, exitCode } = await run(
      `import { spawn } from 'node:child_process';
       const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: 'inherit' });
       console.log(child.pid); child.unref();`,
      { pipeGraceMs: 300 },
    );
    const pid = Number(lines[0]!.slice(2));
    try {
      expect({ heldPipes, exitCode }).toEqual({ heldPipes: true, exitCode: 0 });
      expect(performance.now() - begun).toBeGreaterThan(300);
      expect(isAlive(pid)).toBe(true);
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  });
});

describe('cancelling a process', () => {
  it('signals it alone, not its children', async () => {
    const stop = new AbortController();
    let child = 0;
    const end = await run(
      `import { spawn } from 'node:child_process';
       const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: 'ignore' });
       process.on('SIGINT', () => process.exit(0));
       console.log(child.pid);`,
      {
        signal: stop.signal,
        onLine: (text) => {
          child = Number(text);
          stop.abort();
        },
      },
    );
    try {
      expect(end).toMatchObject({ cancelled: true, exitCode: 0 });
      expect(isAlive(child)).toBe(true);
    } finally {
      process.kill(child, 'SIGKILL');
    }
  });

  it('climbs from SIGINT to SIGTERM to SIGKILL', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const end = await run(
      `for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => console.log(name));
       console.log('ready'); setInterval(() => {}, 1000);`,
      {
        signal: stop.signal,
        ladder: { interruptMs: 300, terminateMs: 200 },
        onLine: (text) => {
          seen.push(text);
          if (text === 'ready') stop.abort();
        },
      },
    );
    expect(seen).toEqual(['ready', 'SIGINT', 'SIGTERM']);
    expect(end).toMatchObject({ signal: 'SIGKILL', cancelled: true });
  });
});
