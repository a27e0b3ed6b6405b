import { type GateInputs, isSecretName, isWebSocket } from './inputs.ts';
import type { GateReport } from './report.ts';

/** The command that shows a person what the gate saw, for the first URL with the worst verdict. Pure. */
export function nextCommand(report: GateReport, inputs: GateInputs, show: (url: URL) => string): string {
  const url = inputs.urls.find(
    (one) => report.urls.find(({ url }) => url === show(one))?.verdict === report.verdict,
  )!;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const [pinned] = inputs.resolve.get(url.hostname) ?? [];
  if (url.protocol === 'tcp:') return command(['nc', '-vz', '-w', seconds(inputs), pinned ?? host, url.port]);

  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  const port = url.port || (secure ? '443' : '80');
  const headers = Object.entries(inputs.headers).map(
    ([name, value]) => `${name}: ${isSecretName(name) ? '***' : value}`,
  );
  return command([
    'curl',
    '-sSi',
    ...['-m', seconds(inputs)],
    ...(inputs.method === 'GET' ? [] : inputs.method === 'HEAD' ? ['-I'] : ['-X', inputs.method]),
    ...(inputs.tls.verify ? [] : ['-k']),
    // Whoever types it has the authority in a file of some name; this one says which input it is.
    ...(inputs.tls.verify && inputs.tls.ca ? ['--cacert', 'ca-certificates.pem'] : []),
    ...(pinned ? ['--connect-to', `${url.hostname}:${port}:${bracketed(pinned)}:${port}`] : []),
    ...[...(isWebSocket(url) ? upgrade : []), ...headers].flatMap((header) => ['-H', header]),
    show(url).replace(/^ws/, 'http'),
  ]);
}

/** RFC 6455, 1.3: the key of its own example. */
const upgrade = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

const seconds = ({ probeTimeout }: GateInputs) => String(Math.ceil(probeTimeout / 1000));
const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);
const command = (words: string[]) => words.map(quoted).join(' ');
const quoted = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
