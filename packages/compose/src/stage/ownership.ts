import { UserError } from '@lockkeeper/action';
import type { Container } from '../host/containers.ts';

/**
 * The project's containers among those of its name or its directory. Throws UserError when the name belongs
 * to another directory, or this directory's containers run under another name. Pure.
 */
export function ownContainers(
  all: readonly Container[],
  { name, home, directory, host }: { name: string; home: string; directory: string; host: string },
): Container[] {
  const containers = all.filter(({ project }) => project === name);
  const foreign = containers.find(
    ({ workingDirectory }) => workingDirectory && ![home, directory].includes(workingDirectory),
  );
  if (foreign)
    throw new UserError(
      `the project name ${name} on ${host} belongs to ${foreign.workingDirectory}: its container ${foreign.name} runs from there`,
      { next: 'give another project-name' },
    );
  const other = all.find(({ project }) => project && project !== name);
  if (other)
    throw new UserError(
      `the containers of ${home} on ${host} run under the project name ${other.project}, not ${name}: two stacks would run side by side`,
      { next: `give project-name: ${other.project}` },
    );
  return containers;
}
