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

/** Members whose group is at its minimum, and ends at once whom it finds ill. */
export const autoScaling = {
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
