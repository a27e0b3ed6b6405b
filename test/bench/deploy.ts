import { median, type Section } from './figures.ts';
import { missing } from './missing.ts';
import { type Deploy, measure, ours, theirs } from './stage.ts';

/** Users of the teams' load test: 40 requests a second. */
const rps = 40;

/** Theirs and ours in turn, so often; the first to go changes with each run. */
async function inTurn(
  runs: number,
  sides: Record<'theirs' | 'ours', () => Promise<Deploy>>,
): Promise<Record<'theirs' | 'ours', Deploy[]>> {
  const done: Record<'theirs' | 'ours', Deploy[]> = { theirs: [], ours: [] };
  for (let run = 0; run < runs; run++)
    for (const side of run % 2 === 0 ? (['theirs', 'ours'] as const) : (['ours', 'theirs'] as const))
      done[side].push(await sides[side]());
  return done;
}

const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
const seconds = (deploys: readonly Deploy[]) => median(deploys.map((one) => one.seconds));
const out = (deploys: readonly Deploy[]) => median(deploys.flatMap((one) => one.out));
const lost = (deploys: readonly Deploy[]) =>
  `${sum(deploys.map((one) => one.lost))} of ${sum(deploys.map(({ requests }) => requests))}`;

/** The whole deploy of two hosts behind the load balancer. */
export async function deploySection(runs: number, delays: readonly number[]): Promise<Section> {
  const section: Section = {
    name: 'deploy',
    title: 'Two hosts behind the load balancer: a whole deploy',
    columns: [
      { key: 'delay', heading: 'deregistration delay (s)' },
      { key: 'theirs', heading: 'theirs (s)' },
      { key: 'ours', heading: 'ours (s)' },
      { key: 'ratio', heading: 'ours / theirs', digits: 2 },
      { key: 'theirsOut', heading: 'target out, theirs (s)' },
      { key: 'oursOut', heading: 'target out, ours (s)' },
      { key: 'theirsLost', heading: 'lost, theirs' },
      { key: 'oursLost', heading: 'lost, ours' },
    ],
    rows: [],
    notes: [
      `Theirs is test/bench/their-roll.sh with the AWS CLI's waiters and OpenSSH; ours is the bundle of rolling-alb-deploy with its defaults. Median of ${runs}, at the pace of AWS, ${rps} requests a second, health checks every 30 s; an image is pulled in no time here, which favours theirs: it pulls while the target is out.`,
    ],
  };
  const why = missing('aws', '--version') ?? missing('ssh', '-V');
  if (why) return { ...section, notes: [`Not measured: ${why} (Debian: awscli, openssh-client).`] };
  for (const delay of delays) {
    const settings = { hosts: 2, deregistrationDelay: delay };
    const done = await inTurn(runs, {
      theirs: () => measure(settings, rps, theirs('their-roll.sh')),
      ours: () => measure(settings, rps, ours('rolling-alb-deploy')),
    });
    section.rows.push({
      delay,
      theirs: seconds(done.theirs),
      ours: seconds(done.ours),
      ratio: seconds(done.ours) / seconds(done.theirs),
      theirsOut: out(done.theirs),
      oursOut: out(done.ours),
      theirsLost: lost(done.theirs),
      oursLost: lost(done.ours),
    });
  }
  return section;
}

/** The deploy of one server without a load balancer, where a restart is a pause for both. */
export async function serverSection(runs: number): Promise<Section> {
  const section: Section = {
    name: 'server',
    title: 'One server: a whole deploy',
    columns: [
      { key: 'what', heading: '' },
      { key: 'theirs', heading: 'theirs', digits: 1 },
      { key: 'ours', heading: 'ours', digits: 1 },
      { key: 'ratio', heading: 'ours / theirs', digits: 2 },
    ],
    rows: [],
    notes: [
      `Theirs is test/bench/their-server.sh: pull, up, ten seconds, one look, and no way back. Ours is the bundle of compose-deploy with its defaults: it stages, watches the release for ten seconds and keeps what to go back to. Median of ${runs}; ${rps} requests a second.`,
    ],
  };
  const why = missing('ssh', '-V') ?? missing('curl', '--version');
  if (why) return { ...section, notes: [`Not measured: ${why}.`] };
  const settings = { hosts: 1, balanced: false };
  const done = await inTurn(runs, {
    theirs: () => measure(settings, rps, theirs('their-server.sh')),
    ours: () => measure(settings, rps, ours('compose-deploy')),
  });
  section.rows.push(
    {
      what: 'seconds',
      theirs: seconds(done.theirs),
      ours: seconds(done.ours),
      ratio: seconds(done.ours) / seconds(done.theirs),
    },
    { what: 'requests lost in the restart', theirs: lost(done.theirs), ours: lost(done.ours) },
  );
  return section;
}
