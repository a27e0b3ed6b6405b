export type { ContainerView, Engine, EngineFault } from './engine.ts';
export { type Host, type HostSettings, openHost } from './host.ts';
export { generateKeyPair, type KeyPair } from './key-pair.ts';
