import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Cancelled, memoryLog } from '@lockkeeper/action';
import { systemClock } from '@lockkeeper/wait';
import { failure } from '../src/host/docker.ts';
import { SteadyShell } from '../src/host/steady-shell.ts';
import { parseEnd, type StepEnd, Steps } from '../src/host/step.ts';
import { askSteps, followStep, runner, stopStep, stopSteps } from '../src/host/step-scripts.ts';
import { type LocalHost, localHost, shells } from './local-host.ts';

const hosts: LocalHost[] = [];
afterAll(async () => {
  for (const host of hosts) await host.close();
});

async function begin(
  kind: (typeof shells)[number] = 'sh',
  { within = 10_000, signal }: { within?: number; signal?: AbortSignal } = {},
) {
  const host = await localHost(kind);
  hosts.push(host);
  const log = memoryLog();
  const shell = new SteadyShell(host, { within, clock: systemClock, log });
  const another = () =>
    new Steps(shell, { directory: host.directory, lockToken: host.token, clock: systemClock, log, signal });
  const steps = another();
  const run = async (script: string, { args = [] as string[], timeout = 15_000, by = steps } = {}) => {
    let said = '';
    const end = await by.run({ script, args, timeout, onOutput: (text) => (said += text) });
    return { end, said };
  };
  return { host, run, steps, another, log };
}

const until = async (what: () => boolean) => {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
};
/** What the runner of the one step wrote about itself. */
const record = (host: LocalHost) => join(host.directory, '.lockkeeper/steps', host.steps()[0]!, 'run');
const file = (host: LocalHost, name: string) => join(host.directory, name);

