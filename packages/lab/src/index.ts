export * from './account/index.ts';
export * from './balancer/index.ts';
export { type LabClock, labClock } from './clock.ts';
export * from './host/index.ts';
export { egress, type Lab, type LabHost, type LabSettings, openLab, type Place } from './lab.ts';
export { type Observation, observeLab } from './observation.ts';
export * from './registry.ts';
export { openSampleRepository, type SampleRepository } from './sample-app/repository.ts';
export * from './slack.ts';
