import { expect, it } from '@jest/globals';
import { loginCommand } from '../src/login.ts';
import type { SshTarget } from '../src/target.ts';

const target = { host: '10.0.0.5', port: 22, username: 'deploy' } as SshTarget;

it.each<[Partial<SshTarget>, string]>([
  [{}, 'ssh deploy@10.0.0.5'],
  [{ port: 2222 }, 'ssh -p 2222 deploy@10.0.0.5'],
  [{ jump: { ...target, host: 'bastion', username: 'ec2-user' } }, 'ssh -J ec2-user@bastion deploy@10.0.0.5'],
  [{ jump: { ...target, host: 'fd00::1', port: 23 } }, "ssh -J 'deploy@[fd00::1]:23' deploy@10.0.0.5"],
  [{ username: 'a b' }, "ssh 'a b@10.0.0.5'"],
])('%j is reached by %s', (changes, command) =>
  expect(loginCommand({ ...target, ...changes })).toBe(command),
);
