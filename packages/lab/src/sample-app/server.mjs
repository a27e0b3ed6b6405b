// The lab's sample web app: no dependencies, so that its image is only these files.
// HOST and PORT say where it listens, VERSION what it calls itself. SICK makes it ill:
//   503 (or any status) = /health/ answers that, crash = exits at start, crash-later = after 1 s,
//   database = /health/ answers 200 and healthy without its database, hang = /health/ never answers, slow = every answer takes 3 s, errors = half of all requests fail with 500.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const { HOST = '127.0.0.1', PORT = '8000', VERSION = 'unknown', SICK = '', START_MS = '0' } = process.env;
let stopping = false;
let served = 0;

function answer(response, status, body, headers = {}) {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-version': VERSION,
    ...(stopping ? { connection: 'close' } : {}),
    ...headers,
  });
  response.end(text);
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function handle(request, response) {
  const url = new URL(request.url, 'http://app');
  served += 1;
  if (SICK === 'slow') await wait(3000);
  if (url.pathname === '/health/' || url.pathname === '/health') {
    if (SICK === 'hang') return;
    const status = /^\d{3}$/.test(SICK) ? Number(SICK) : 200;
    const healthy = status < 400;
    answer(response, status, {
      status: healthy ? 'healthy' : 'unhealthy',
      version: VERSION,
      database: healthy && SICK !== 'database',
    });
    return;
  }
  if (SICK === 'errors' && served % 2 === 0)
    return answer(response, 500, { error: 'sick', version: VERSION });
  if (url.pathname === '/') return answer(response, 200, { app: 'sample', version: VERSION });
  if (url.pathname === '/slow') {
    const ms = Math.min(Number(url.searchParams.get('ms') ?? 1000) || 0, 600_000);
    await wait(ms);
    return answer(response, 200, { waited: ms, version: VERSION });
  }
  if (url.pathname === '/echo' && request.method === 'POST') {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    response.writeHead(200, {
      'content-type': request.headers['content-type'] ?? 'application/octet-stream',
      'content-length': body.length,
      'x-version': VERSION,
      ...(stopping ? { connection: 'close' } : {}),
    });
    response.end(body);
    return;
  }
  answer(response, 404, { error: 'not found', version: VERSION });
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    if (!response.headersSent) answer(response, 500, { error: String(error) });
    else response.destroy();
  });
});
// Longer than a load balancer keeps its connections (60 s), or it would send a request into a closing one.
server.keepAliveTimeout = 75_000;
server.headersTimeout = 80_000;
server.requestTimeout = 0;

// RFC 6455, as much as an echo needs: one frame a message, ping and close answered.
const webSockets = new Set();
function frame(opcode, payload) {
  const head =
    payload.length < 126
      ? Buffer.from([0x80 | opcode, payload.length])
      : payload.length < 65536
        ? Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 255])
        : Buffer.concat([Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0]), uint32(payload.length)]);
  return Buffer.concat([head, payload]);
}
function uint32(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

server.on('upgrade', (request, socket, head) => {
  const key = request.headers['sec-websocket-key'];
  if (new URL(request.url, 'http://app').pathname !== '/ws' || !key) {
    socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nx-version: ${VERSION}\r\n\r\n`,
  );
  socket.setNoDelay(true);
  webSockets.add(socket);
  socket.on('close', () => webSockets.delete(socket));
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
  let rest = Buffer.alloc(0);
  const read = (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      if (rest.length < 2) return;
      let length = rest[1] & 127;
      let at = 2;
      if (length === 126) {
        if (rest.length < 4) return;
        length = rest.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (rest.length < 10) return;
        length = Number(rest.readBigUInt64BE(2));
        at = 10;
      }
      const masked = (rest[1] & 128) !== 0;
      const need = at + (masked ? 4 : 0) + length;
      if (rest.length < need) return;
      const opcode = rest[0] & 15;
      const payload = Buffer.from(rest.subarray(need - length, need));
      if (masked) for (let i = 0; i < length; i++) payload[i] ^= rest[at + (i & 3)];
      rest = rest.subarray(need);
      if (opcode === 8) {
        socket.end(frame(8, payload));
        return;
      }
      if (opcode === 9) socket.write(frame(10, payload));
      else if (opcode === 1 || opcode === 2) socket.write(frame(opcode, payload));
    }
  };
  if (head.length) read(head);
  socket.on('data', read);
});

// What is in flight is finished; idle and WebSocket connections are told to go.
function stop() {
  if (stopping) return;
  stopping = true;
  console.log(`version ${VERSION} stopping`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  for (const socket of webSockets) socket.end(frame(8, Buffer.from([0x03, 0xe9])));
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

if (SICK === 'crash') {
  console.error(`version ${VERSION}: cannot start: SICK=crash`);
  process.exit(3);
}
if (SICK === 'crash-later') {
  setTimeout(() => {
    console.error(`version ${VERSION}: giving up: SICK=crash-later`);
    process.exit(3);
  }, 1000);
}
setTimeout(() => {
  server.listen(Number(PORT), HOST, () => console.log(`version ${VERSION} listening on ${HOST}:${PORT}`));
}, Number(START_MS));
