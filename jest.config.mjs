// The slow tier, in place of the quick one: `pnpm test --slow` runs it after that.
const slow = Boolean(process.env.LOCKKEEPER_SLOW);
const kind = slow ? '.slow.test' : '.test';

export default {
  testEnvironment: 'node',
  testMatch: [`<rootDir>/{actions,packages}/*/test/**/*${kind}.ts`, `<rootDir>/test/*${kind}.ts`],
  testPathIgnorePatterns: ['/node_modules/', ...(slow ? [] : ['\\.slow\\.test\\.ts$'])],
  extensionsToTreatAsEsm: ['.ts'],
  randomize: true,
  testTimeout: 20_000,
  modulePathIgnorePatterns: ['<rootDir>/actions/.*/dist/'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' } },
    ],
  },
};
