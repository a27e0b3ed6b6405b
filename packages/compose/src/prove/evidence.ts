import type { Container } from '../host/containers.ts';
import type { DockerHost } from '../host/docker.ts';

const shownContainers = 4;
const logLines = 40;

/** The last health checks and log lines of containers that failed. */
export async function evidenceOf(docker: DockerHost, failed: readonly Container[]): Promise<string> {
  if (failed.length === 0) return '';
  const shown = failed.slice(0, shownContainers);
  const logs = await docker.lastLogs(
    shown.map(({ id }) => id),
    logLines,
  );
  return shown.map((container) => describe(container, logs.get(container.id) ?? '')).join('\n\n');
}

function describe({ service, status, health }: Container, log: string): string {
  const checks = (health?.log ?? [])
    .slice(-3)
    .map(({ exitCode, output }) => `check exited with ${exitCode}: ${output.trim().slice(0, 500)}`);
  return [`${service} (${status})`, ...checks, log.trim()].filter(Boolean).join('\n');
}
