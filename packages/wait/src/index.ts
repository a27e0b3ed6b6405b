export { type Clock, type FakeClock, fakeClock, systemClock } from './clock.ts';
export { Deadline } from './deadline.ts';
export { formatDuration, parseDuration } from './duration.ts';
export { backoff, TimeoutError, until } from './until.ts';
