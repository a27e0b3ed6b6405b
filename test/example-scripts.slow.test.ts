import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadWorkflow } from '@lockkeeper/runner';
import { root } from '../tools/manifest.ts';

// Scripts of the workflows that others copy: steps that something stands in for when they are rehearsed, here with the
// tools that they call played.

describe('the script', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lockkeeper-script-'));
    mkdirSync(join(directory, 'bin'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const play = (tool: string, script: string) =>
    writeFileSync(join(directory, 'bin', tool), `#!/bin/sh\n${script}\n`, { mode: 0o755 });

  const run = async (workflow: string, id: string, env: Record<string, string>) => {
    const { jobs } = await loadWorkflow(join(root, 'workflows-examples', workflow));
    const step = jobs.flatMap(({ steps }) => steps).find((one) => one.id === id);
    if (step?.kind !== 'run') throw new Error(`${workflow} has no script ${id}`);
    writeFileSync(join(directory, 'output'), '');
    const { stdout } = await promisify(execFile)(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run.text],
      {
        cwd: directory,
        env: {
          PATH: `${join(directory, 'bin')}:${process.env.PATH}`,
          GITHUB_OUTPUT: join(directory, 'output'),
          GITHUB_REPOSITORY: 'acme/app',
          GITHUB_ACTOR: 'octocat',
          ...env,
        },
      },
    );
    return { stdout, output: readFileSync(join(directory, 'output'), 'utf8').trim() };
  };

  describe('that finds what should serve', () => {
    interface Listed {
      status?: string;
      conclusion?: string;
      updatedAt: string;
      headSha: string;
    }
    const find = (deploys: Listed[], rollbacks: Listed[]) => {
      const list = (runs: Listed[]) =>
        JSON.stringify(runs.map((one) => ({ status: 'completed', conclusion: 'success', ...one })));
      play(
        'gh',
        `case "$*" in *rolling-alb.yml*) echo '${list(deploys)}';; *) echo '${list(rollbacks)}';; esac`,
      );
      play(
        'docker',
        `case "$1" in login) cat > login;; *) echo "{\\"digest\\":\\"sha256:of-$4\\"}" | sed 's|of-.*:|of-|';; esac`,
      );
      return run('reconcile.yml', 'released', { GH_TOKEN: 'token', IMAGE: 'ghcr.io/acme/app' });
    };

    it.each<[string, Listed[], Listed[], string]>([
      [
        'names the image of the last green deploy, also of one that was run again',
        [
          { updatedAt: '2026-11-26T10:00:00Z', headSha: 'new', conclusion: 'failure' },
          { updatedAt: '2026-11-26T09:00:00Z', headSha: 'older' },
          { updatedAt: '2026-11-26T09:30:00Z', headSha: 'again' },
        ],
        [{ updatedAt: '2026-11-25T09:00:00Z', headSha: 'main' }],
        'digest=sha256:of-again',
      ],
      [
        'names none while a deploy is under way',
        [
          { updatedAt: '2026-11-26T10:00:00Z', headSha: 'new', status: 'in_progress', conclusion: '' },
          { updatedAt: '2026-11-26T09:00:00Z', headSha: 'old' },
        ],
        [],
        '',
      ],
      [
        'names none after a rollback by hand',
        [{ updatedAt: '2026-11-26T09:00:00Z', headSha: 'bad' }],
        [{ updatedAt: '2026-11-26T10:00:00Z', headSha: 'main' }],
        '',
      ],
      ['names none before the first deploy', [], [], ''],
    ])('%s', async (_, deploys, rollbacks, output) => {
      expect((await find(deploys, rollbacks)).output).toBe(output);
    });
  });

  describe('that looks at a dump', () => {
    const look = (dump: string) => {
      writeFileSync(join(directory, 'backup.sql'), dump);
      return run('backup.yml', 'whole', {});
    };

    it.each([
      ['PostgreSQL', '-- x\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict 4f1\n'],
      ['MySQL', '-- x\n-- Dump completed on 2026-11-26  3:00:12\n'],
    ])('takes a whole one of %s', async (_, dump) => {
      expect((await look(dump)).output).toMatch(/^size=\d/);
    });

    it('refuses one that ends in the middle', async () => {
      await expect(look('-- PostgreSQL database dump\nCOPY t FROM stdin;\n1\t2\n')).rejects.toMatchObject({
        stdout: '::error::backup.sql does not end as a whole dump ends, and is not uploaded\n',
      });
    });
  });

  it('that uploads a dump takes the role with the identity token of the job, and shows none', async () => {
    writeFileSync(join(directory, 'backup.sql.gz'), 'dump');
    play(
      'curl',
      `case "$(cat) $*" in 'Authorization: bearer request-token '*'/token?x=1&audience=sts.amazonaws.com') echo '{"value":"identity"}';; esac`,
    );
    play('aws', 'echo "$* as $AWS_ROLE_ARN with $(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")" > called');
    const { stdout, output } = await run('backup.yml', 'upload', {
      AWS_ROLE_ARN: 'arn:role',
      AWS_WEB_IDENTITY_TOKEN_FILE: join(directory, 'identity-token'),
      BUCKET: 'acme',
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token',
      ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token.example.com/token?x=1',
    });
    expect(readFileSync(join(directory, 'called'), 'utf8')).toMatch(
      /^s3 cp --only-show-errors backup\.sql\.gz s3:\/\/acme\/backup\/[\dT-]+Z\.sql\.gz as arn:role with identity\n$/,
    );
    expect({ stdout, output }).toEqual({
      stdout: '',
      output: expect.stringMatching(/^object=s3:\/\/acme\/backup\//),
    });
  });
});
