/** How long runs that share a rule wait for each other, in milliseconds. */
export interface Patience {
  /** A closer begins to revoke within this time of its announcement, or announces anew. */
  closerLimit: number;
  /** A joiner gives an announced closing this long, and then counts its closer as dead. */
  closerPatience: number;
  /** AWS is eventually consistent: so many reads may lag behind our own writing before we write again. */
  lateReads: number;
}

/**
 * A call of ours ends within 25 s (`openSecurityGroups`). So a revoke has taken effect or failed 55 s after the
 * announcement at the latest, long before anybody takes the closer for dead.
 */
export const patience: Patience = { closerLimit: 30_000, closerPatience: 90_000, lateReads: 5 };

/** Between two looks at what AWS has to catch up with, or another run to finish. */
export const shortPause = 1_000;
