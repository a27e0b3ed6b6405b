export type { ContainerView, Engine } from './engine.ts';
export { type Host, type HostSettings, openHost } from './host.ts';
