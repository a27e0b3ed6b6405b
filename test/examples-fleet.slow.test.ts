import { holdEveryGuarantee } from './rehearsed.ts';

// The workflows for instances behind a load balancer, and those for any, each run as it stands; rolling-alb.yml is in
// rehearsal.test.ts.

holdEveryGuarantee([
  {
    workflow: 'rolling-alb-private.yml',
    tells: [
      /2 of 2 targets healthy, all serve [0-9a-f]{7}$/m,
      /✓ Nothing dropped: \d{3,} requests, 0 failed/,
    ],
  },
  {
    workflow: 'rollback.yml',
    tells: [
      /2 of 2 targets healthy, all serve v1$/m,
      /✓ Nothing dropped: \d{3,} requests, 0 failed/,
      /Rollback succeeded/,
    ],
  },
  {
    workflow: 'reconcile.yml',
    tells: [
      /3 of 3 targets healthy, all serve [0-9a-f]{7}$/m,
      // The newcomer alone: the others serve it already.
      /s a sign\)\n +i-\w+ was out of rotation.*\n\nGuarantees/,
    ],
  },
  { workflow: 'watch.yml', tells: [/Slack\n {2}no message/] },
  {
    workflow: 'watch.yml',
    fault: 'slow',
    tells: [
      /✗ Ask as a user would: failure — unhealthy: p95 \d+ ms, at most 3000 ms allowed/,
      /@here ❌ Watch failed → production/,
      /▌ p95 \d+ ms, at most 3000 ms allowed/,
      /failed in watch › Ask as a user would/,
      /✓ Nothing dropped: \d{3,} requests, 0 failed/,
    ],
  },
  { workflow: 'sweep-ingress.yml', tells: [/Closed: sgr-\w+/] },
]);
