import { Readable } from 'node:stream';
import { expect, it } from '@jest/globals';
import { memoryLog, UserError } from '@lockkeeper/action';
import {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  type Shell,
  Unreachable,
} from '@lockkeeper/ssh';
import { fakeClock } from '@lockkeeper/wait';
import { SteadyShell } from '../src/host/steady-shell.ts';

/** A shell that meets, one command after another, what is given; then all is well. */
function stage(...met: Array<Error | undefined>) {
  const log = memoryLog();
  const ran: string[] = [];
  const raw: Shell = {
    name: 'host',
    login: 'ssh deploy@host',
    losses: 0,
    run: async (script): Promise<CommandResult> => {
      ran.push(script);
      const error = met.shift();
      if (error) throw error;
      return { code: 0, stdout: script, stderr: '' };
    },
    tunnel: () => Promise.reject(new Error('no tunnel is expected')),
    close: async () => {},
  };
  return { shell: new SteadyShell(raw, { within: 60_000, clock: fakeClock(), log }), ran, log };
}
const lost = new ConnectionLost('lost');
const away = new Unreachable('host:22 does not answer');

it('runs a script again that a lost connection cut off, once the host is there again', async () => {
  const { shell, ran, log } = stage(lost, away, away);
  expect((await shell.run('look')).stdout).toBe('look');
  expect(ran).toEqual(['look', ':', ':', ':', 'look']);
  expect(log.lines).toEqual([
    'host: the connection was lost; connecting again',
    'host: connected again after 2 s',
  ]);
});

it('lets all that wait for the host share one attempt', async () => {
  const { shell, log } = stage(lost, lost, lost);
  await Promise.all(['a', 'b', 'c'].map((script) => shell.run(script)));
  expect(log.lines.filter((line) => line.includes('connecting again'))).toHaveLength(1);
});

it('tells a host that stays away as something to see to, not as a fault of ours', async () => {
  const { shell } = stage(lost, ...Array.from({ length: 1_000 }, () => away));
  await expect(shell.run('look')).rejects.toThrow(
    'the connection to host was lost and did not come back within 1 min (host:22 does not answer)',
  );
});

it('does not try again when the host turns out to be another one', async () => {
  const { shell, ran } = stage(lost, new UserError('the host key of host is not the pinned one'));
  await expect(shell.run('look')).rejects.toThrow('is not the pinned one');
  expect(ran).toEqual(['look', ':']);
});

it('repeats nothing that was fed by a stream, which can be read but once', async () => {
  const { shell, ran } = stage(lost);
  await expect(shell.run('load', { stdin: Readable.from(['half']) })).rejects.toThrow(UserError);
  expect(ran).toEqual(['load']);
});

it('gives a script without end no second chance', async () => {
  const { shell, ran } = stage(new CommandTimedOut('no end of the command on host'));
  await expect(shell.run('look')).rejects.toBeInstanceOf(UserError);
  expect(ran).toEqual(['look']);
});

it('ends the waiting when the run is cancelled', async () => {
  const { shell } = stage(lost, ...Array.from({ length: 1_000 }, () => away));
  const cancel = new AbortController();
  const running = shell.run('look', { signal: cancel.signal });
  cancel.abort(new Error('cancelled'));
  await expect(running).rejects.toThrow('cancelled');
});
