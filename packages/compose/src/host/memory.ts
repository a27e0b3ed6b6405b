/** Bytes. */
export interface Memory {
  /** By some containers together. */
  used: number;
  /** What the host could still give without swapping (MemAvailable). */
  available: number;
}

const units: Record<string, number> = { B: 1, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 };

/** Reads what the script `memory` prints: `<id> 61.3MiB / 7.6GiB` lines, then `MemAvailable: 123 kB`. Undefined where that is not there. Pure. */
export function parseMemory(text: string): Memory | undefined {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
  let used = 0;
  for (const [, amount, unit = ''] of text.matchAll(/^\S+ ([\d.]+)([KMGT]?i?B) \/ /gm))
    used += Number(amount) * (units[unit.toUpperCase()] ?? Number.NaN);
  return available > 0 && used > 0 ? { used: Math.round(used), available } : undefined;
}
