// Keeps a lab open, and answers for it on a socket in a directory that only its user can read.
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { type Lab, observeLab, openLab, type Place, renderMessage } from '@lockkeeper/lab';
import { shippedPolicy } from '@lockkeeper/rehearsal';
import type { LabFacts, LabState } from './facts.ts';

export interface KeeperSettings {
  hosts: number;
  scale: number;
  /** Path of the socket; Linux allows 107 bytes. */
  socket: string;
}

export interface Keeper {
  facts: LabFacts;
  engine: string;
  close(): Promise<void>;
  /** Settles when the lab is closed, also by somebody at the socket. */
  closed: Promise<void>;
}

/** Opens a lab in this process. Its user may do what the actions' own IAM policies allow. */
export async function keepLab({ hosts, scale, socket }: KeeperSettings): Promise<Keeper> {
  if (Buffer.byteLength(socket) > 107)
    throw new Error(`the path of the lab's socket is too long (107 bytes at most): ${socket}`);
  let place: Place | undefined;
  const lab = await openLab({
    scale,
    seed: 1,
    hosts,
    repository: 'lockkeeper/lockkeeper',
    policy: (here) => {
      place = here;
      return shippedPolicy(here);
    },
  });
  const user = lab.account.addUser({ policy: shippedPolicy(place!) });
  const addresses = lab.hosts.map(({ host }) => host.address);
  const facts: LabFacts = {
    vars: { ...lab.vars(), HOSTS: addresses.join('\n'), HOST: addresses[0]! },
    secrets: lab.secrets(),
    // Keys, because a lab cannot verify the identity tokens that GitHub issues.
    env: {
      ...lab.runnerEnv(),
      AWS_REGION: lab.account.region,
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
    },
  };
  const before = {
    rules: new Set(rulesOf(lab).map(({ id }) => id)),
    targets: lab.group.health().map(({ id }) => id),
  };

  let settle = () => {};
  const closed = new Promise<void>((resolve) => {
    settle = resolve;
  });
  let closing: Promise<void> | undefined;
  const closeLab = () => {
    closing ??= lab.close();
    return closing;
  };
  const close = async () => {
    await closeLab();
    server.close();
    server.closeAllConnections();
    await rm(socket, { force: true });
    settle();
  };
  const answers: Record<string, (body: unknown) => Promise<unknown>> = {
    'GET /facts': async () => facts,
    'GET /state': () => stateOf(lab, before),
    'POST /push': async (body) => {
      const { version, sick } = body as { version: string; sick?: string };
      return { digest: await lab.pushApp(version, sick) };
    },
    // The caller gets its answer when everything is down; the socket goes with the answer.
    'POST /close': async () => {
      await closeLab();
      return { pid: process.pid };
    },
  };
  const server = createServer((request, response) => {
    const answer = answers[`${request.method} ${request.url}`];
    const reply = (status: number, body: unknown) =>
      response
        .writeHead(status, { 'content-type': 'application/json', connection: 'close' })
        .end(JSON.stringify(body));
    if (!answer) return reply(404, { error: `${request.method} ${request.url} is not known` });
    if (request.url === '/close') response.once('close', () => void close());
    bodyOf(request)
      .then(answer)
      .then((body) => reply(200, body))
      .catch((error) => reply(500, { error: error instanceof Error ? error.message : String(error) }));
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socket, resolve);
    });
  } catch (error) {
    await lab.close();
    throw error;
  }
  return { facts, engine: lab.engine, close, closed };
}

const rulesOf = (lab: Lab) => lab.account.securityGroups.get(lab.securityGroupId)!.rules;

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const text = Buffer.concat(await request.toArray()).toString();
  return text === '' ? undefined : JSON.parse(text);
}

async function stateOf(lab: Lab, before: { rules: Set<string>; targets: string[] }): Promise<LabState> {
  const { rules, openHosts, targets } = await observeLab(lab);
  return {
    rules: rules.filter(({ id }) => !before.rules.has(id)).map(({ id, cidr }) => `${id} (${cidr})`),
    openPorts: openHosts.map((address) => `${address}:${lab.vars().SSH_PORT}`),
    expectedTargets: before.targets,
    targets,
    slack: lab.slack.messages.map(({ payload }) => renderMessage(payload)),
  };
}
