import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineAction, UserError } from '@lockkeeper/action';
import { probe } from '@lockkeeper/probe';
import { type Ask, judge } from './gate.ts';
import { parseInputs } from './inputs.ts';
import { withoutSecrets } from './redaction.ts';
import { summaryOf } from './summary.ts';

export const run = defineAction({
  async main({ inputs: given, clock, log, signal, output, summary, context }) {
    const inputs = parseInputs(given);
    const ask: Ask = async (url) => {
      const sample = await probe({ ...inputs, url, timeout: inputs.probeTimeout }, { clock, signal });
      return withoutSecrets(sample, inputs.secrets);
    };
    const report = await judge(inputs.dryRun ? { ...inputs, timeout: 0 } : inputs, {
      ask,
      clock,
      log,
      signal,
    });

    const file = join(context.temp, `health-gate-${process.pid}.json`);
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
    output('verdict', report.verdict);
    output('reason', report.reason);
    output('live-version', report.liveVersion);
    output('versions-seen', report.versionsSeen);
    output('samples', report.samples);
    output('error-rate', report.errorRate.toFixed(4));
    output('p50-ms', report.p50);
    output('p95-ms', report.p95);
    output('report', file);
    await summary(summaryOf(report));

    if (inputs.dryRun) log.notice(`dry run: ${report.reason}`);
    else if (report.verdict === 'healthy') log.info(`healthy: ${report.reason}`);
    else throw new UserError(`${report.verdict}: ${report.reason}`);
  },
});
