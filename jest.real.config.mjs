import config from './jest.config.mjs';

/** The real tier: `pnpm test:real`. It needs root and Debian; test/real/setup.ts says so where it cannot run. */
export default {
  ...config,
  testMatch: ['<rootDir>/test/real/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  globalSetup: '<rootDir>/test/real/setup.ts',
  // They wait on conditions; how long that takes depends on what else the machine does.
  testTimeout: 300_000,
  // Each has hosts of its own and mostly waits for them.
  maxWorkers: 3,
};