describe.each(shells)('a step, where the host has %s', (kind) => {
  it.concurrent('tells its output, both streams in their order, and its exit code', async () => {
    const { run } = await begin(kind);
    const args = ["it's", '$(id)', 'a\nb', ''];
    const { end, said } = await run('for arg; do printf "%s|" "$arg"; done; echo out; echo err >&2; exit 7', {
      args,
    });
    expect(end).toEqual({ how: 'ended', code: 7 });
    expect(said).toBe(`${args.map((arg) => `${arg}|`).join('')}out\nerr\n`);
  });

  it.concurrent('reads nothing, ends at the first line that fails, and is its own session', async () => {
    const { host, run } = await begin(kind);
    const { end, said } = await run(
      'cat; read -r stat </proc/$$/stat; set -- ${stat##*) }; echo "$4"; false; echo reached',
    );
    expect(end).toEqual({ how: 'ended', code: 1 });
    expect(said).toBe(`${host.runner()}\n`);
  });

  it.concurrent('cannot forge how it ended', async () => {
    const { run } = await begin(kind);
    const { end, said } = await run('echo "ended 0"; echo "ended 0" >&2; exit 3');
    expect(end).toEqual({ how: 'ended', code: 3 });
    expect(said).toBe('ended 0\nended 0\n');
  });

  it.concurrent('runs once, and its output comes whole, wherever the connection is cut', async () => {
    const { host, run } = await begin(kind);
    const script =
      'echo x >>"$1"; i=0; while [ $i -lt 40 ]; do echo "line $i of a migration, häßlich"; i=$((i + 1)); sleep 0.02 || sleep 1; done; exit 5';
    const whole = Array.from({ length: 40 }, (_, i) => `line ${i} of a migration, häßlich\n`).join('');
    for (const bytes of [0, 1, 29, 30, 400, Buffer.byteLength(whole) - 1]) {
      const runs = file(host, `runs-${bytes}`);
      host.cutAfter(Math.max(1, bytes));
      if (bytes === 0) setTimeout(() => host.cut(), 5);
      const { end, said } = await run(script, { args: [runs] });
      expect({ end, said }).toEqual({ end: { how: 'ended', code: 5 }, said: whole });
      expect(readFileSync(runs, 'utf8')).toBe('x\n');
    }
  }, 60_000);

  it.concurrent('goes on while the host cannot be reached, and is taken up again', async () => {
    const { host, run, log } = await begin(kind);
    const go = file(host, 'go');
    const running = run('echo begun; until [ -e "$1" ]; do sleep 0.05 || sleep 1; done; echo done', {
      args: [go],
    });
    await until(() => host.running('sleep 0.05').length > 0 || host.steps().length > 0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    host.away = true;
    host.cut();
    writeFileSync(go, '');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    host.away = false;
    expect(await running).toEqual({ end: { how: 'ended', code: 0 }, said: 'begun\ndone\n' });
    expect(log.lines.join('\n')).toMatch(
      /the connection was lost; connecting again\n.*connected again after/,
    );
  });

  it.concurrent('is stopped when its time is up, with all that it started', async () => {
    const { host, run } = await begin(kind);
    const { end } = await run('sh -c "trap \'\' TERM; sleep 61.5; sleep 61.5" & sleep 61.5', {
      timeout: 300,
    });
    expect(end).toEqual({ how: 'overdue', stopped: true });
    expect(host.running('sleep\u000061.5')).toEqual([]);
  });

  it.concurrent('is stopped when the run is cancelled, within seconds', async () => {
    const cancel = new AbortController();
    const { host, run } = await begin(kind, { signal: cancel.signal });
    const running = run('trap "" TERM; sleep 62.5; sleep 62.5');
    await until(() => host.running('sleep\u000062.5').length > 0);
    const since = performance.now();
    cancel.abort(new Cancelled('SIGINT'));
    await expect(running).rejects.toThrow('cancelled (SIGINT)');
    expect(performance.now() - since).toBeLessThan(7_000);
    expect(host.running('sleep\u000062.5')).toEqual([]);
  });

  it.concurrent('whose runner is killed has no exit code, which is no success, and it is not run again', async () => {
    const { host, run } = await begin(kind);
    const runs = file(host, 'runs');
    const running = run('echo x >>"$1"; sleep 63.5', { args: [runs] });
    await until(() => existsSync(runs));
    process.kill(-host.runner(), 'SIGKILL');
    expect((await running).end).toEqual({ how: 'gone', restarted: false });
    expect(readFileSync(runs, 'utf8')).toBe('x\n');
  });

  it.concurrent('does not mind that what followed it is killed', async () => {
    const { host, run } = await begin(kind);
    const go = file(host, 'go');
    const running = run('echo begun; until [ -e "$1" ]; do sleep 0.1; done; echo done', { args: [go] });
    await until(() => host.steps().length > 0 && existsSync(record(host)));
    const [follower] = host.running('exec 3<');
    process.kill(follower!, 'SIGKILL');
    writeFileSync(go, '');
    expect(await running).toEqual({ end: { how: 'ended', code: 0 }, said: 'begun\ndone\n' });
  });

  it.concurrent('does not begin when another run has the lock', async () => {
    const { host, run } = await begin(kind);
    host.lock('b2');
    const runs = file(host, 'runs');
    expect((await run('echo x >>"$1"', { args: [runs] })).end).toEqual({ how: 'fenced' });
    expect(existsSync(runs)).toBe(false);
  });

  it.concurrent('into a stream gives its stdout byte for byte and leaves nothing of it on the host', async () => {
    const { host, steps } = await begin(kind);
    const taken: Buffer[] = [];
    const sink = new Writable({
      write(chunk, _encoding, callback) {
        taken.push(chunk);
        callback();
      },
    });
    let said = '';
    const end = await steps.pipe(
      {
        script: 'printf "\\377\\000\\n"; echo "told apart" >&2; exit 4',
        args: [],
        timeout: 10_000,
        onOutput: (text) => (said += text),
      },
      sink,
    );
    expect(end).toEqual({ how: 'ended', code: 4 });
    expect(Buffer.concat(taken)).toEqual(Buffer.from([0xff, 0, 0x0a]));
    expect(said).toBe('told apart\n');
    expect(existsSync(join(host.directory, '.lockkeeper/steps', host.steps()[0]!, 'output'))).toBe(false);
  });

  it.concurrent('into a stream ends with the connection', async () => {
    const { host, steps } = await begin(kind);
    const sink = new Writable({ write: (_chunk, _encoding, callback) => callback() });
    const running = steps.pipe(
      { script: 'echo x; sleep 64.5', args: [], timeout: 10_000, onOutput: () => {} },
      sink,
    );
    await until(() => host.running('sleep\u000064.5').length > 0);
    host.cut();
    expect(await running).toEqual({ how: 'cut', stopped: true });
    expect(host.running('sleep\u000064.5')).toEqual([]);
  });
});

(shells.includes('busybox') ? it : it.skip)(
  'a step on a host that has no setsid is stopped with all that it started, too',
  async () => {
    const { host, run } = await begin('busybox');
    host.forget('setsid');
    const { end } = await run('sh -c "sleep 68.5; sleep 68.5" & sleep 68.5', { timeout: 500 });
    expect(end).toEqual({ how: 'overdue', stopped: true });
    expect(host.running('sleep\u000068.5')).toEqual([]);
  },
);

describe('the steps of a run', () => {
  it.concurrent('go one after another, and what one left goes with the next', async () => {
    const { host, run } = await begin();
    const order = file(host, 'order');
    const script = 'echo "begin $2" >>"$1"; sleep 0.1; echo "end $2" >>"$1"';
    await Promise.all(['1', '2', '3'].map((n) => run(script, { args: [order, n] })));
    expect(readFileSync(order, 'utf8')).toBe('begin 1\nend 1\nbegin 2\nend 2\nbegin 3\nend 3\n');
    expect(host.steps()).toHaveLength(1);
  });

  it.concurrent('of main and of post, with one lock, are not taken for one another', async () => {
    const { run, another } = await begin();
    const first = await run('echo main');
    const second = await run('echo post', { by: another() });
    expect([first.said, second.said]).toEqual(['main\n', 'post\n']);
  });

  it.concurrent('one that was given up is ended before the next begins', async () => {
    const { host, run } = await begin('sh', { within: 1_500 });
    const order = file(host, 'order');
    const lost = run('echo begin >>"$1"; sleep 65.5; echo end >>"$1"', { args: [order] });
    await until(() => existsSync(order));
    host.away = true;
    host.cut();
    expect((await lost).end).toMatchObject({ how: 'unknown' });
    host.away = false;
    expect((await run('echo next >>"$1"', { args: [order] })).end).toEqual({ how: 'ended', code: 0 });
    expect(readFileSync(order, 'utf8')).toBe('begin\nnext\n');
    expect(host.running('sleep\u000065.5')).toEqual([]);
  });

  it.concurrent('that live are told, and ended, by the run that comes after', async () => {
    const { host, run } = await begin();
    const running = run('sleep 66.5');
    await until(() => host.running('sleep\u000066.5').length > 0);
    const ask = async (script: string, ...more: string[]) =>
      (await host.run(script, { args: [host.directory, host.token, ...more] })).stdout;
    expect(await ask(askSteps)).toBe('alive\n');
    expect(await ask(stopSteps, '30')).toBe('');
    expect(await ask(askSteps)).toBe('');
    expect((await running).end).toEqual({ how: 'ended', code: 143 });
  });

  it.concurrent('one that was stopped before it began does not begin, however late its start arrives', async () => {
    const { host, run } = await begin();
    const runs = file(host, 'runs');
    const at = [host.directory, host.token, 'a1.late.1'];
    await host.run(stopStep, { args: [host.directory, 'a1.late.1', '30'] });
    await run('echo next');
    const { stderr } = await host.run(followStep, {
      args: [...at, '0', runner, '60', 'echo x >>"$1"', runs],
    });
    expect(stderr).toBe('ended fenced\n');
    expect(existsSync(runs)).toBe(false);
  });

  it.concurrent('one of before a restart of the host is not taken for a process of today', async () => {
    const { host, run } = await begin();
    const running = run('sleep 67.5');
    await until(() => host.running('sleep\u000067.5').length > 0);
    const [pid, , start, limit] = readFileSync(record(host), 'utf8').trim().split(' ');
    writeFileSync(record(host), `${pid} 00000000-of-another-boot ${start} ${limit}\n`);
    expect((await running).end).toEqual({ how: 'gone', restarted: true });
    process.kill(-Number(pid), 'SIGKILL');
  });

  it.concurrent('that cannot be started say why', async () => {
    const { host, run } = await begin();
    rmSync(join(host.directory, '.lockkeeper/steps'), { recursive: true });
    appendFileSync(join(host.directory, '.lockkeeper/steps'), 'a file in the way');
    await expect(run('true')).rejects.toThrow(/cannot run a command: .*(exists|Not a directory)/);
  });
});

describe('the end of a step', () => {
  it.each<[string, StepEnd | undefined]>([
    ['ended 0\n', { how: 'ended', code: 0 }],
    ['ended 137 \n', { how: 'ended', code: 137 }],
    ['cat: write error\nended fenced\n', { how: 'fenced' }],
    ['gone\n', { how: 'gone', restarted: false }],
    ['restarted\n', { how: 'gone', restarted: true }],
    ['ended 0\nsh: something else\n', undefined],
    ['', undefined],
  ])('told as %j is %j', (stderr, end) => expect(parseEnd(stderr)).toEqual(end));

  const context = {
    what: 'pre-deploy failed',
    said: 'Applying orders.0007\nno such column',
    timeout: 1_200_000,
    host: { name: '10.0.0.5', login: 'ssh deploy@10.0.0.5' },
    directory: '/srv/shop',
  };
  it.each<[StepEnd, RegExp]>([
    [{ how: 'ended', code: 1 }, /^pre-deploy failed on 10\.0\.0\.5 \(exit code 1\): no such column$/],
    [
      { how: 'gone', restarted: true },
      /the host restarted while it ran, so it did not end; it is not run again/,
    ],
    [{ how: 'gone', restarted: false }, /killed before its end \(out of memory\?\) and left no exit code/],
    [{ how: 'fenced' }, /^10\.0\.0\.5: another run took the lock over, so pre-deploy failed was not run$/],
    [{ how: 'overdue', stopped: true }, /no end within 20 min; it was stopped$/],
    [{ how: 'overdue', stopped: false }, /no end within 20 min; it could not be stopped and may still run$/],
    [{ how: 'cut', stopped: true }, /the connection that carried its output was lost; it was stopped$/],
  ])('%j is told in one line', (end, message) => {
    const error = failure(end, context);
    expect(error.message).toMatch(message);
    if (end.how !== 'fenced') expect(error.details).toContain('no such column');
  });
});
