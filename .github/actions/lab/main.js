import { inStep, openForGithub } from '../../../tools/lab/main.ts';

await inStep(() => openForGithub());
