// The `docker` of a lab host: hands its arguments, directory and environment to the host's engine over a unix socket
// and plays back what it answers. Frames both ways: one byte kind, four bytes length, content.
// To the engine: 0 = call (JSON), 1 = stdin, 2 = end of stdin. From it: 1 = stdout, 2 = stderr, 3 = exit code, 4 = send stdin.
import { connect } from 'node:net';

const socket = connect(process.env.LAB_ENGINE_SOCKET ?? '');
let code;
let rest = Buffer.alloc(0);

function send(kind, content) {
  const head = Buffer.alloc(5);
  head[0] = kind;
  head.writeUInt32BE(content.length, 1);
  return socket.write(Buffer.concat([head, content]));
}

function show(stream, content) {
  if (stream.write(content)) return;
  socket.pause();
  stream.once('drain', () => socket.resume());
}

socket.on('connect', () => {
  const call = { argv: process.argv.slice(2), cwd: process.cwd(), env: process.env };
  send(0, Buffer.from(JSON.stringify(call)));
});
socket.on('data', (chunk) => {
  rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
  while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
    const kind = rest[0];
    const content = rest.subarray(5, 5 + rest.readUInt32BE(1));
    rest = rest.subarray(5 + content.length);
    if (kind === 1) show(process.stdout, content);
    else if (kind === 2) show(process.stderr, content);
    else if (kind === 3) {
      code = content.readUInt32BE(0);
      socket.end();
      process.stdin.destroy();
    } else if (kind === 4) {
      process.stdin.on('data', (piece) => {
        if (send(1, piece)) return;
        process.stdin.pause();
        socket.once('drain', () => process.stdin.resume());
      });
      process.stdin.on('end', () => send(2, Buffer.alloc(0)));
      process.stdin.on('error', () => send(2, Buffer.alloc(0)));
    }
  }
});
socket.on('error', (error) => {
  const where = process.env.LAB_ENGINE_SOCKET ?? '(LAB_ENGINE_SOCKET is not set)';
  process.stderr.write(
    `Cannot connect to the Docker daemon at unix://${where}. Is the docker daemon running? (${error.code})\n`,
  );
  process.exitCode = 1;
  process.stdin.destroy();
});
socket.on('close', () => {
  process.stdin.destroy();
  if (code === undefined && !process.exitCode) {
    process.stderr.write('error during connect: the engine closed the connection: unexpected EOF\n');
    code = 1;
  }
  process.exitCode ||= code;
});
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => socket.destroy());
// A client that dies takes its call with it, as the docker client does.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
]) {
  process.on(signal, () => process.exit(128 + number));
}
