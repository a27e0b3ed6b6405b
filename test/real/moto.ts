import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openApt } from './network/apt.ts';
import { cache, once } from './network/cache.ts';
import { releases } from './network/compose-versions.ts';
import { codename } from './network/prerequisites.ts';

/** moto's stand-in for EC2, which others wrote from AWS's documents: what we think of AWS can be wrong twice. */
export interface Moto {
  version: string;
  /** For AWS_ENDPOINT_URL. */
  url: string;
  close(): Promise<void>;
}

/** Starts Debian's moto_server, from the first release, this machine's or a later one, that has it. */
export async function openMoto(): Promise<Moto> {
  const { version, directory } = await findMoto();
  const usr = join(directory, 'usr');
  const [libraries] = await matching(join(usr, 'lib'), /-linux-gnu$/);
  const [loader] = [
    ...(await matching(join(usr, 'lib64'), /^ld-linux/)),
    ...(await matching(join(usr, 'lib'), /^ld-linux/)),
  ];
  const [python] = await matching(join(usr, 'bin'), /^python3\.\d+$/);
  // A later release's Python, with its own C library: nothing of this machine's is used, or changed.
  const child = spawn(
    loader!,
    ['--library-path', libraries!, python!, join(usr, 'bin/moto_server'), '-H', '127.0.0.1', '-p', '0'],
    {
      env: { PYTHONHOME: usr, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    return {
      version,
      url: await urlOf(child),
      close: () => {
        child.kill();
        return ended;
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

async function findMoto(): Promise<{ version: string; directory: string }> {
  const suites = releases.slice(releases.indexOf(await codename()));
  for (const suite of suites) {
    const directory = await once(join(cache, 'moto', suite), async (empty) => {
      const apt = await openApt(suite);
      const version = await apt?.version('python3-moto');
      if (!apt || !version) throw new Error(`Debian ${suite} gives no python3-moto`);
      await apt.unpack(await apt.closure(['python3-moto', 'python3-flask', 'python3-flask-cors']), empty);
      await writeFile(join(empty, 'version'), version);
    }).catch(() => undefined);
    if (directory) return { directory, version: await readFile(join(directory, 'version'), 'utf8') };
  }
  throw new Error(`none of Debian ${suites.join(', ')} gives python3-moto; is there a network?`);
}

/** Paths of what lies in a directory and is named so; none when there is no such directory. */
async function matching(directory: string, name: RegExp): Promise<string[]> {
  const found = await readdir(directory).catch((): string[] => []);
  return found.filter((one) => name.test(one)).map((one) => join(directory, one));
}

/** The address that it says it listens at. Throws what it said instead when it ends. */
function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (data: Buffer) => {
      said += data;
      const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1];
      if (url) resolve(url);
    };
    child.stdout!.on('data', hear);
    child.stderr!.on('data', hear);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`moto_server ended with ${code}: ${said.slice(-2_000)}`)));
  });
}
