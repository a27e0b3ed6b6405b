import { writeFileSync } from 'node:fs';
import { parseArguments, UsageError, usage } from './arguments.ts';
import { pictureOf } from './picture.ts';
import { rehearse } from './rehearsal.ts';
import { renderReport } from './report.ts';
import { lineView, liveView } from './view.ts';

const cancel = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    process.stderr.write(`${signal}: cancelling the workflow; the lab is taken down\n`);
    cancel.abort(new Error(signal));
  });

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    const given = parseArguments(argv);
    if (!given) {
      process.stdout.write(`${usage}\n`);
      return 0;
    }
    const write = (text: string) => void process.stdout.write(text);
    const live = process.stdout.isTTY && !given.plain;
    const view = live
      ? liveView(write, () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }))
      : lineView(write);
    const rehearsal = await rehearse({ ...given, signal: cancel.signal, onEvent: view.on }).finally(
      view.close,
    );
    const report = renderReport(rehearsal);
    write(`\n${report}`);
    if (given.picture) {
      const typed = argv.filter(
        (word, at) => !/^--(picture|plain)/.test(word) && argv[at - 1] !== '--picture',
      );
      writeFileSync(given.picture, pictureOf(report, ['pnpm rehearse', ...typed].join(' ')));
    }
    return rehearsal.guarantees.every(({ held }) => held) ? 0 : 1;
  } catch (error) {
    // A mistake of the user's is one line; anything else is ours and shows its stack.
    const mistake = error instanceof UsageError || (error instanceof Error && error.name === 'WorkflowError');
    process.stderr.write(
      mistake ? `${(error as Error).message}\n` : `${error instanceof Error ? error.stack : error}\n`,
    );
    return mistake ? 2 : 1;
  }
}
