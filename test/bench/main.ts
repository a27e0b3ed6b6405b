import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type BenchArguments, parseArguments, type SectionName, UsageError, usage } from './arguments.ts';
import { costSection } from './cost.ts';
import { deploySection, serverSection } from './deploy.ts';
import { renderText, type Section } from './figures.ts';
import { type BenchRecord, circumstances, recordPath } from './record.ts';
import { sshSection } from './ssh.ts';
import { startSection } from './start.ts';

const measured: Record<SectionName, (given: BenchArguments) => Promise<Section>> = {
  deploy: ({ runs, delays }) => deploySection(runs, delays),
  server: ({ runs }) => serverSection(runs),
  start: () => startSection(),
  ssh: () => sshSection(),
  cost: () => costSection(),
};

// What the labs started ends with this process, however that ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const argv = process.argv.slice(2);
try {
  const given = parseArguments(argv);
  if (given) await bench(given);
  else process.stdout.write(`${usage}\n`);
} catch (error) {
  // A mistake of the user's is one line; anything else is ours and shows its stack.
  const mistake = error instanceof UsageError;
  process.stderr.write(`${mistake ? error.message : error instanceof Error ? error.stack : error}\n`);
  process.exitCode = mistake ? 2 : 1;
}

async function bench(given: BenchArguments): Promise<void> {
  const record: BenchRecord = {
    ...circumstances(),
    command: ['pnpm bench', ...argv.filter((one) => one !== '--')].join(' '),
    sections: [],
  };
  process.stdout.write(`${record.commit}, ${record.date}: ${record.machine}\n\n`);
  for (const name of given.only) {
    const section = await measured[name](given);
    record.sections.push(section);
    process.stdout.write(`${renderText(section)}\n`);
  }
  const text = `${JSON.stringify(record, null, 2)}\n`;
  for (const path of [...(given.json ? [given.json] : []), ...(given.record ? [recordPath] : [])]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}
