import { execFileSync } from 'node:child_process';
import { expect, it } from '@jest/globals';
import { onHost } from '../src/host/next-command.ts';

const host = { name: '10.0.0.5', login: 'ssh -p 2222 deploy@10.0.0.5' };

it('is a command to paste, with the directory it is meant for', () => {
  expect(onHost(host, 'docker compose -p shop logs --tail 50 web', '/srv/app')).toBe(
    "ssh -p 2222 deploy@10.0.0.5 'cd /srv/app && docker compose -p shop logs --tail 50 web'",
  );
  expect(onHost({ name: 'host-1' }, 'docker system df')).toBe("ssh host-1 'docker system df'");
});

it.each(["/tmp/it's $(touch pwned) here", '/tmp/`id`; ls', '/tmp/a"b'])(
  'means the directory %j alone, in two shells one after the other',
  (directory) => {
    const command = onHost({ name: 'h', login: 'sh -c' }, 'true', directory).replace(' && true', ' && pwd');
    // The directory is not there: cd names what it was asked for, and nothing of it was executed.
    expect(() => execFileSync('sh', ['-c', command], { stdio: 'pipe' })).toThrow(directory);
  },
);
