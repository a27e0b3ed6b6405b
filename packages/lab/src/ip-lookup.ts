import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What one service answers: the caller's address, another one, or something that is no answer. */
export type IpAnswer =
  | { kind: 'address'; address?: string }
  /** This body with status 200, whatever it is. */
  | { kind: 'body'; body: string; contentType?: string }
  | { kind: 'status'; status: number }
  | { kind: 'redirect'; location: string }
  | { kind: 'hang' }
  | { kind: 'reset' };

export interface IpLookup {
  /** One address with a line end (as checkip does), one bare, one JSON (as ipify does). */
  readonly urls: readonly [string, string, string];
  /** The address that the world sees; may be changed at any time. */
  address: string;
  /** What each service answers, in the order of `urls`; may be changed at any time. */
  readonly answers: [IpAnswer, IpAnswer, IpAnswer];
  /** How often each was asked. */
  readonly asked: [number, number, number];
  close(): Promise<void>;
}

const formats = [
  (address: string) => ({ type: 'text/plain', body: `${address}\n` }),
  (address: string) => ({ type: 'text/plain; charset=utf-8', body: address }),
  (address: string) => ({ type: 'application/json', body: JSON.stringify({ ip: address }) }),
] as const;

/** Opens three services on loopback that tell a caller its public address, which is `address`. */
export async function openIpLookup(address: string): Promise<IpLookup> {
  const servers: Server[] = [];
  const asked: IpLookup['asked'] = [0, 0, 0];
  const answers: IpLookup['answers'] = [{ kind: 'address' }, { kind: 'address' }, { kind: 'address' }];
  const lookup = { address };
  const reply = (index: 0 | 1 | 2, response: ServerResponse) => {
    const answer = answers[index];
    switch (answer.kind) {
      case 'hang':
        return;
      case 'reset':
        response.socket?.resetAndDestroy();
        return;
      case 'status':
        response.writeHead(answer.status, { 'content-type': 'text/plain' }).end('not now\n');
        return;
      case 'redirect':
        response.writeHead(302, { location: answer.location }).end();
        return;
      case 'body':
        response.writeHead(200, { 'content-type': answer.contentType ?? 'text/plain' }).end(answer.body);
        return;
      case 'address': {
        const { type, body } = formats[index](answer.address ?? lookup.address);
        response.writeHead(200, { 'content-type': type }).end(body);
      }
    }
  };
  const url = async (index: 0 | 1 | 2): Promise<string> => {
    const server = createServer((request, response) => {
      request.resume();
      asked[index] += 1;
      reply(index, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  };
  const urls = [await url(0), await url(1), await url(2)] as const;
  return {
    urls,
    answers,
    asked,
    get address() {
      return lookup.address;
    },
    set address(value) {
      lookup.address = value;
    },
    async close() {
      await Promise.all(
        servers.map(async (server) => {
          const closed = once(server, 'close');
          server.close();
          server.closeAllConnections();
          await closed;
        }),
      );
    },
  };
}
