export { connect } from './connection.ts';
export { type HostTrust, parseHostTrust } from './host-trust.ts';
export { checkHostName, readSshInputs } from './inputs.ts';
export { parsePrivateKey } from './private-key.ts';
export {
  CommandTimedOut,
  type CommandResult,
  ConnectionLost,
  quoted,
  type RunOptions,
  type Shell,
} from './shell.ts';
export type { SshTarget } from './target.ts';
