import contract from './action.json' with { type: 'json' };
import { run } from './index.js';

await run('post', contract);
