import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';

const source = new URL('../../src', import.meta.url).href;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockkeeper-killed-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const containersIn = () =>
  readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HOME=${directory}`)
      );
    } catch {
      return false;
    }
  });

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 100 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  return holds();
};

const onLinux = process.platform === 'linux' ? it : it.skip;

onLinux('leaves no container and no file behind when the lab itself is killed', async () => {
  const home = join(directory, 'host');
  const script = `
    const { openHost, generateKeyPair } = await import('${source}/host/index.ts');
    const { openRegistry } = await import('${source}/registry.ts');
    const { sampleApp } = await import('${source}/sample-app/index.ts');
    const registry = await openRegistry();
    const host = await openHost({ name: 'killed', address: '127.77.0.99', sshPort: 0, registry, directory: ${JSON.stringify(home)},
      user: { name: 'deploy', publicKey: generateKeyPair().public }, sourceOf: (from) => from, allows: () => false });
    const app = sampleApp(registry);
    await app.install(host, { version: 'v1', digest: await app.push('v1') });
    console.log('ready');`;
  const lab = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => lab.stdout.once('data', resolve));
  expect(containersIn().length).toBeGreaterThan(0);
  lab.kill('SIGKILL');
  expect(await until(() => containersIn().length === 0 && !existsSync(home))).toBe(true);
});
