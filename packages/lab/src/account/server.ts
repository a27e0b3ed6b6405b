import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Account, Principal } from './account.ts';
import { autoscaling } from './autoscaling.ts';
import { type Call, callFrom } from './calls.ts';
import { ec2 } from './ec2.ts';
import { elbv2 } from './elbv2.ts';
import { broken, type Fault, throttled } from './faults.ts';
import type { OidcIssuer } from './oidc.ts';
import { AwsError, answerBody, errorBody, Query, type ServiceName } from './query.ts';
import { isSignedBy, parseAmzDate, parseAuthorization, type SignedRequest } from './signature.ts';
import { sts } from './sts.ts';
import { type Operations, Turn } from './turn.ts';

export interface AwsEndpoint {
  /** For AWS_ENDPOINT_URL: all services answer here. */
  readonly url: string;
  close(): Promise<void>;
}

/** How far a signed date may be from the service's own clock (AWS General Reference, Signature Version 4). */
const signatureLifeMs = 5 * 60_000;

/** Puts the account behind one HTTP endpoint on loopback, for every service it has. */
export async function serveAws(account: Account, { oidc }: { oidc?: OidcIssuer } = {}): Promise<AwsEndpoint> {
  const operations: Record<ServiceName, Operations> = {
    ec2,
    elasticloadbalancing: elbv2,
    autoscaling,
    sts: sts(oidc),
  };
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    serve(account, operations, request, response).catch((error) => {
      // A fault of the lab itself: say so on both sides rather than leave the caller waiting.
      response.destroy(error instanceof Error ? error : new Error(String(error)));
      process.emitWarning(`the lab's AWS endpoint failed: ${error?.stack ?? error}`);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function serve(
  account: Account,
  operations: Record<ServiceName, Operations>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  if (body === undefined) return;
  const query = Query.parse(body);
  const call = callFrom(query, account.clock.now());
  account.calls.push(call);
  const service = call.service === 'unknown' ? 'ec2' : call.service;
  const fault = account.faults.strike(call);
  if (fault?.kind === 'hang') {
    // Ends with the caller's patience, or with the server.
    account.finishCall(call, 'hung');
    return;
  }
  if (fault?.kind === 'drop') {
    account.finishCall(call, 'dropped');
    request.socket.destroy();
    return;
  }

  const skewMs = fault?.kind === 'skew' ? fault.byMs : 0;
  const requestId = randomUUID();
  let status = 200;
  let outcome: Call['outcome'] = 'ok';
  let xml: string;
  try {
    refuseByFault(service, fault);
    const operation = operationOf(operations, call);
    const signed: SignedRequest = {
      method: request.method ?? 'POST',
      path: request.url ?? '/',
      headers: joinedHeaders(request),
      body,
    };
    // AssumeRoleWithWebIdentity is not signed: its token is the proof.
    const principal =
      call.action === 'AssumeRoleWithWebIdentity'
        ? undefined
        : authenticate(account, service, signed, { skewMs, expired: fault?.kind === 'expired' });
    call.principal = principal?.arn ?? '';
    if (fault?.kind === 'denied' && service === 'sts') {
      throw new AwsError('AccessDenied', `Not authorized to perform sts:${call.action}`, 403);
    }
    const result = await operation(new Turn({ account, service, query, call, principal, fault }));
    xml = answerBody(service, call.action, result, requestId);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    status = error.status;
    outcome = error.code;
    xml = errorBody(service, error, requestId);
  }

  if (fault?.kind === 'lost-response') {
    account.finishCall(call, 'response-lost');
    request.socket.destroy();
    return;
  }
  if (fault?.kind === 'slow') await account.clock.sleep(fault.ms);
  account.finishCall(call, outcome);
  response.writeHead(status, {
    'content-type': 'text/xml;charset=UTF-8',
    'x-amzn-requestid': requestId,
    date: new Date(Date.now() + skewMs).toUTCString(),
  });
  response.end(xml);
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // The caller went away before it had finished asking.
    return undefined;
  }
  return Buffer.concat(chunks).toString();
}

function joinedHeaders(request: IncomingMessage): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : value,
    ]),
  );
}

