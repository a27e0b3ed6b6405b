import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A way in which hosts run scripts: Debian's dash with GNU's tools, or busybox with its own. */
export interface HostKind {
  name: 'dash' | 'busybox';
  available: boolean;
  run(
    script: string,
    args: readonly string[],
    stdin?: string | Buffer,
  ): Promise<{ code: number; stdout: string; stderr: string }>;
}

const has = (command: string) => {
  try {
    execFileSync('/bin/sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Both kinds; `close` removes what they need. */
export function hostKinds(): { kinds: HostKind[]; close(): void } {
  const applets = mkdtempSync(join(tmpdir(), 'busybox-'));
  const busybox = has('busybox');
  mkdirSync(join(applets, 'bin'));
  if (busybox) execFileSync('busybox', ['--install', '-s', join(applets, 'bin')]);
  const kind = (name: HostKind['name'], available: boolean, path: string): HostKind => ({
    name,
    available,
    run: (script, args, stdin = '') =>
      new Promise((resolve, reject) => {
        const child = spawn(
          name === 'dash' ? '/bin/sh' : join(applets, 'bin/sh'),
          ['-euc', script, 'lockkeeper', ...args],
          {
            env: { PATH: path, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
          },
        );
        const output = { stdout: '', stderr: '' };
        child.stdout.on('data', (data) => (output.stdout += data));
        child.stderr.on('data', (data) => (output.stderr += data));
        child.stdin.on('error', () => {});
        child.on('error', reject);
        child.on('close', (code) => resolve({ code: code ?? 255, ...output }));
        child.stdin.end(stdin);
      }),
  });
  return {
    kinds: [
      kind('dash', true, process.env.PATH ?? ''),
      kind('busybox', busybox, `${applets}/bin:${process.env.PATH}`),
    ],
    close: () => rmSync(applets, { recursive: true }),
  };
}
