import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from '@jest/globals';

const host = '127.78.204.2';
const directory = fileURLToPath(new URL('../src/sample-app', import.meta.url));
const running: ChildProcess[] = [];

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }
});

/** The app as a container would run it; answers where it listens. */
async function start(
  env: Record<string, string> = {},
): Promise<{ url: string; env: Record<string, string>; child: ChildProcess }> {
  const port = await new Promise<number>((done) => {
    const probe = createServer().listen(0, host, () => {
      const address = probe.address() as { port: number };
      probe.close(() => done(address.port));
    });
  });
  const all = { HOST: host, PORT: String(port), VERSION: '7', ...env };
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: directory,
    env: all,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  await new Promise<void>((done, fail) => {
    child.stdout!.once('data', () => done());
    child.once('exit', (code) => fail(new Error(`exited with ${code}`)));
  });
  return { url: `http://${host}:${port}`, env: all, child };
}

async function check(env: Record<string, string>): Promise<number | null> {
  const child = spawn('perl', ['healthcheck.pl'], { cwd: directory, env, stdio: 'ignore' });
  running.push(child);
  return new Promise((done) => child.once('exit', done));
}

it('tells its version and health, and echoes', async () => {
  const { url, env } = await start();
  const page = await fetch(`${url}/`);
  expect(page.headers.get('x-version')).toBe('7');
  expect(await page.json()).toEqual({ app: 'sample', version: '7' });
  expect(await (await fetch(`${url}/health/`)).json()).toEqual({
    status: 'healthy',
    version: '7',
    database: true,
  });
  expect(await (await fetch(`${url}/echo`, { method: 'POST', body: 'as sent' })).text()).toBe('as sent');
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  expect(await check(env)).toBe(0);
});

it('is sick in the way asked for', async () => {
  const broken = await start({ SICK: '503' });
  const health = await fetch(`${broken.url}/health/`);
  expect(health.status).toBe(503);
  expect(await health.json()).toEqual({ status: 'unhealthy', version: '7', database: false });
  expect(await check(broken.env)).toBe(1);

  const alone = await start({ SICK: 'database' });
  expect(await (await fetch(`${alone.url}/health/`)).json()).toEqual({
    status: 'healthy',
    version: '7',
    database: false,
  });
  expect(await check(alone.env)).toBe(0);

  const hanging = await start({ SICK: 'hang' });
  await expect(fetch(`${hanging.url}/health/`, { signal: AbortSignal.timeout(200) })).rejects.toThrow(
    'timeout',
  );
  expect((await fetch(`${hanging.url}/`)).status).toBe(200);

  const failing = await start({ SICK: 'errors' });
  const seen = [];
  for (let i = 0; i < 4; i++) seen.push((await fetch(`${failing.url}/`)).status);
  expect(seen.sort()).toEqual([200, 200, 500, 500]);

  await expect(start({ SICK: 'crash' })).rejects.toThrow('exited with 3');
});

it('finishes what is in flight when it is told to stop, and takes nothing new', async () => {
  const { url, child } = await start();
  const slow = fetch(`${url}/slow?ms=400`);
  await new Promise((done) => setTimeout(done, 100));
  const exited = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await new Promise((done) => setTimeout(done, 50));
  await expect(fetch(`${url}/`)).rejects.toThrow();
  expect(await (await slow).json()).toEqual({ waited: 400, version: '7' });
  expect(await exited).toBe(0);
});
