import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineAction, type Log, messageOf, UserError } from '@lockkeeper/action';
import { addressRows, deadAddresses } from './addresses.ts';
import { judge } from './gate.ts';
import { parseInputs } from './inputs.ts';
import { nextCommand } from './next-command.ts';
import { networkOutside } from './outside.ts';
import { type GateReport, observationsOf, reportFile } from './report.ts';
import { summaryOf } from './summary.ts';

export const run = defineAction({
  async main({ inputs: given, clock, log, signal, output, summary, context }) {
    const inputs = parseInputs(given);
    if (!inputs.tls.verify) log.info('tls-verify is false: whoever answers is believed');
    const outside = networkOutside(inputs, { clock, log, signal });
    const report = await judge(inputs, outside);

    const file = join(context.temp, `health-gate-${process.pid}.json`);
    try {
      writeFileSync(file, `${JSON.stringify(reportFile(report), null, 2)}\n`);
      log.info(`every probe: ${file}`);
    } catch (error) {
      log.warning(`the report could not be written: ${messageOf(error)}`);
    }
    output('verdict', report.verdict);
    output('reason', report.reason);
    output('live-version', report.liveVersion);
    output('versions-seen', report.versionsSeen);
    output('samples', report.samples);
    output('error-rate', report.errorRate.toFixed(4));
    output('p50-ms', Math.round(report.p50));
    output('p95-ms', Math.round(report.p95));
    output('report', file);
    await summary(summaryOf(report));
    warnOfDeadAddresses(report, log);

    signal.throwIfAborted();
    if (inputs.dryRun) log.notice(`dry run: ${report.reason}`);
    else if (report.verdict === 'healthy') log.info(`healthy: ${report.reason}`);
    else
      throw new UserError(`${report.verdict}: ${report.reason}${servesNow(report)}`, {
        next: `see what it answers: ${nextCommand(report, inputs, outside.show)}`,
      });
  },
});

/** What users get now, where the reason does not say so itself. */
const servesNow = ({ liveVersion, reason }: GateReport) =>
  liveVersion && !reason.includes(liveVersion) ? `; ${liveVersion} is what serves` : '';

function warnOfDeadAddresses({ urls }: GateReport, log: Log): void {
  for (const report of urls)
    for (const { address, refused, code } of deadAddresses(addressRows(observationsOf(report))))
      log.warning(
        `${report.url}: ${address} took none of ${refused} connections (${code}), though its name leads there; users who are given this address wait for another, or fail`,
      );
}
