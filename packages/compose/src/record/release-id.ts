/** The form of every release id; it is a directory name and an image tag, so nothing else is let through. */
export const releaseIdPattern = /^\d{8}-\d{6}-[a-z0-9]{1,12}-[a-z0-9]{4}$/;

/** UTC time, short commit and a nonce: `20261121-031200-a1b2c3d-k3f9`. Sorts by time. */
export function releaseId(now: Date, commit: string, nonce: string): string {
  const [date, time] = now.toISOString().split('T') as [string, string];
  const short = commit.slice(0, 7).toLowerCase();
  const id = [date.replaceAll('-', ''), time.slice(0, 8).replaceAll(':', ''), short || 'unknown', nonce].join(
    '-',
  );
  if (!releaseIdPattern.test(id)) throw new TypeError(`"${id}" is not a release id`);
  return id;
}

/** Four random characters that may stand in a release id. */
export function releaseNonce(random: () => number = Math.random): string {
  return Math.floor(random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0');
}
