import { expect, it } from '@jest/globals';
import { isLoopback } from '../src/index.ts';

it.each([
  ['localhost', true],
  ['127.0.0.1', true],
  ['[::1]', true],
  ['0.0.0.0', false],
  ['localhost.evil.example', false],
  ['127.0.0.1.evil.example', false],
])('%s is loopback: %s', (hostname, is) => expect(isLoopback(hostname)).toBe(is));
