export type { Proof } from './report.ts';
