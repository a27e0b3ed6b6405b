/**
 * Reads a health check's matcher: `200`, `200-299`, `200,301`, or a mix. Codes are 200 to 499, as an Application Load
 * Balancer allows for HTTP. Throws RangeError for anything else.
 */
export function parseMatcher(text: string): (status: number) => boolean {
  const ranges = text.split(',').map((part) => {
    const [, from, to] = /^\s*(\d{3})(?:-(\d{3}))?\s*$/.exec(part) ?? [];
    const low = Number(from);
    const high = Number(to ?? from);
    if (!(low >= 200 && high <= 499 && low <= high)) {
      throw new RangeError(
        `matcher "${text}" is not valid; expected codes from 200 to 499 such as 200, 200-299 or 200,301`,
      );
    }
    return { low, high };
  });
  return (status) => ranges.some(({ low, high }) => status >= low && status <= high);
}
