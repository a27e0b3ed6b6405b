import { describe, expect, it } from '@jest/globals';
import { useProxy } from '../src/proxy.ts';

describe('the proxy of the environment', () => {
  const used = (env: Record<string, string>, refuse = false) => {
    const given: unknown[] = [];
    const result = useProxy(env, (one) => {
      if (refuse) throw new Error(`bad ${env.HTTPS_PROXY}`);
      given.push(one);
    });
    return { ...result, given };
  };

  it('is used, and its variables are named without what they hold', () => {
    const env = {
      HTTPS_PROXY: 'http://user:pa55word@10.0.0.1:3128',
      http_proxy: 'http://10.0.0.1:3128',
      NO_PROXY: '.example',
    };
    expect(used(env)).toEqual({ by: 'HTTPS_PROXY, http_proxy', given: [env] });
  });

  it('is left alone where there is none', () =>
    expect(used({ HTTPS_PROXY: '', NO_PROXY: '*' })).toEqual({ by: '', given: [] }));

  it('is left to Node where Node took it at its start', () =>
    expect(used({ HTTPS_PROXY: 'http://10.0.0.1:3128', NODE_USE_ENV_PROXY: '1' })).toEqual({
      by: 'HTTPS_PROXY',
      given: [],
    }));

  it('that is none is told, and not repeated', () => {
    const { by, problem } = used({ HTTPS_PROXY: 'user:pa55word@' }, true);
    expect(by).toBe('');
    expect(problem).toMatch(/^HTTPS_PROXY is not used: it is not the URL of a proxy/);
    expect(problem).not.toContain('pa55word');
  });

  it('is told to be out of reach for a Node that cannot set it', () =>
    expect(useProxy({ https_proxy: 'http://10.0.0.1:3128' }, null)).toEqual({
      by: '',
      problem: expect.stringMatching(/^https_proxy is not used: .* needs NODE_USE_ENV_PROXY=1/),
    }));
});
