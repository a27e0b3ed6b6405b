/** The phases of a roll, each with the line that main writes when it begins. */
export const phases: Array<[string, RegExp]> = [
  ['taking out', /^taking out/],
  ['draining', /^draining/],
  ['the switch', /^switching i-/],
  ['the proof on the host', /: healthy; watching it for/],
  ['registering', /^registering/],
  ['becoming healthy', / is initial /],
  ['the bake time', /^watching i-/],
];

/** What members of Auto Scaling groups go through besides. */
export const membersPhases: typeof phases = [
  ['stepping aside', /^putting .* in standby/],
  ['the return from standby', /^returning /],
];

/** Each of these phases, met by instances and by members of an Auto Scaling group. */
export function scenesOf(instances: typeof phases, members: typeof phases) {
  return [
    ...instances.map(([phase, line]) => ({ what: 'an instance', phase, line, settings: {} })),
    ...members.map(([phase, line]) => ({
      what: 'a member of an Auto Scaling group',
      phase,
      line,
      settings: { autoScaling },
    })),
  ];
}

/** What is there when all was put right: the new release, nobody ended, the Auto Scaling group as it was. */
export function putRight(settings: object) {
  return {
    versions: ['v2', 'v2'],
    ended: [],
    scaling:
      'autoScaling' in settings
        ? { minSize: 2, desired: 2, lifecycles: ['InService', 'InService'] }
        : undefined,
  };
}

/** Members whose group is at its minimum, and ends at once whom it finds ill. */
const autoScaling = {
  minSize: 2,
  maxSize: 3,
  healthCheckType: 'ELB' as const,
  healthCheckGraceMs: 60_000,
};

/** Kills main at the first line of a phase: to be given the lines of its log. */
export function killAt(line: RegExp) {
  let killed = false;
  return (text: string, kill: (signal: NodeJS.Signals) => void) => {
    if (killed || !line.test(text)) return;
    killed = true;
    kill('SIGKILL');
  };
}
