import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** Bytes of a body that are kept. */
export const bodyLimit = 64 * 1024;

const decoders: Record<string, () => Duplex> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * At most 64 KiB of decoded body; the rest is left unread, however much it unpacks to. What is not UTF-8 in it
 * becomes U+FFFD.
 */
export async function readBody(
  response: IncomingMessage,
  signal: AbortSignal,
): Promise<{ body: string; truncated: boolean }> {
  const decoder = decoders[String(response.headers['content-encoding'] ?? '')]?.();
  const stream = decoder ? response.pipe(decoder) : response;
  if (decoder) response.once('error', (error) => decoder.destroy(error));
  let packed = 0;
  if (decoder)
    response.on('data', ({ length }: Buffer) => {
      packed += length;
    });
  const abort = () => stream.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > bodyLimit) break;
    }
  } catch (error) {
    // HEAD and 204 may name a coding, too (RFC 9110, 8.4): a body that never began is not cut short.
    if (packed > 0 || (error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    response.destroy();
  }
  // Without the byte order mark, as browsers read JSON.
  const text = new TextDecoder().decode(Buffer.concat(chunks).subarray(0, bodyLimit));
  return { body: text, truncated: size > bodyLimit };
}
