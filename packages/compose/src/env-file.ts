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
