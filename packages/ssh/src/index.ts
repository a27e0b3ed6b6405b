export { connect } from './connection.ts';
export { Unreachable } from './dial.ts';
export { type HostTrust, parseHostTrust } from './host-trust.ts';
export { checkHostName, isHostName, readSshInputs } from './inputs.ts';
export { word } from './login.ts';
export { parsePrivateKey } from './private-key.ts';
export {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  commandLine,
  quoted,
  type RunOptions,
  type Shell,
  Tail,
} from './shell.ts';
export type { SshTarget } from './target.ts';
