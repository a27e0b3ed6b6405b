// The post of a job's first action is the job's last step: by now every other action has cleaned up.
import { closeAndJudge, inStep } from '../../../tools/lab/main.ts';

await inStep(() => closeAndJudge());
