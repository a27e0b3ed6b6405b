/**
 * Tests not yet seen green together with all that was built beside them, on a machine with nothing else to do:
 * `pnpm test:real` runs them by hand, CI leaves them out and says so. A name goes as soon as it was.
 */
export const unsettled: string[] = [];
