import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** The parts of the report that `jest --json` writes which are read here. */
export interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  numFailedTestSuites: number;
  testResults: Array<{
    name: string;
    message: string;
    assertionResults: Array<{ status: string; fullName: string; failureMessages: string[] }>;
  }>;
}

/** What failed, an entry a test, or a file that could not run: its name, then what it says, indented. Pure. */
export function failuresOf({ testResults }: JestReport, root: string): string[] {
  const told = (what: string, why = '') =>
    [what, ...stripVTControlCharacters(why).split('\n').slice(0, 25)].join('\n    ');
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0 && message) return [told(file, message)];
    return failed.map(({ fullName, failureMessages }) => told(`${file}: ${fullName}`, failureMessages[0]));
  });
}
