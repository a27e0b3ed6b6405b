import { isAbsolute, relative } from 'node:path';
import type { Annotation } from './job-result.ts';

export interface WorkflowCommand {
  /** As written; names are compared without regard to case. */
  name: string;
  /** Keys in lower case. */
  properties: Record<string, string>;
  data: string;
}

const registered = [
  'add-mask',
  'add-matcher',
  'add-path',
  'debug',
  'echo',
  'endgroup',
  'error',
  'group',
  'notice',
  'remove-matcher',
  'save-state',
  'set-env',
  'set-output',
  'stop-commands',
  'warning',
] as const;
type RegisteredName = (typeof registered)[number];
/** Commands whose line is never echoed. */
const quiet = new Set<string>(['add-mask', 'debug', 'error', 'warning', 'notice']);

/** The white space that .NET's TrimStart removes: NBSP and NEL belong to it, zero-width characters do not. */
const leadingSpace = /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** `%25` comes last, so that `%250A` becomes `%0A` and not a line break. */
function unescaped(text: string, escapes: readonly [string, string][]): string {
  let result = text;
  for (const [code, character] of escapes) result = result.replaceAll(code, character);
  return result.replaceAll('%25', '%');
}
const dataEscapes: [string, string][] = [
  ['%0D', '\r'],
  ['%0A', '\n'],
];
const propertyEscapes: [string, string][] = [...dataEscapes, ['%3A', ':'], ['%2C', ',']];
const legacyEscapes: [string, string][] = [['%3B', ';'], ...dataEscapes, ['%5D', ']']];

function readProperties(
  text: string,
  separator: string,
  escapes: readonly [string, string][],
): Record<string, string> {
  const properties: Record<string, string> = {};
  for (const property of text.split(separator)) {
    const pair = /^=*([^=]+)=+([\s\S]+)$/.exec(property);
    if (pair) properties[pair[1]!.toLowerCase()] = unescaped(pair[2]!, escapes);
  }
  return properties;
}

function splitName(text: string): [name: string, rest: string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)];
}

/**
 * Reads a line of output as a workflow command: `::name key=value,…::data` at the start of the line, or the
 * older `##[name key=value;…]data` anywhere in it. Undefined when it is plain text.
 */
export function parseCommand(
  line: string,
  isRegistered: (name: string) => boolean = (name) => isCommandName(name),
): WorkflowCommand | undefined {
  const message = line.replace(leadingSpace, '');
  const end = message.startsWith('::') ? message.indexOf('::', 2) : -1;
  if (end >= 0) {
    const [name, rest] = splitName(message.slice(2, end));
    if (isRegistered(name)) {
      return {
        name,
        properties: readProperties(rest.trim(), ',', propertyEscapes),
        data: unescaped(message.slice(end + 2), dataEscapes),
      };
    }
  }
  const start = line.indexOf('##[');
  const close = start < 0 ? -1 : line.indexOf(']', start);
  if (close < 0) return undefined;
  const [name, rest] = splitName(line.slice(start + 3, close));
  if (!isRegistered(name)) return undefined;
  return {
    name,
    properties: readProperties(rest, ';', legacyEscapes),
    data: unescaped(line.slice(close + 1), legacyEscapes),
  };
}

/** Whether the runner knows a command of this name. */
export function isCommandName(name: string): boolean {
  return (registered as readonly string[]).includes(name.toLowerCase());
}

/** What a workflow command does to the step that printed it. */
export interface CommandTarget {
  /** Prints a line as it is. */
  output(line: string): void;
  debug(line: string): void;
  annotate(annotation: Annotation): void;
  addMask(data: string): void;
  setOutput(name: string, value: string): void;
  saveState(name: string, value: string): void;
  setEnv(name: string, value: string): void;
  addPath(entry: string): void;
  /** The step has failed, whatever its exit code will be. */
  fail(): void;
  /** ACTIONS_ALLOW_UNSECURE_COMMANDS as the step sees it. */
  allowsUnsecure(): boolean;
  workspace: string;
  /** Whether commands are echoed from the start, as in debug mode. */
  echo: boolean;
}

