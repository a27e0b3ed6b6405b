import * as v from 'valibot';

const openingShape = { groupId: v.string(), port: v.number(), cidr: v.string() };

export const recordShape = v.object({
  nonce: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  region: v.string(),
  roleToAssume: v.string(),
  route: v.record(v.string(), v.string()),
  /** When it was written, in milliseconds since the epoch. */
  savedAt: v.number(),
  expiresAt: v.number(),
  openings: v.array(v.object(openingShape)),
  held: v.array(
    v.object({ ...openingShape, ruleId: v.string(), how: v.picklist(['created', 'joined', 'foreign']) }),
  ),
  /** Main came to its end, well or not, and has told what it did. */
  ended: v.optional(v.boolean(), false),
});

/** Written before the first port is opened, and again after each; all that post acts on. */
export type IngressRecord = v.InferOutput<typeof recordShape>;
