import { findCompose } from './network/compose-versions.ts';
import { prepareMachine } from './network/prerequisites.ts';
import { openWarehouse } from './warehouse.ts';

/** Before the first test: packages, Compose and images, which all of them share. */
export default async function setUp(): Promise<void> {
  const unfit = await prepareMachine();
  if (unfit) throw new Error(`the real tier cannot run here: ${unfit}`);
  await Promise.all([findCompose('stable'), findCompose('newest'), findCompose('v1')]);
  await openWarehouse();
}
