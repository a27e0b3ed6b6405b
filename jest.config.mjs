export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{actions,packages}/*/test/**/*.test.ts', '<rootDir>/test/*.test.ts'],
  // The slow tier: `pnpm test --slow` and CI run it too.
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env.LOCKKEEPER_SLOW ? [] : ['\\.slow\\.test\\.ts$']),
  ],
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
