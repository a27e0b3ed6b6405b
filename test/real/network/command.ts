import { spawn } from 'node:child_process';

export interface CommandOptions {
  input?: string | Buffer;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export interface CommandAnswer {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; a non-zero exit is an answer. Throws when it cannot be started. */
export function ask(
  program: string,
  args: readonly string[],
  { input = '', env = process.env, cwd }: CommandOptions = {},
): Promise<CommandAnswer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        code: code ?? 255,
        stdout: Buffer.concat(out).toString(),
        stderr: `${Buffer.concat(err)}${signal ? `killed by ${signal}` : ''}`,
      }),
    );
  });
}

/** The same for a program that must succeed; answers its output without the last line's end. */
export async function run(
  program: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  const { code, stdout, stderr } = await ask(program, args, options);
  if (code !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${(stderr || stdout).trim()}`);
  return stdout.trimEnd();
}
