import { createContext, Script } from 'node:vm';

/** Milliseconds. The most that is kept of a body takes an expression one, unless it backtracks without end. */
const patience = 500;
const scope: { pattern: RegExp; text: string } = { pattern: /./, text: '' };
const context = createContext(scope);
const search = new Script('pattern.exec(text)');

/** An expression that would hold up everything else for as long as it likes. */
export class Runaway extends Error {
  override readonly name = 'Runaway';
}

/** What the expression finds first. Throws Runaway after half a second: nothing else can be done meanwhile. */
export function find(pattern: RegExp, text: string): RegExpExecArray | null {
  Object.assign(scope, { pattern, text });
  try {
    return search.runInContext(context, { timeout: patience });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Runaway(
      `${pattern} was given up after ${patience} ms: it tries ever more ways to match what was answered; write it without a repetition in a repetition`,
    );
  }
}
