import { inStep, openForGithub } from '../../../tools/lab.ts';

await inStep(() => openForGithub());
