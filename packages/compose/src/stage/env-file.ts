import { UserError } from '@lockkeeper/action';
import type { ReleaseSettings } from '../settings.ts';

/**
 * The variables that an env file sets, as far as a judgement "set and not empty" needs it: quotes are taken
 * off, nothing is expanded. Compose itself reads the file for the containers.
 */
export function parseEnvFile(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [, name, raw = ''] of text.matchAll(
    /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:][ \t]*('[^']*'|"(?:\\.|[^"\\])*"|[^\r\n]*)/gm,
  )) {
    const quote = raw[0];
    const value =
      (quote === "'" || quote === '"') && raw.length > 1
        ? raw.slice(1, -1)
        : raw.replace(/(^|[ \t])#.*$/, '').trim();
    variables[name!] = value;
  }
  return variables;
}

/** Values of an env file that must not be seen in a log: those of names that speak of a secret. */
export function secretValues(text: string): string[] {
  return Object.entries(parseEnvFile(text))
    .filter(
      ([name, value]) => /SECRET|TOKEN|PASS|KEY|CREDENTIAL|DSN|_URL$|AUTH/i.test(name) && value.length >= 6,
    )
    .map(([, value]) => value);
}

/** Throws UserError when a variable of `required-env` is not set, or empty. Pure. */
export function requireVariables(
  {
    requiredEnv,
    environment,
    envFilePath,
  }: Pick<ReleaseSettings, 'requiredEnv' | 'environment' | 'envFilePath'>,
  env: string,
  host: string,
): void {
  const variables: Record<string, string> = { ...parseEnvFile(env), ...environment };
  const missing = requiredEnv.filter((name) => !variables[name]);
  if (missing.length > 0)
    throw new UserError(
      `${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} required (required-env) and not set on ${host}`,
      { next: `add to ${envFilePath}, env-file or environment` },
    );
}

/**
 * Variables of the env file that the host's own environment must not beat, as it does with Compose. What
 * the shell and docker themselves need stays. Pure.
 */
export function clearedNames(envFile: string | undefined): string[] {
  return Object.keys(parseEnvFile(envFile ?? '')).filter(
    (name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !/^(PATH|HOME|IFS|DOCKER_.*)$/.test(name),
  );
}
