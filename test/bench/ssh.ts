import { spawn } from 'node:child_process';
import { Writable } from 'node:stream';
import { memoryLog } from '@lockkeeper/action';
import { connect, parseHostTrust, type SshTarget } from '@lockkeeper/ssh';
import { systemClock } from '@lockkeeper/wait';
import { median, type Section } from './figures.ts';
import { missing } from './missing.ts';
import { openSshd, type Sshd } from './sshd.ts';

/** Scripts that a side runs on the host one after another; answers how many bytes of output came. */
type Client = (scripts: readonly string[]) => Promise<number>;

/** Connects once, as a deploy does, and runs them all. */
function ourClient(sshd: Sshd): Client {
  const target: SshTarget = {
    host: '127.0.0.1',
    port: sshd.port,
    username: sshd.user,
    privateKey: sshd.privateKey,
    trust: parseHostTrust({ knownHosts: sshd.knownHosts }),
    connectTimeout: 10_000,
  };
  return async (scripts) => {
    const shell = await connect(target, { log: memoryLog(), clock: systemClock });
    let bytes = 0;
    try {
      for (const script of scripts) {
        const stdout = new Writable({
          write(chunk: Buffer, _encoding, done) {
            bytes += chunk.length;
            done();
          },
        });
        const { code } = await shell.run(script, { stdout });
        if (code !== 0) throw new Error(`"${script}" ended with ${code}`);
      }
    } finally {
      await shell.close();
    }
    return bytes;
  };
}

/** A process and a connection for each, as a script has it. */
function openSsh({ port, user, keyFile, knownHostsFile }: Sshd): Client {
  const options = [
    ...['-F', 'none', '-i', keyFile, '-p', String(port)],
    ...['IdentitiesOnly=yes', 'BatchMode=yes', `UserKnownHostsFile=${knownHostsFile}`].flatMap((one) => [
      '-o',
      one,
    ]),
  ];
  const run = (script: string) =>
    new Promise<number>((resolve, reject) => {
      const child = spawn('ssh', [...options, `${user}@127.0.0.1`, script], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let bytes = 0;
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      child.once('error', reject);
      child.once('close', (code) =>
        code === 0 ? resolve(bytes) : reject(new Error(`ssh ended with ${code}: ${said.trim()}`)),
      );
    });
  return async (scripts) => {
    let bytes = 0;
    for (const script of scripts) bytes += await run(script);
    return bytes;
  };
}

/**
 * Our SSH client beside OpenSSH's, on one real server: one command `rounds` times, `commands` of them in a row, and one
 * with `mb` megabytes of output, less often.
 */
export async function sshSection({ rounds = 11, commands = 10, mb = 200 } = {}): Promise<Section> {
  const section: Section = {
    name: 'ssh',
    title: "Our SSH client beside OpenSSH's",
    columns: [
      { key: 'what', heading: '' },
      { key: 'theirs', heading: 'ssh (ms)' },
      { key: 'ours', heading: 'ours (ms)' },
      { key: 'ratio', heading: 'ours / ssh', digits: 2 },
    ],
    rows: [],
    notes: [
      'One OpenSSH server on loopback, host key pinned for both, interleaved, medians. Ours is in a process that runs already, as in a deploy.',
    ],
  };
  const refused = missing('ssh', '-V');
  const sshd = refused ?? (await openSshd());
  if (typeof sshd === 'string') return { ...section, notes: [`Not measured: ${sshd}.`] };
  try {
    const sides = { theirs: openSsh(sshd), ours: ourClient(sshd) };
    const cases = [
      { what: 'connect and run one command', rounds, scripts: ['true'], bytes: 0 },
      {
        what: `${commands} commands`,
        rounds: Math.ceil(rounds / 2),
        scripts: Array.from({ length: commands }, () => 'true'),
        bytes: 0,
      },
      {
        what: `${mb} MB of output`,
        rounds: Math.ceil(rounds / 4),
        scripts: [`head -c ${mb}000000 /dev/zero`],
        bytes: mb * 1_000_000,
      },
    ];
    for (const { what, rounds, scripts, bytes } of cases) {
      const ms: Record<keyof typeof sides, number[]> = { theirs: [], ours: [] };
      for (let round = 0; round < rounds; round++)
        for (const side of ['theirs', 'ours'] as const) {
          const began = performance.now();
          const came = await sides[side](scripts);
          ms[side].push(performance.now() - began);
          if (came !== bytes) throw new Error(`${what}, ${side}: ${came} bytes came, expected ${bytes}`);
        }
      const [theirs, ours] = [median(ms.theirs), median(ms.ours)];
      section.rows.push({ what, theirs, ours, ratio: ours / theirs });
    }
    return section;
  } finally {
    await sshd.close();
  }
}
