import { spawn } from 'node:child_process';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { certificate } from '../../../packages/probe/test/certificate.ts';

export interface GitServer {
  /** Of the server, `https://…`. */
  url: string;
  /** What a client must trust. */
  certificate: string;
  /** Requests that came with the token, and without. */
  seen: { withToken: number; without: number };
  close(): Promise<void>;
}

/** Serves the bare repositories below a directory over https, as GitHub does: to whoever shows the token. */
export async function openGitServer(root: string, token: string, address = '127.0.0.1'): Promise<GitServer> {
  const own = certificate({ hosts: [address] });
  const wanted = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  const seen = { withToken: 0, without: 0 };
  const server = createServer({ cert: own.cert, key: own.key }, (request, response) => {
    if (request.headers.authorization !== wanted) {
      seen.without++;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    seen.withToken++;
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://x');
    const backend = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: pathname,
        QUERY_STRING: searchParams.toString(),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        REMOTE_USER: 'x',
      },
    });
    request.pipe(backend.stdin);
    const chunks: Buffer[] = [];
    backend.stdout.on('data', (chunk) => chunks.push(chunk));
    backend.on('close', () => {
      const whole = Buffer.concat(chunks);
      const end = whole.indexOf('\r\n\r\n');
      const headers = Object.fromEntries(
        whole
          .subarray(0, end)
          .toString()
          .split('\r\n')
          .map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]),
      );
      const { Status: status = '200', ...rest } = headers;
      response.writeHead(Number.parseInt(status, 10), rest).end(whole.subarray(end + 4));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return {
    url: `https://${address}:${(server.address() as AddressInfo).port}`,
    certificate: own.cert,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
