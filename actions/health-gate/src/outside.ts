import { probe } from '@lockkeeper/probe';
import { holdWebSocket, probeWebSocket } from '@lockkeeper/probe/websocket';
import type { Outside } from './gate.ts';
import { type GateInputs, isWebSocket } from './inputs.ts';
import { redact, shownUrl, withoutSecrets } from './redaction.ts';
import { ShunnedAddresses } from './shunned-addresses.ts';

/** The gate's outside as it is: probes over the network, of which nothing secret comes back. */
export function networkOutside(inputs: GateInputs, step: Pick<Outside, 'clock' | 'log' | 'signal'>): Outside {
  const { clock } = step;
  const { method, headers, resolve, tls, probeTimeout, secrets } = inputs;
  const shunned = new ShunnedAddresses();
  const target = { method, headers, resolve, tls, shun: shunned.all };
  return {
    ...step,
    ask: async (url, { turn, timeout, signal }) => {
      const ask = isWebSocket(url) ? probeWebSocket : probe;
      const sample = await ask({ ...target, url, turn, timeout }, { clock, signal });
      shunned.learn(sample);
      return withoutSecrets(sample, secrets);
    },
    hold: async (url, ms, signal) => {
      const held = await holdWebSocket({ ...target, url, timeout: probeTimeout }, ms, { clock, signal });
      const { cut } = held;
      return {
        ...held,
        opened: withoutSecrets(held.opened, secrets),
        ...(cut ? { cut: { ...cut, reason: redact(cut.reason, secrets) } } : {}),
      };
    },
    show: (url) => shownUrl(url, secrets),
  };
}
