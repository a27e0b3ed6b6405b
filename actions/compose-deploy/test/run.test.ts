import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cancelled } from '@lockkeeper/action';
import { openStack, type Stack } from './stack.ts';

/** One host where v1 serves; each of these leaves it so. */
describe('run', () => {
  let stack: Stack;
  let serving: string;
  let before: Record<string, string>;
  const at = (name: string) => join(stack.places.workspace, name);
  const left = () => readdirSync(join(stack.directory, '.lockkeeper')).sort();
  const until = async (what: () => boolean) => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  /** Processes that a run started on the host, known by a word in their arguments. */
  const running = (word: string) =>
    readdirSync('/proc').filter((entry) => {
      try {
        return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(word);
      } catch {
        return false;
      }
    });

  beforeAll(async () => {
    stack = await openStack();
    await stack.docker('compose', 'up', '-d');
    const first = await stack.deploy({ run: 'docker compose config --images | sort' });
    // Before anything was deployed: the files as they lie, and nothing is recorded.
    expect(first.log.join('\n')).toContain('web:v1');
    expect(first).toMatchObject({ result: 'ran', release: '' });
    expect(first.message).toMatch(/^Ran on \S+ with the files as they lie there in /);
    expect(readdirSync(join(stack.directory, '.lockkeeper/releases'))).toEqual([]);
    await stack.push('v2');
    serving = (await stack.deploy({ environment: 'TAG=v2' })).release;
    before = await stack.containers();
  }, 60_000);
  afterAll(async () => {
    expect(await stack.containers()).toEqual(before);
    expect(await stack.version()).toBe('v2');
    await stack.close();
  });

  it('means the release that serves, shows what it prints, and leaves nothing behind', async () => {
    const report = await stack.deploy({ run: 'docker compose config --images | sort\necho done >&2\npwd' });
    expect(report).toMatchObject({ result: 'ran', release: serving, reason: '' });
    const log = report.log.join('\n');
    expect(log).toContain('web:v2');
    expect(log).toContain('done');
    expect(log).toContain(stack.directory);
    expect(left()).toEqual(['.gitignore', 'audit.log', 'bad', 'releases', 'serving', 'steps']);
    expect(readdirSync(join(stack.directory, '.lockkeeper/steps'))).toEqual([]);
  });

  it('gives its stdout to a file, byte for byte, for its user alone, and shows its stderr', async () => {
    const report = await stack.deploy({
      run: 'printf "\\377\\000dump\\r\\n"\necho "1 table" >&2',
      'run-output': 'out/backup.sql',
    });
    expect(report.message).toMatch(/^Ran on \S+ with release \S+ in .*: 8 bytes to .*\/out\/backup\.sql\.$/);
    expect(readFileSync(at('out/backup.sql'))).toEqual(Buffer.from('\xff\0dump\r\n', 'latin1'));
    expect(statSync(at('out/backup.sql')).mode & 0o777).toBe(0o600);
    expect(readdirSync(at('out'))).toEqual(['backup.sql']);
    expect(report.log.join('\n')).toContain('1 table');
    expect(report.log.join('\n')).not.toContain('dump');
  });

  it.each([
    ['fails', 'echo half a dump\nexit 3', /run failed on \S+ \(exit code 3\)/],
    ['prints nothing', 'echo nothing to see >&2', /printed nothing/],
  ])('that %s is a failure, and what the file held before stays', async (_what, run, reason) => {
    writeFileSync(at('kept.sql'), 'of yesterday');
    const report = await stack.deploy({ run, 'run-output': 'kept.sql' });
    expect(report.result).toBe('failed');
    expect(report.reason).toMatch(reason);
    expect(readFileSync(at('kept.sql'), 'utf8')).toBe('of yesterday');
    expect(existsSync(at('kept.sql.part'))).toBe(false);
  });

  it('writes to no place that a symbolic link leads to, and runs nothing then', async () => {
    symlinkSync('/tmp', at('elsewhere'));
    const report = await stack.deploy({
      run: 'touch ran; echo x',
      'run-output': 'elsewhere/deep/backup.sql',
    });
    expect(report.reason).toContain('leads to /tmp, out of the workspace');
    expect(existsSync(join(stack.directory, 'ran'))).toBe(false);
  });

  it('outlives a connection that is cut, and the lines run once', async () => {
    const run = 'echo x >>runs\nfor n in 1 2 3 4 5 6; do echo "line $n"; sleep 0.3; done';
    const report = stack.deploy({ run });
    await until(() => existsSync(join(stack.directory, 'runs')));
    await stack.away(600);
    const { result, log } = await report;
    expect(result).toBe('ran');
    expect(log.filter((line) => /\] line \d/.test(line)).map((line) => line.slice(-1))).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
    ]);
    expect(readFileSync(join(stack.directory, 'runs'), 'utf8')).toBe('x\n');
  }, 30_000);

  it('into a file fails when the connection is cut, ends the command, and leaves no half of a file', async () => {
    const report = stack.deploy({ run: 'echo begin\nsleep 71.5', 'run-output': 'cut.sql' });
    await until(() => running('sleep\u000071.5').length > 0);
    stack.host.dropConnections('reset');
    expect((await report).reason).toMatch(/the connection that carried its output was lost; it was stopped$/);
    expect(readdirSync(stack.places.workspace).filter((name) => name.startsWith('cut'))).toEqual([]);
    expect(running('sleep\u000071.5')).toEqual([]);
    expect(left()).not.toContain('lock');
  }, 30_000);

  it.each(['', 'cancelled.sql'])(
    'that is cancelled (run-output: %j) ends its command at once, and post gives the lock back',
    async (output) => {
      const cancel = new AbortController();
      const report = stack.deploy({ run: 'echo begin\nsleep 72.5', 'run-output': output }, cancel.signal);
      await until(() => running('sleep\u000072.5').length > 0);
      cancel.abort(new Cancelled('SIGTERM'));
      await expect(report).rejects.toThrow('cancelled (SIGTERM)');
      expect(running('sleep\u000072.5')).toEqual([]);
      expect(existsSync(at('cancelled.sql.part'))).toBe(false);
      expect((await stack.recover()).message).toMatch(
        /: the run was interrupted; what it had done stays\. Serving now: /,
      );
      expect(left()).toEqual(['.gitignore', 'audit.log', 'bad', 'releases', 'serving', 'steps']);
    },
    30_000,
  );
});

it('a run where a deploy had been interrupted goes back first', async () => {
  const stack = await openStack();
  try {
    const serving = (await stack.deploy()).release;
    await stack.push('v2-503', '503');
    const cancel = new AbortController();
    const vanished = stack.deploy({ environment: 'TAG=v2-503', 'health-timeout': '60s' }, cancel.signal);
    while ((await stack.version()) !== 'v2-503') await new Promise((resolve) => setTimeout(resolve, 50));
    cancel.abort(new Cancelled('the machine is gone'));
    await expect(vanished).rejects.toThrow();
    const state = join(stack.directory, '.lockkeeper');
    for (const name of readdirSync(state))
      if (name.startsWith('beat.')) writeFileSync(join(state, name), '1000000000');

    const report = await stack.deploy({ run: 'docker compose config --images' });
    expect(report).toMatchObject({ result: 'ran', release: serving });
    expect(report.message).toContain(
      `An earlier deploy had been interrupted. Rolled back to ${serving}, verified.`,
    );
    expect(await stack.version()).toBe('v1');
  } finally {
    await stack.close();
  }
}, 60_000);
