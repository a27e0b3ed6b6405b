import type { SceneName } from '../docs/scenes.ts';
import type { Payload } from '../src/message.ts';

/** The payload of each scene, whole; tsc holds it against @slack/types. Read it before you change it. */
export const golden: Record<SceneName, Payload> = {
  success: {
    text: ':white_check_mark: *Deploy succeeded* → production (8863086)',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#1f883d',
        fallback: 'Deploy succeeded → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app succeeded after 6 min 12 s',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Result*\ndeployed',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Serves*\n20261121-030148-8863086-k3f9',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
              {
                type: 'plain_text',
                emoji: false,
                text: 'Ask for <b>both</b> addresses & keep the order (#812) — Mona Lisa',
              },
            ],
          },
        ],
      },
    ],
  },
  'failure in a matrix job': {
    text: '<!here> :x: *Deploy failed* → production (8863086)',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#d1242f',
        fallback: 'Deploy failed → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app failed in *<https://github.com/octo/app/actions/runs/99/job/1018#step:4:1|test (3.13, mysql) › Test>* after 6 min 12 s\nNext: <https://github.com/octo/app/actions/runs/99/job/1018#step:4:1|open the log of that step>',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
              {
                type: 'plain_text',
                emoji: false,
                text: 'Ask for <b>both</b> addresses & keep the order (#812) — Mona Lisa',
              },
            ],
          },
        ],
      },
    ],
  },
  'rolled back': {
    text: '<!here> :x: *Deploy failed* → production (8863086)',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#d1242f',
        fallback: 'Deploy failed → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '```0 of 58 probes were good, never 10 in a row; last: database is false, expected true```',
            },
          },
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app failed in *<https://github.com/octo/app/actions/runs/99/job/106#step:4:1|deploy › Is it the new version that users reach?>* after 6 min 12 s\nNext: <https://github.com/octo/app/actions/runs/99/job/106#step:4:1|open the log of that step>',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Result*\nrolled-back',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Serves*\n20261120-174209-41d2c07-p0xv',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
              {
                type: 'plain_text',
                emoji: false,
                text: 'Ask for <b>both</b> addresses & keep the order (#812) — Mona Lisa',
              },
            ],
          },
        ],
      },
    ],
  },
  cancelled: {
    text: ':no_entry_sign: *Deploy was cancelled* → production (8863086)',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#bf8700',
        fallback: 'Deploy was cancelled → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '```cancelled (SIGINT) while i-0881cd424e42a8512 was draining; it is back in rotation```',
            },
          },
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app was cancelled in *<https://github.com/octo/app/actions/runs/99/job/106#step:4:1|deploy › Roll the release over the instances>* after 6 min 12 s\nNext: <https://github.com/octo/app/actions/runs/99|open the run to start it again>',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Result*\nfailed',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*Serves*\n20261120-174209-41d2c07-p0xv',
              },
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
              {
                type: 'plain_text',
                emoji: false,
                text: 'Ask for <b>both</b> addresses & keep the order (#812) — Mona Lisa',
              },
            ],
          },
        ],
      },
    ],
  },
  skipped: {
    text: ':fast_forward: *Deploy was skipped* → production',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#6e7781',
        fallback: 'Deploy was skipped → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app was skipped',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
            ],
          },
        ],
      },
    ],
  },
  're-run': {
    text: '<!here> :x: *Deploy failed* → production (8863086)',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#d1242f',
        fallback: 'Deploy failed → production',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '```port 22 of i-0881cd424e42a8512 (203.0.113.7) does not answer```',
            },
          },
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99/attempts/2|Run #128 (attempt 2)> of octo/app failed in *<https://github.com/octo/app/actions/runs/99/job/106#step:4:1|deploy › Roll the release over the instances>* after 6 min 12 s\nNext: <https://github.com/octo/app/actions/runs/99/job/106#step:4:1|open the log of that step>',
            },
          },
          {
            type: 'section',
            fields: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '*URL*\n<https://app.example.com/|https://app.example.com>',
              },
            ],
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by <https://github.com/octo|octo>',
              },
              {
                type: 'plain_text',
                emoji: false,
                text: 'Ask for <b>both</b> addresses & keep the order (#812) — Mona Lisa',
              },
            ],
          },
        ],
      },
    ],
  },
  'backup failed': {
    text: ':x: *Backup failed*',
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: '#d1242f',
        fallback: 'Backup failed',
        blocks: [
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '```pg_dump: error: connection to server at "db" (172.18.0.3), port 5432 failed: Connection refused```',
            },
          },
          {
            type: 'section',
            text: {
              type: 'mrkdwn',
              verbatim: true,
              text: '<https://github.com/octo/app/actions/runs/99|Run #128> of octo/app failed\nNext: <https://github.com/octo/app/actions/runs/99|open the run to see where>',
            },
          },
          {
            type: 'context',
            elements: [
              {
                type: 'mrkdwn',
                verbatim: true,
                text: '<https://github.com/octo/app/commit/8863086285d071d83efd72f2be8a0b21a5ac3d3e|`8863086`> on <https://github.com/octo/app/tree/main|`main`> by its schedule',
              },
            ],
          },
        ],
      },
    ],
  },
};
