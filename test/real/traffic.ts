import { get } from 'node:http';

/** One request of a user's: when it began, and which version answered or what went wrong. */
export interface Request {
  at: number;
  /** Undefined where no version answered. */
  version: string | undefined;
  problem: string;
}

/** What users saw while a test ran. */
export interface Seen {
  requests: Request[];
  /** The last version that answered. */
  last: string | undefined;
  /** In their order, each once. */
  versions: string[];
  failed: number;
  /** Seconds from the last answer before a failure to the first one after it, all of them together. */
  downtime: number;
}

/** Milliseconds between a user's answer and their next request. */
const pause = 100;

/** Asks again and again, as users do, until it is ended. */
export class Traffic {
  readonly #url: string;
  readonly #requests: Request[] = [];
  #ended = false;
  readonly #loop: Promise<void>;

  constructor(url: string) {
    this.#url = url;
    this.#loop = this.#ask();
  }

  async #ask(): Promise<void> {
    while (!this.#ended) {
      const at = performance.now();
      this.#requests.push({ at, ...(await request(this.#url)) });
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Ends it with one more request, after whatever went on before. */
  async end(): Promise<Seen> {
    this.#ended = true;
    await this.#loop;
    const at = performance.now();
    this.#requests.push({ at, ...(await request(this.#url)) });
    return see(this.#requests);
  }
}

/** Pure. */
export function see(requests: Request[]): Seen {
  const good = requests.filter(({ version }) => version !== undefined);
  let downtime = 0;
  let goodUntil: number | undefined;
  let down = false;
  for (const { at, version } of requests) {
    if (version === undefined) down = true;
    else {
      if (down && goodUntil !== undefined) downtime += at - goodUntil;
      goodUntil = at;
      down = false;
    }
  }
  return {
    requests,
    last: requests.at(-1)?.version,
    versions: good.map(({ version }) => version!).filter((version, index, all) => version !== all[index - 1]),
    failed: requests.length - good.length,
    downtime: Math.round(downtime / 100) / 10,
  };
}

/** One request on a connection of its own. */
export function request(url: string): Promise<Pick<Request, 'version' | 'problem'>> {
  return new Promise((resolve) => {
    const nobody = (problem: string) => resolve({ version: undefined, problem });
    const asked = get(url, { agent: false, timeout: 5_000 }, (response) => {
      let body = '';
      response.on('data', (data) => {
        body += data;
      });
      response.on('error', (error) => nobody(error.message));
      response.on('end', () => {
        if (response.statusCode !== 200) return nobody(`answered ${response.statusCode}`);
        try {
          resolve({ version: (JSON.parse(body) as { version: string }).version, problem: '' });
        } catch {
          resolve({ version: body.trim(), problem: '' });
        }
      });
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer within 5 s')));
    asked.once('error', (error) => nobody(error.message));
  });
}
