// The tests that run on Linux, macOS and Windows alike: `pnpm test:portable`.
import quick from './jest.config.mjs';
import { portableTests } from './tools/portable.ts';

const { testMatch: _, ...settings } = quick;
const literally = (path) => path.replace(/[\\/^$+?.()|[\]{}]/g, '\\$&');

// Plays docker by a shell script.
const notOnWindows = ['transfer\\.test\\.ts$'];

export default {
  ...settings,
  testRegex: portableTests().map((path) => `^${literally(path)}$`),
  testPathIgnorePatterns: [
    ...settings.testPathIgnorePatterns,
    ...(process.platform === 'win32' ? notOnWindows : []),
  ],
};
