import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, errors, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import type { LabClock } from '../clock.ts';
import { AwsError } from './query.ts';

export interface TokenRequest {
  subject: string;
  audience: string;
  /** More claims, such as repository, ref, environment or run_id. */
  claims?: Record<string, unknown>;
  /** Lab ms; 5 minutes when left out, as in GitHub's example token. */
  lifetimeMs?: number;
}

/** What a job that has `id-token: write` finds in ACTIONS_ID_TOKEN_REQUEST_URL and …_TOKEN. */
export interface TokenGrant {
  requestUrl: string;
  requestToken: string;
  revoke(): void;
}

/** Issues identity tokens as GitHub does, and says whether a token is its own. Token times are lab time. */
export class OidcIssuer {
  readonly issuer: string;
  readonly #clock: LabClock;
  readonly #keys: { publicKey: CryptoKey; privateKey: CryptoKey };
  #serial = 0;

  private constructor(
    issuer: string,
    clock: LabClock,
    keys: { publicKey: CryptoKey; privateKey: CryptoKey },
  ) {
    this.issuer = issuer;
    this.#clock = clock;
    this.#keys = keys;
  }

  /** Makes an issuer with a new RSA key. */
  static async create({
    clock,
    issuer = 'https://token.actions.githubusercontent.com',
  }: {
    clock: LabClock;
    issuer?: string;
  }): Promise<OidcIssuer> {
    return new OidcIssuer(issuer, clock, await generateKeyPair('RS256'));
  }

  /** A signed token (RS256). */
  async issue({ subject, audience, claims = {}, lifetimeMs = 300_000 }: TokenRequest): Promise<string> {
    const now = Math.floor(this.#clock.now() / 1000);
    this.#serial += 1;
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'lab' })
      .setIssuer(this.issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setJti(String(this.#serial))
      .setNotBefore(now - 600)
      .setIssuedAt(now)
      .setExpirationTime(now + Math.round(lifetimeMs / 1000))
      .sign(this.#keys.privateKey);
  }

  /** Who the token is for; throws what STS answers to a token that is expired or not this issuer's. */
  async verify(token: string): Promise<{ subject: string; audience: string }> {
    const now = new Date(this.#clock.now());
    try {
      const { payload } = await jwtVerify(token, this.#keys.publicKey, {
        issuer: this.issuer,
        algorithms: ['RS256'],
        currentDate: now,
        requiredClaims: ['sub', 'aud', 'exp'],
      });
      const audience = Array.isArray(payload.aud) ? payload.aud[0] : payload.aud;
      return { subject: payload.sub!, audience: audience ?? '' };
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        const seconds = Math.floor(now.getTime() / 1000);
        throw new AwsError(
          'ExpiredTokenException',
          `Token expired: current date/time ${seconds} must be before the expiration date/time ${error.payload.exp}`,
        );
      }
      if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'iss') {
        throw new AwsError(
          'InvalidIdentityToken',
          `No OpenIDConnect provider found in your account for ${String(error.payload.iss)}`,
        );
      }
      throw new AwsError(
        'InvalidIdentityToken',
        error instanceof errors.JWSSignatureVerificationFailed
          ? 'The web identity token that was passed could not be validated: its signature does not fit the key of the identity provider'
          : 'The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)',
      );
    }
  }

  /**
   * Serves the runner's token endpoint on loopback: GET `<requestUrl>&audience=X` with the job's bearer token answers
   * `{value}`. The issuer's key and discovery document lie beside it.
   */
  async serve(): Promise<OidcEndpoint> {
    const grants = new Map<string, Omit<TokenRequest, 'audience'>>();
    const jwk = { ...(await exportJWK(this.#keys.publicKey)), alg: 'RS256', use: 'sig', kid: 'lab' };
    const server = createServer(async (request, response) => {
      const answer = (status: number, body: unknown) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      const url = new URL(request.url ?? '/', 'http://127.0.0.1');
      if (url.pathname === '/.well-known/jwks') return answer(200, { keys: [jwk] });
      if (url.pathname === '/.well-known/openid-configuration') {
        return answer(200, {
          issuer: this.issuer,
          jwks_uri: `${this.issuer}/.well-known/jwks`,
          id_token_signing_alg_values_supported: ['RS256'],
        });
      }
      if (url.pathname !== '/token') return answer(404, { message: 'not found' });
      const [, bearer] = /^bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
      const grant = grants.get(bearer ?? '');
      if (!grant) return answer(401, { message: 'the request token is not valid' });
      const owner = String(grant.claims?.repository_owner ?? 'owner');
      const audience = url.searchParams.get('audience') || `https://github.com/${owner}`;
      return answer(200, { count: 1, value: await this.issue({ ...grant, audience }) });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    let granted = 0;
    return {
      url,
      grant(request) {
        granted += 1;
        const requestToken = `job-${granted}-${crypto.randomUUID()}`;
        grants.set(requestToken, request);
        return {
          requestUrl: `${url}/token?api-version=2.0`,
          requestToken,
          revoke: () => void grants.delete(requestToken),
        };
      },
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
  }
}

export interface OidcEndpoint {
  readonly url: string;
  /** Lets one job ask for tokens of this subject. */
  grant(request: Omit<TokenRequest, 'audience'>): TokenGrant;
  close(): Promise<void>;
}
