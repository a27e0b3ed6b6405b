import { execFile } from 'node:child_process';
import { expect, it } from '@jest/globals';

const source = new URL('../src/define-action.ts', import.meta.url).href;

/** A phase of an action as a process of its own. */
function play(main: string): Promise<{ code: number; log: string }> {
  const script = `
    import { defineAction } from ${JSON.stringify(source)};
    await defineAction({ main: ${main} })('main', { name: 'boats', inputs: {}, outputs: [] });`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script];
  return new Promise((resolve) =>
    execFile(process.execPath, args, { env: {} }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), log: stdout + stderr }),
    ),
  );
}

it('a step whose answer can no longer come is red, and says so', async () => {
  const { code, log } = await play('() => new Promise(() => {})');
  expect(code).not.toBe(0);
  expect(log).toMatch(/^::error ::main waited for something that can no longer come/m);
});

it('a step that ends is green, and says nothing of it', async () => {
  expect(await play('async () => {}')).toEqual({ code: 0, log: '' });
});
