/**
 * Tests that CI leaves out, and says so; `pnpm test:real` runs them. `proxy` shows a fault that is still open: a proxy that
 * was started with `--no-deps` (as our own way back does) has lost the label that says what it depends on, so that it is
 * not made to look again when newer Compose leaves it alone.
 */
export const unsettled = ['proxy'];
