import { expect, it } from '@jest/globals';
import ssh2 from 'ssh2';
import { generateKeyPair } from '../../src/host/index.ts';

it('gives only key pairs that can be read again', () => {
  const good = generateKeyPair('deploy');
  expect(good.public).toMatch(/^ssh-ed25519 \S+ deploy$/);
  const broken = { private: good.private.replace(/[A-Za-z0-9+/]{20}/, ''), public: good.public };
  expect(ssh2.utils.parseKey(broken.private)).toBeInstanceOf(Error);
  const pairs = [broken, good];
  expect(generateKeyPair('', () => pairs.shift()!)).toBe(good);
});
