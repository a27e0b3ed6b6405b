import type { Facts } from '../src/guarantee.ts';

/** A run of which nothing bad was seen: both targets went from v1 to v2. */
export const good: Facts = {
  conclusion: 'success',
  expectedConclusion: 'success',
  openRules: [],
  openPorts: [],
  targets: [
    { id: 'i-a', state: 'healthy', version: 'v2' },
    { id: 'i-b', state: 'healthy', version: 'v2' },
  ],
  registeredBefore: ['i-a', 'i-b'],
  expectedVersions: ['v2'],
  requests: 1000,
  failed: 0,
  leaks: [],
  slackMessages: 1,
  slackText: 'Deploy succeeded',
  failedIn: '',
  failedBecause: '',
  tellsSlack: true,
  explanation: '',
  survivors: [],
};
