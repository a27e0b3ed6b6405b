import { testBadReleases } from './bad-releases.ts';

testBadReleases('after a deploy of ours', {
  before: async (shop) => {
    const { main } = await shop.deploy();
    if (main?.outputs.result !== 'deployed') throw new Error(main?.log.join('\n'));
  },
  // As TeamMoa does: web alone.
  inputs: { services: 'web' },
});