class CommandError extends Error {}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** Makes an annotation from an `error`, `warning` or `notice` command, as ValidateLinesAndColumns does. */
export function toAnnotation(
  level: Annotation['level'],
  { properties, data }: WorkflowCommand,
  workspace: string,
): Annotation {
  const annotation: Annotation = { level, message: data };
  if (properties.title) annotation.title = properties.title;
  if (properties.file) {
    const path = isAbsolute(properties.file) ? relative(workspace, properties.file) : properties.file;
    annotation.file = path === '' || path.startsWith('..') ? properties.file : path;
  }
  const endLine = wholeNumber(properties.endline);
  let line = wholeNumber(properties.line) ?? endLine;
  const endColumn = wholeNumber(properties.endcolumn);
  let column = wholeNumber(properties.col) ?? endColumn;
  const severalLines = endLine !== undefined && endLine !== line;
  const backwards = column !== undefined && endColumn !== undefined && endColumn < column;
  if (line === undefined || severalLines || backwards) column = undefined;
  if (endLine !== undefined && line !== undefined && endLine < line) line = undefined;
  if (line !== undefined) {
    annotation.line = line;
    if (endLine !== undefined) annotation.endLine = endLine;
  }
  if (column !== undefined) {
    annotation.column = column;
    if (endColumn !== undefined) annotation.endColumn = endColumn;
  }
  return annotation;
}

/** Obeys the workflow commands in the output of one process. */
export class WorkflowCommands {
  readonly #target: CommandTarget;
  #echo: boolean;
  #stopToken: string | undefined;

  constructor(target: CommandTarget) {
    this.#target = target;
    this.#echo = target.echo;
  }

  /** Takes one line of output: carries out the command in it, or prints it. */
  take(line: string): void {
    if (!this.#obey(line)) this.#target.output(line);
  }

  #obey(line: string): boolean {
    const token = this.#stopToken;
    const command = parseCommand(
      line,
      (name) => isCommandName(name) || (token !== undefined && name.toLowerCase() === token.toLowerCase()),
    );
    if (!command) return false;
    const target = this.#target;
    if (token !== undefined) {
      if (command.name.toLowerCase() !== token.toLowerCase()) return false;
      target.output(line);
      this.#stopToken = undefined;
      return true;
    }
    const name = command.name.toLowerCase() as RegisteredName;
    try {
      if (name === 'stop-commands') {
        this.#stop(command.data);
        target.output(line);
        return true;
      }
      if (this.#echo && !quiet.has(name)) target.output(line);
      this.#perform(name, command);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const shown = quiet.has(name) ? command.name : line;
      target.annotate({ level: 'error', message: `Unable to process command '${shown}' successfully.` });
      target.annotate({ level: 'error', message: error.message });
      target.fail();
    }
    return true;
  }

  #stop(token: string): void {
    if (token === '' || token.toLowerCase() === 'pause-logging' || isCommandName(token)) {
      throw new CommandError(
        `Invoking ::stop-commands:: with token: [${token}] is not allowed: it must not be empty, 'pause-logging' or the name of a command.`,
      );
    }
    this.#stopToken = token;
    if (token.length > 6) this.#target.addMask(token);
  }

  #perform(name: Exclude<RegisteredName, 'stop-commands'>, command: WorkflowCommand): void {
    const target = this.#target;
    const { data, properties } = command;
    switch (name) {
      case 'error':
      case 'warning':
      case 'notice':
        target.annotate(toAnnotation(name, command, target.workspace));
        return;
      case 'debug':
        target.debug(data);
        return;
      case 'group':
        target.output(`##[group]${data}`);
        return;
      case 'endgroup':
        target.output('##[endgroup]');
        return;
      case 'add-mask':
        if (data.trim() === '') {
          target.annotate({
            level: 'warning',
            message: "Can't add secret mask for empty string in ##[add-mask] command.",
          });
          return;
        }
        if (this.#echo) target.output(`::${command.name}::***`);
        target.addMask(data);
        return;
      case 'set-output':
        target.setOutput(requiredName(properties.name, name), data);
        return;
      case 'save-state':
        target.saveState(requiredName(properties.name, name), data);
        return;
      case 'set-env': {
        this.#refuseUnsecure(name);
        const variable = requiredName(properties.name, name);
        target.setEnv(variable, data);
        return;
      }
      case 'add-path':
        this.#refuseUnsecure(name);
        if (data === '') throw new CommandError('path must not be empty');
        target.addPath(data);
        return;
      case 'echo': {
        const value = data.trim().toUpperCase();
        if (value !== 'ON' && value !== 'OFF') {
          throw new CommandError(
            `Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: '${data}'.`,
          );
        }
        this.#echo = value === 'ON';
        return;
      }
      case 'add-matcher':
      case 'remove-matcher':
        throw new CommandError(`${name}: problem matchers are not supported by this runner; leave it out.`);
      default:
        name satisfies never;
    }
  }

  #refuseUnsecure(name: string): void {
    if (this.#target.allowsUnsecure()) return;
    throw new CommandError(
      `The \`${name}\` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the \`ACTIONS_ALLOW_UNSECURE_COMMANDS\` environment variable to \`true\`.`,
    );
  }
}

function requiredName(value: string | undefined, command: string): string {
  if (!value) throw new CommandError(`Required field 'name' is missing in ##[${command}] command.`);
  return value;
}