function operationOf(operations: Record<ServiceName, Operations>, call: Call) {
  if (call.service === 'unknown') {
    throw new AwsError(
      'InvalidAction',
      `the lab speaks EC2 2016-11-15, ELB 2015-12-01, Auto Scaling 2011-01-01 and STS 2011-06-15; this asked for ${call.action || 'nothing'}`,
    );
  }
  const known = operations[call.service];
  const operation = Object.hasOwn(known, call.action) ? known[call.action] : undefined;
  if (!operation) {
    throw new AwsError(
      'InvalidAction',
      `The action ${call.action} is not valid for this web service: the lab's ${call.service} has ${Object.keys(known).join(', ')}`,
    );
  }
  return operation;
}

function refuseByFault(service: ServiceName, fault: Fault | undefined): void {
  if (fault?.kind === 'throttle') throw throttled(service);
  if (fault?.kind === '5xx') throw broken(service, fault.status);
  if (fault?.kind === 'error') throw new AwsError(fault.code, fault.message, fault.status ?? 400);
}

/** Who signed the request; throws the refusal of the service. Signing dates are wall-clock time, sessions end in lab time. */
function authenticate(
  account: Account,
  service: ServiceName,
  request: SignedRequest,
  { skewMs, expired }: { skewMs: number; expired: boolean },
): Principal {
  const header = parseAuthorization(request.headers.authorization);
  if (!header) {
    throw new AwsError('MissingAuthenticationToken', 'Request is missing Authentication Token', 403);
  }
  if (header.service !== service) {
    throw unsigned(service, `Credential should be scoped to correct service: '${service}'. `);
  }
  // The global STS endpoint is signed for us-east-1.
  if (header.region !== account.region && !(service === 'sts' && header.region === 'us-east-1')) {
    throw unsigned(
      service,
      `Credential should be scoped to a valid region: everything in this account is in ${account.region}, not in ${header.region}. `,
    );
  }
  const principal = account.principals.get(header.accessKeyId);
  if (!principal || principal.sessionToken !== request.headers['x-amz-security-token']) {
    throw service === 'ec2'
      ? new AwsError('AuthFailure', 'AWS was not able to validate the provided access credentials', 401)
      : new AwsError('InvalidClientTokenId', 'The security token included in the request is invalid.', 403);
  }
  const signedAt = parseAmzDate(request.headers['x-amz-date']);
  const now = Date.now() + skewMs;
  if (!(Math.abs(now - signedAt) <= signatureLifeMs)) {
    throw service === 'ec2'
      ? new AwsError('RequestExpired', 'Request has expired.', 400)
      : new AwsError(
          'SignatureDoesNotMatch',
          `Signature ${signedAt < now ? 'expired' : 'not yet current'}: the request was signed at ${request.headers['x-amz-date']}, and it is ${new Date(now).toISOString()} here (5 min. are allowed)`,
          403,
        );
  }
  if (!isSignedBy(principal.secretAccessKey, header, request)) {
    throw unsigned(
      service,
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  if (expired || (principal.expiresAt !== undefined && account.clock.now() >= principal.expiresAt)) {
    throw service === 'ec2'
      ? new AwsError('RequestExpired', 'Request has expired.', 400)
      : new AwsError('ExpiredToken', 'The security token included in the request is expired', 403);
  }
  return principal;
}

/** A signature that does not hold: EC2 says AuthFailure, the others SignatureDoesNotMatch. */
function unsigned(service: ServiceName, message: string): AwsError {
  return service === 'ec2'
    ? new AwsError('AuthFailure', 'AWS was not able to validate the provided access credentials', 401)
    : new AwsError('SignatureDoesNotMatch', message, 403);
}
