import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Rehearsed, rehearse as rehearseWith, report } from './rehearsed.ts';

// The whole of it, as a newcomer runs it: the workflow file, the committed bundles, SSH and HTTP.

const mark = `rehearsal-test-${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), 'lockkeeper-rehearsal-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rehearse = (...args: string[]) => rehearseWith(args, { LOCKKEEPER_TEST_MARK: mark });

describe('the reference workflow', () => {
  let good: Rehearsed;
  let sick: Rehearsed;
  let killed: Rehearsed;
  beforeAll(async () => {
    [good, sick, killed] = await Promise.all([
      rehearse(),
      rehearse('--fail', 'sick-release'),
      rehearse('--fail', 'kill'),
    ]);
  }, 200_000);

  it('delivers the new release to every host, and loses no request', () => {
    expect(report(good)).toMatch(/✓ Nothing dropped: \d{3,} requests, 0 failed/);
    expect(report(good)).toMatch(/✓ Nothing left broken: 2 of 2 targets healthy, all serve [0-9a-f]{7}/);
    expect(report(good)).toMatch(/✅ Deploy succeeded → production/);
    expect(good.code).toBe(0);
  });

  it('opens the SSH port between ingress and its post alone', () => {
    const opened = good.output.indexOf('(created)');
    const closed = good.output.indexOf('): closed');
    expect([opened > 0, closed > good.output.indexOf('Deployed ')]).toEqual([true, true]);
    expect(report(good)).toContain('✓ Nothing left open: no rule, no port');
  });

  it('names every part that was stood in for', () => {
    expect(report(good)).toContain('test › service mysql');
    expect(report(good)).toContain('build-and-push › Run docker/build-push-action');
    expect(report(good)).toMatch(
      /Hosts: a small built-in engine .* no proof of how Docker or Compose itself behaves/,
    );
  });

  it('comes back from a sick release: red, the old one everywhere, and Slack says why', () => {
    expect(report(sick)).toMatch(/✗ deploy +failure/);
    expect(report(sick)).toMatch(/✓ Nothing dropped: \d{3,} requests, 0 failed/);
    expect(report(sick)).toContain('✓ Nothing left broken: 2 of 2 targets healthy, all serve v1');
    expect(report(sick)).toMatch(/▌ .*web is unhealthy on 127\.77\.0\.\d+ \(i-[0-9a-f]+\): .*503/);
    expect(sick.output).toMatch(
      /Next: ssh -p \d+ '?deploy@127\.77\.0\.\d+'? 'cd .+ && docker compose -p \w+ logs/,
    );
    expect(sick.code).toBe(0);
  });

  it('leaves nothing open and nobody out when the roll is killed in the middle', () => {
    expect(killed.output).toContain('the fault strikes: kill');
    expect(report(killed)).toContain('✓ Nothing left open: no rule, no port');
    expect(report(killed)).toContain('✓ Nothing left broken: 2 of 2 targets healthy, all serve v1');
    expect(report(killed)).toMatch(/✓ Nothing dropped: \d{3,} requests, 0 failed/);
    expect(report(killed)).toMatch(
      /✓ Nobody guesses: The roll was interrupted while i-[0-9a-f]+ was draining\. It is back in rotation; 2 of 2 targets/,
    );
    expect(killed.code).toBe(0);
  });

  it('leaves no process behind', () => {
    if (process.platform !== 'linux') return;
    const left = readdirSync('/proc').filter((pid) => {
      try {
        return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
      } catch {
        return false;
      }
    });
    expect(left).toEqual([]);
  });
});

describe("a user's mistake is one line, and exit status 2", () => {
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const workflow = (steps: string) =>
    `on: push\njobs:\n  deploy:\n    runs-on: ubuntu-24.04\n    steps:\n${steps}`;

  it.each<[string, () => string[], RegExp]>([
    ['a file that is not there', () => ['none.yml'], /^none\.yml:1:1: there is no such file; .+$/],
    ['no YAML', () => [file('broken.yml', 'on: [push\njobs: {')], /broken\.yml:\d+:\d+: .+; .+$/],
    [
      'an unknown action',
      () => [file('unknown.yml', workflow('      - uses: someone/something@v1\n'))],
      /unknown\.yml:6:\d+: .*someone\/something.*; .+$/,
    ],
    [
      'an action of ours that there is not',
      () => [file('typo.yml', workflow('      - uses: lockkeeper/lockkeeper/actions/health-gates@v1\n'))],
      /typo\.yml:6:\d+: .*health-gates.*; .+$/,
    ],
    [
      'a secret that the lab does not have',
      () => [file('secret.yml', workflow('      - run: echo "${{ secrets.DEPLOY_TOKEN }}"\n'))],
      /secret\.yml:6:\d+: .*DEPLOY_TOKEN.*; .+$/,
    ],
    ['an unknown fault', () => ['--fail', 'fire'], /^--fail: "fire" is not a fault; expected .+$/],
  ])('%s', async (_, args, message) => {
    const { code, output } = await rehearse(...args());
    const lines = output
      .trim()
      .split('\n')
      .filter((line) => !/^ *\d+\.\d s {2}/.test(line));
    expect(lines).toEqual([expect.stringMatching(message)]);
    expect(code).toBe(2);
  });
});
