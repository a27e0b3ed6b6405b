import { testBadReleases } from './bad-releases.ts';

testBadReleases('as the very first deploy to a host that served before we came', {
  before: (shop) => shop.start(),
  prepare: (shop) => shop.forgetUs(),
});
