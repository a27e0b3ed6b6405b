import { execFile } from 'node:child_process';
import { expect, it } from '@jest/globals';

const source = new URL('../src/define-action.ts', import.meta.url).href;
const errors = new URL('../src/error.ts', import.meta.url).href;

/** A phase of an action as a process of its own. */
function play(main: string): Promise<{ code: number; log: string }> {
  const script = `
    import { defineAction } from ${JSON.stringify(source)};
    import { InputError } from ${JSON.stringify(errors)};
    await defineAction({ main: ${main} })('main', { name: 'boats', inputs: {}, outputs: ['reason'] });`;
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

it.each([
  [
    'what was wrong',
    `throw new InputError(['host: is missing', 'port: "x" is no port'])`,
    'host: is missing; port: "x" is no port',
  ],
  ['what it said itself', `step.output('reason', 'own'); throw new Error('late')`, 'own'],
])('a step that fails gives as its reason %s', async (_what, main, reason) => {
  const { code, log } = await play(`async (step) => { ${main} }`);
  expect(code).not.toBe(0);
  expect([...log.matchAll(/^::set-output name=reason::(.*)$/gm)].map(([, said]) => said)).toEqual([reason]);
});
