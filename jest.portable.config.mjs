// The tests that run on Linux, macOS and Windows alike: `pnpm test:portable`.
import quick from './jest.config.mjs';
import { portableTests } from './tools/portable.ts';

const { testMatch: _, ...settings } = quick;

// Plays docker by a shell script.
const notOnWindows = ['transfer\\.test\\.ts$'];

export default {
  ...settings,
  // Jest itself makes of `/` what the system has.
  testRegex: portableTests().map((name) => `/${name.replaceAll('.', '\\.')}$`),
  testPathIgnorePatterns: [
    ...settings.testPathIgnorePatterns,
    ...(process.platform === 'win32' ? notOnWindows : []),
  ],
};
