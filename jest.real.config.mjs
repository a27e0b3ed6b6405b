import config from './jest.config.mjs';

/** The real tier: `pnpm test:real`. It needs root and Debian; test/real/setup.ts says so where it cannot run. */
export default {
  ...config,
  testMatch: ['<rootDir>/test/real/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  globalSetup: '<rootDir>/test/real/setup.ts',
  testTimeout: 120_000,
};
