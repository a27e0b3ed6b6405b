import { expect, it } from '@jest/globals';
import { connections } from '../src/host/connections.ts';

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const row = (local: string, state: string) =>
  `   0: ${local} 0100000A:D431 ${state} 00000000:00000000 00:00000000 00000000  1000        0 12345 1`;

it('counts who is connected to the port: not listeners, not the own health check, not other ports', () => {
  const table = [
    head,
    row('00000000:1F40', '0A'),
    row('020012AC:1F40', '01'),
    row('020012AC:1F40', '01'),
    row('020012AC:1F40', '06'),
    row('0100007F:1F40', '01'),
    row('020012AC:1F41', '01'),
    head,
    row('0000000000000000FFFF0000020012AC:1F40', '01'),
    row('00000000000000000000000001000000:1F40', '01'),
  ].join('\n');
  expect(connections(table, { port: 8000, addresses: ['172.18.0.2'] })).toBe(3);
});

it('counts on a loopback address when that is the container’s own', () => {
  const table = [head, row('05014E7F:1F40', '01'), row('0100007F:1F40', '01')].join('\n');
  expect(connections(table, { port: 8000, addresses: ['127.78.1.5'] })).toBe(1);
});
