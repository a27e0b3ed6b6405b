import { parseArguments, type SoakArguments, UsageError, usage } from './arguments.ts';
import { soak } from './soak.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    process.stderr.write(`${signal}: this deploy is the last one; the labs are taken down after it\n`);
    stop.abort();
  });

try {
  const given = parseArguments(process.argv.slice(2));
  if (!given) process.stdout.write(`${usage}\n`);
  else process.exitCode = (await run(given)) ? 0 : 1;
} catch (error) {
  // A mistake of the user's is one line; anything else is ours and shows its stack.
  const mistake = error instanceof UsageError;
  process.stderr.write(`${mistake ? error.message : error instanceof Error ? error.stack : error}\n`);
  process.exitCode = mistake ? 2 : 1;
}

async function run({ deploys, seed }: SoakArguments): Promise<boolean> {
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  const { broken, table } = await soak(deploys, seed, tell, stop.signal);
  process.stdout.write(`\n${table}\n`);
  if (broken > 0)
    process.stdout.write(
      `${broken} deploys broke a guarantee. Again: pnpm soak --deploys ${deploys} --seed ${seed}\n`,
    );
  return broken === 0;
}
