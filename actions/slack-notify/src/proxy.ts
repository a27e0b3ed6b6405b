import * as http from 'node:http';

/** What Node 24.14 and later offer; earlier ones take a proxy only from NODE_USE_ENV_PROXY, at their start. */
export type SetProxy = (env: Record<string, string | undefined>) => unknown;
const nodes = (http as { setGlobalProxyFromEnv?: SetProxy }).setGlobalProxyFromEnv ?? null;

const names = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'];

/**
 * Lets fetch go by the proxy that the environment names, which Node does not do by itself. Answers which variables
 * those are, '' for none; `problem` when it cannot be. A proxy's address may hold a password, so it is not repeated.
 */
export function useProxy(
  env: Record<string, string | undefined>,
  setProxy: SetProxy | null = nodes,
): { by: string; problem?: string } {
  const by = names.filter((name) => env[name]).join(', ');
  if (!by || env.NODE_USE_ENV_PROXY === '1') return { by };
  if (!setProxy)
    return {
      by: '',
      problem: `${by} is not used: Node ${process.version} of this runner needs NODE_USE_ENV_PROXY=1 beside it`,
    };
  try {
    setProxy(env);
    return { by };
  } catch {
    return {
      by: '',
      problem: `${by} is not used: it is not the URL of a proxy, such as http://10.0.0.1:3128`,
    };
  }
}
