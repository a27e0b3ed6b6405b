import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { root } from '../tools/manifest.ts';

/** `pnpm rehearse`, when it has ended. */
export interface Rehearsed {
  code: number | null;
  output: string;
}

/** Runs `pnpm rehearse` as a newcomer does; `env` is laid over this process's own. */
export function rehearse(args: readonly string[], env: Record<string, string> = {}): Promise<Rehearsed> {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [join(root, 'packages/rehearsal/src/main.ts'), '--plain', ...args],
      { cwd: root, env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        output += data;
      });
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** What it ends with. */
export const report = ({ output }: Rehearsed) => output.slice(output.indexOf('\nJobs of '));

/** A workflow that others copy, and what the report of its rehearsal must tell besides the guarantees. */
export interface Example {
  workflow: string;
  /** What goes wrong in it. */
  fault?: string;
  /** Inputs with which it is started by hand, as NAME=VALUE. */
  inputs?: string[];
  /** Variables of the repository that differ from the lab's, as NAME=VALUE. */
  vars?: string[];
  tells: RegExp[];
}

/** Declares a test for each: rehearsed as it is committed, it holds every guarantee. */
export function holdEveryGuarantee(examples: readonly Example[]): void {
  const titled = examples.map((one) => ({
    ...one,
    title: [
      one.workflow,
      ...(one.fault ? ['with', one.fault] : []),
      ...(one.inputs ?? []),
      ...(one.vars ?? []),
    ].join(' '),
  }));
  it.each(titled)(
    '$title holds every guarantee',
    async ({ workflow, fault, inputs = [], vars = [], tells }) => {
      const run = await rehearse([
        `workflows-examples/${workflow}`,
        ...(fault ? ['--fail', fault] : []),
        ...inputs.flatMap((input) => ['--input', input]),
        ...vars.flatMap((variable) => ['--var', variable]),
      ]);
      expect(report(run)).toContain('Every guarantee held');
      expect(run.code).toBe(0);
      for (const words of tells) expect(report(run)).toMatch(words);
    },
    300_000,
  );
}
