import type { AwsRoute } from '@lockkeeper/aws';
import * as v from 'valibot';
import { minimum, targetId } from './hosts/fleet-record.ts';
import type { RollingInputs } from './inputs.ts';
import type { FleetMember } from './plan/members.ts';

const host = v.object({
  id: targetId,
  memberships: v.array(v.object({ group: v.string(), port: v.number() })),
  scaling: v.string(),
  standby: v.boolean(),
  left: v.boolean(),
  rotation: v.picklist(['in', 'leaving', 'draining', 'out', 'joining', 'registered', 'watched']),
  release: v.picklist(['old', 'switching', 'new', 'reverting', 'unfit']),
  goal: v.picklist(['old', 'new']),
  finished: v.boolean(),
  touched: v.boolean(),
  changed: v.boolean(),
  skipped: v.boolean(),
  batch: v.number(),
  cut: v.number(),
  failure: v.string(),
});

const trust = v.object({
  knownHosts: v.array(
    v.object({ revoked: v.boolean(), patterns: v.array(v.string()), type: v.string(), key: v.string() }),
  ),
  fingerprints: v.array(v.string()),
});
const door = { port: v.number(), username: v.string(), trust };

/**
 * What main writes down before each effect, and all that post acts on. Keys and passwords are not in it: post reads
 * those from its inputs again.
 */
export const rollState = v.object({
  region: v.string(),
  roleToAssume: v.string(),
  route: v.record(v.string(), v.string()),
  groups: v.array(v.string()),
  required: v.array(v.object({ group: v.string(), count: v.number(), because: v.string() })),
  release: v.string(),
  lockToken: v.string(),
  drain: v.object({
    kind: v.picklist(['idle', 'full']),
    settle: v.number(),
    timeout: v.optional(v.number()),
  }),
  healthyTimeout: v.number(),
  ssh: v.object({ ...door, jump: v.optional(v.object({ ...door, host: v.string() })) }),
  projectDirectory: v.string(),
  addresses: v.array(
    v.object({
      id: v.string(),
      host: v.string(),
      port: v.optional(v.number()),
      fingerprints: v.optional(v.array(v.string())),
    }),
  ),
  previous: v.record(v.string(), v.string()),
  /** Id of the host that runs the singleton services; '' when there are none, or it is not known yet. */
  holder: v.string(),
  hosts: v.array(host),
  /** Minimum sizes of Auto Scaling groups that are lowered, or about to be, as they were. */
  minimums: v.array(minimum),
  /** main came to its end: everything is reported, locks are given back, records on the hosts are closed. */
  ended: v.boolean(),
});
export type RollState = v.InferOutput<typeof rollState>;

/** The state before anything is known but whom to look after. */
export function firstState(
  inputs: RollingInputs,
  run: { route: AwsRoute; release: string; lockToken: string },
  members: readonly FleetMember[],
): RollState {
  const { port, username, trust, jump } = inputs.ssh;
  return {
    ...inputs.aws,
    ...run,
    groups: inputs.targetGroupArns,
    required: [],
    drain: inputs.drain,
    healthyTimeout: inputs.healthyTimeout,
    ssh: {
      port,
      username,
      trust,
      ...(jump && {
        jump: { host: jump.host, port: jump.port, username: jump.username, trust: jump.trust },
      }),
    },
    projectDirectory: inputs.release.projectDirectory,
    addresses: addressesOf(members),
    previous: {},
    holder: '',
    hosts: [],
    minimums: [],
    ended: false,
  };
}

export const addressesOf = (members: readonly FleetMember[]): RollState['addresses'] =>
  members.map(({ id, address }) => ({ id, ...address }));
