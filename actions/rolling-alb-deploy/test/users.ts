import { startLoad } from '@lockkeeper/lab';
import limited from 'p-limit';
import { type openFleetStage, type Stage, scenario } from './fleet-stage.ts';

/** 50 requests a second: GET, POST, requests of 2 to 10 s, and WebSockets. */
function users({ lab: { balancer } }: Stage, webSocketHoldMs: number) {
  return startLoad({
    url: balancer.url,
    rps: 50,
    seed: 7,
    mix: { get: 60, post: 28, slow: 10, websocket: 2 },
    slowMs: [2_000, 10_000],
    webSocketHoldMs,
    cutAtDrainEnd: (port) => balancer.cutAtDrainEnd(port),
  });
}

/** AWS's seconds pass forty times as fast; 14 s of ours are longer than the longest request that still gets in. */
export const quick = { scale: 40, delay: 560 };

/** Of what the load is made. */
export const everyKind = ['get', 'post', 'slow', 'websocket'];

/** Two cores bear so much load side by side. */
const turns = limited(2);

/** What users and the account see of what is done under load; of failures the first few. */
export function underLoad<T>(
  settings: Parameters<typeof openFleetStage>[0],
  act: (stage: Stage) => Promise<T>,
  webSocketHoldMs = 3_000,
) {
  return scenario(
    async (stage) => {
      const before = stage.registered();
      const load = users(stage, webSocketHoldMs);
      const done = await act(stage);
      const { requests, failures, websocketsCut, byKind } = await load.stop();
      return {
        done,
        requests,
        failures: failures.slice(0, 3),
        websocketsCut,
        byKind,
        before,
        after: stage.registered(),
        versions: [...new Set(await stage.versions())],
      };
    },
    settings,
    turns,
  );
}
