export { type GitHubContext, githubContext } from './context.ts';
export {
  type ActionContract,
  type ActionDefinition,
  defineAction,
  type Phase,
  readState,
  type Step,
} from './define-action.ts';
export { Cancelled, InputError, messageOf, reasonOf, UserError } from './error.ts';
export { type CountOrPercent, type InputSource, Inputs, inputsOf, secretParts } from './inputs.ts';
export { actionsLog, type Log, memoryLog } from './log.ts';
export { isLoopback } from './loopback.ts';
export { sanitiseLines, sanitiseOwn } from './sanitise.ts';
export { code, codeBlock, details, escapeMarkdown, table } from './summary.ts';
