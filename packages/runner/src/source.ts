import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ExpressionError } from './expressions.ts';

/** Where something stands in a file; both count from 1. */
export interface Place {
  line: number;
  column: number;
}

/** A piece of text and where it stands. */
export interface Text extends Place {
  text: string;
}

/** Whatever is wrong with a file, in one line: where it is, what it is, and how to mend it. */
export class WorkflowError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong, without the place. */
  readonly reason: string;
  readonly mend: string;
  constructor(file: string, place: Place, reason: string, mend: string, cause?: unknown) {
    const oneLine = (text: string) => text.replace(/\s*[\r\n]+\s*/g, ' ').trim();
    super(`${file}:${place.line}:${place.column}: ${oneLine(reason)}; ${oneLine(mend)}`, { cause });
    this.name = 'WorkflowError';
    this.file = file;
    this.line = place.line;
    this.column = place.column;
    this.reason = oneLine(reason);
    this.mend = oneLine(mend);
  }
}

export interface Entry {
  key: Text;
  value: Node | null;
}

/** A YAML file that remembers where everything stands. Every method refuses what it does not expect. */
export class Source {
  readonly file: string;
  readonly content: string;
  readonly root: Node | null;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  /** Throws WorkflowError when the content is not YAML. */
  constructor(file: string, content: string) {
    this.file = file;
    this.content = content;
    this.#document = parseDocument(content, { lineCounter: this.#lines, uniqueKeys: true });
    this.root = this.#document.contents;
    const wrong = this.#document.errors[0];
    if (wrong) {
      const [reason = wrong.message] = wrong.message.split(/ at line \d+, column \d+/, 1);
      this.fail(
        this.#placeAt(wrong.pos[0]),
        `not YAML: ${reason}`,
        'correct the indentation, quotes or brackets there',
      );
    }
  }

  fail(at: Place | Node | null, reason: string, mend: string, cause?: unknown): never {
    throw new WorkflowError(
      this.file,
      at && 'line' in at ? at : this.place(at as Node | null),
      reason,
      mend,
      cause,
    );
  }

  place(node: Node | null | undefined): Place {
    return node?.range ? this.#placeAt(node.range[0]) : { line: 1, column: 1 };
  }

  /** Where a pattern is first found from a place on, or the place itself. */
  find(from: Place, pattern: RegExp): Place {
    const start = (this.#lines.lineStarts[from.line - 1] ?? 0) + from.column - 1;
    const found = this.content.slice(start).search(pattern);
    return found < 0 ? from : this.#placeAt(start + found);
  }

  /** Follows an alias to what it names. */
  resolve(node: unknown): Node | null {
    if (isAlias(node)) return (node.resolve(this.#document) as Node | undefined) ?? null;
    return (node as Node | null | undefined) ?? null;
  }

  isNothing(node: Node | null): boolean {
    return node === null || (isScalar(node) && node.value === null);
  }
  isMap(node: Node | null): boolean {
    return isMap(node);
  }
  isList(node: Node | null): boolean {
    return isSeq(node);
  }

  /** The keys and values of a map, in order; `what` names it in the complaint. */
  entries(node: Node | null, what: string): Entry[] {
    if (this.isNothing(node)) return [];
    if (!isMap(node))
      this.fail(node, `${what} must be a map of names to values`, 'write it as "name: value" lines');
    return node.items.map((pair) => {
      const key = this.resolve(pair.key);
      return { key: this.text(key, `a key of ${what}`), value: this.resolve(pair.value) };
    });
  }

  items(node: Node | null, what: string): Node[] {
    if (!isSeq(node)) this.fail(node, `${what} must be a list`, 'write it as "- value" lines');
    return node.items.map((item) => this.resolve(item)).filter((item) => item !== null);
  }

  /** A scalar as GitHub turns it into text: `1.10` is `1.1`, nothing is ''. */
  text(node: Node | null, what: string): Text {
    if (node === null) return { text: '', line: 1, column: 1 };
    if (!isScalar(node)) this.fail(node, `${what} must be a single value`, 'write one value there');
    const { value } = node;
    return { text: value === null || value === undefined ? '' : String(value), ...this.place(node) };
  }

  /** One value or a list of values. */
  texts(node: Node | null, what: string): Text[] {
    if (this.isNothing(node)) return [];
    return isSeq(node)
      ? this.items(node, what).map((item) => this.text(item, what))
      : [this.text(node, what)];
  }

  textMap(node: Node | null, what: string): Record<string, Text> {
    return Object.fromEntries(
      this.entries(node, what).map(({ key, value }) => {
        const text = this.text(value, `${what}.${key.text}`);
        return [key.text, value === null ? { ...text, line: key.line, column: key.column } : text];
      }),
    );
  }

  /** Every single value below a node, through aliases too; keys are left out. */
  scalars(node: Node | null): Text[] {
    const found: Text[] = [];
    const walk = (at: unknown) => {
      const target = this.resolve(at);
      if (isScalar(target)) found.push(this.text(target, 'a value'));
      else if (isSeq(target)) target.items.forEach(walk);
      else if (isMap(target)) for (const pair of target.items) walk(pair.value);
    };
    walk(node);
    return found;
  }

  /** The value as plain JSON. */
  plain(node: Node | null): unknown {
    return node === null ? null : (node.toJS(this.#document) as unknown);
  }

  #placeAt(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

/** Evaluates something of a file; a mistake in the expression is told with the file and the place. */
export function located<T>(file: string, place: Place, evaluate: () => T): T {
  try {
    return evaluate();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    throw new WorkflowError(
      file,
      place,
      `expression "${error.expression}" fails at its position ${error.position}: ${error.reason}`,
      'correct the expression',
      error,
    );
  }
}

/** The name of a file as messages show it: short when it lies in the current directory. */
export function shownName(path: string, cwd: string): string {
  return path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path;
}
