export { type LabClock, labClock } from './clock.ts';
