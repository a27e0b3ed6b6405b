import { holdEveryGuarantee } from './rehearsed.ts';

// The workflows for one server, each run as it stands.

holdEveryGuarantee([
  {
    workflow: 'one-server-git.yml',
    tells: [/1 of 1 targets healthy, all serve [0-9a-f]{7}$/m, /Deploy succeeded/],
  },
  {
    workflow: 'one-server-git.yml',
    fault: 'sick-release',
    tells: [
      /✗ deploy +failure/,
      /1 of 1 targets healthy, all serve v1$/m,
      /▌ web is unhealthy on .*503/,
      /Result: rolled-back/,
    ],
  },
  {
    workflow: 'one-server-image.yml',
    tells: [/1 of 1 targets healthy, all serve [0-9a-f]{7}$/m, /Deploy succeeded/],
  },
  {
    workflow: 'one-server-image.yml',
    fault: 'no-database',
    tells: [
      /✗ Is it the new version .* database is false/,
      /1 of 1 targets healthy, all serve v1$/m,
      /Result: rolled-back/,
    ],
  },
  {
    workflow: 'deploy-tag.yml',
    tells: [/1 of 1 targets healthy, all serve v2\.0\.0$/m, /Deploy succeeded .*\(v2\.0\.0\)/],
  },
  {
    // One that was built before, so nothing is built.
    workflow: 'deploy-tag.yml',
    inputs: ['tag=v1'],
    tells: [
      /– build-and-push +skipped/,
      /1 of 1 targets healthy, all serve v1$/m,
      /Deploy succeeded .*\(v1\)/,
    ],
  },
  {
    workflow: 'rollback.yml',
    vars: ['TARGET_GROUP_ARN='],
    tells: [
      /1 of 1 targets healthy, all serve v1$/m,
      /There is no load balancer: users reach the server itself/,
      /✓ Post Switch the server back/,
      /Rollback succeeded/,
    ],
  },
  { workflow: 'backup.yml', tells: [/Upload it to S3: declared in/, /Backup succeeded/, /Size: \d/] },
]);
