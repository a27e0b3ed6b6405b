import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ActionResult, ActionRun } from '@lockkeeper/runner';
import { openShop, type Shop } from './shop.ts';

const line = 'insert into boats values (1);\n';
const megabyte = 2 ** 20;

/** The SHA-256 of so many bytes of the line, again and again. */
function expected(bytes: number): string {
  const hash = createHash('sha256');
  const block = Buffer.from(line.repeat(40_000));
  for (let left = bytes; left > 0; left -= block.length)
    hash.update(block.subarray(0, Math.min(left, block.length)));
  return hash.digest('hex');
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

describe('run on a real host', () => {
  let shop: Shop;
  let workspace: string;
  const at = (name: string) => join(workspace, name);
  const run = (values: Record<string, string>, more: Partial<ActionRun> = {}): Promise<ActionResult> =>
    shop.deploy(values, { settings: { workspace }, ...more });
  /** The most memory that the action's process ever had, in megabytes. */
  const peakOf = async (values: Record<string, string>) => {
    let peak = 0;
    let watch: NodeJS.Timeout | undefined;
    const result = await run(values, {
      onEvent: (event) => {
        if (event.kind !== 'process-started' || watch) return;
        watch = setInterval(() => {
          try {
            const status = readFileSync(`/proc/${event.pid}/status`, 'utf8');
            peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
          } catch {
            // It has ended.
          }
        }, 50);
      },
    });
    clearInterval(watch);
    return { result, peak };
  };
  const dump = (bytes: number) =>
    `docker compose exec -T postgres sh -c 'yes "${line.trim()}" | head -c ${bytes}'`;

  beforeAll(async () => {
    workspace = await mkdtemp(join(tmpdir(), 'workspace-'));
    shop = await openShop();
    await shop.start();
  });
  afterAll(async () => {
    await shop?.close();
    await rm(workspace, { recursive: true, force: true });
  });

  it('takes a real dump of the database before anything was deployed, and changes no container', async () => {
    const before = await shop.containers();
    const { main } = await run({
      run: 'docker compose exec -T postgres pg_dump shop',
      'run-output': 'shop.sql',
    });
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'ran', reason: '', release: '' });
    expect(main?.annotations.at(-1)?.message).toMatch(
      /^Ran on \S+ with the files as they lie there in .* to \S+\/shop\.sql\.$/,
    );
    expect(readFileSync(at('shop.sql'), 'utf8')).toContain('PostgreSQL database dump complete');
    expect(await shop.containers()).toEqual(before);
  });

  it('writes a gigabyte to a file in the memory that sixteen megabytes take', async () => {
    const small = await peakOf({ run: dump(16 * megabyte), 'run-output': 'small.sql' });
    const large = await peakOf({ run: dump(1024 * megabyte), 'run-output': 'large.sql' });
    console.info(
      `peak memory of the action: ${Math.round(small.peak)} MB for 16 MB of output, ${Math.round(large.peak)} MB for 1 GB in ${Math.round(large.result.main!.ms / 1000)} s`,
    );
    expect(large.result.main?.outputs.result).toBe('ran');
    expect((await stat(at('large.sql'))).size).toBe(1024 * megabyte);
    expect(await digest(at('large.sql'))).toBe(expected(1024 * megabyte));
    expect(small.peak).toBeGreaterThan(20);
    // What garbage collection leaves lying for a while differs from run to run; an eighth of what went through is far off.
    expect(large.peak - small.peak).toBeLessThan(128);
  }, 300_000);

  it('that is killed leaves no half of a file, no command and no lock', async () => {
    const { main, post } = await run(
      { run: 'echo begun >&2\ncat /dev/zero', 'run-output': 'killed.sql' },
      { signalAt: { line: /begun$/, signal: 'SIGKILL' } },
    );
    expect(main?.signal).toBe('SIGKILL');
    expect(post?.annotations.map(({ message }) => message).join()).toContain('the run was interrupted');
    expect((await readdir(workspace)).filter((name) => name.startsWith('killed'))).toEqual([]);
    expect(shop.host.processes().filter(({ command }) => command.includes('/dev/zero'))).toEqual([]);
    expect(await shop.host.run('ls "$1/.lockkeeper"', { args: [shop.directory] })).not.toMatch(
      /^(lock|run\.|beat\.)/m,
    );
  });

  it.each(['reset', 'silence'] as const)(
    'whose connection meets a %s fails, and leaves no half of a file and no command',
    async (how) => {
      const { main } = await run(
        { run: 'echo begun >&2\ncat /dev/zero', 'run-output': 'cut.sql' },
        { onEvent: (event) => event.kind === 'line' && /begun$/.test(event.text) && shop.host.cut(how) },
      );
      expect(main?.outputs).toMatchObject({
        result: 'failed',
        reason: expect.stringMatching(/the connection that carried its output was lost; it was stopped$/),
      });
      expect((await readdir(workspace)).filter((name) => name.startsWith('cut'))).toEqual([]);
      expect(shop.host.processes().filter(({ command }) => command.includes('/dev/zero'))).toEqual([]);
    },
    180_000,
  );
});
