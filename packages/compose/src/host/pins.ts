import type { Container } from './containers.ts';

/** What the hosts file of a proxy is to say for a while; it goes before Docker's DNS. */
export interface Pins {
  /** The proxy's container, and an address of its own, by which its hosts file is known. */
  proxy: string;
  address: string;
  /** `172.18.0.5 web` each; none: as Docker has it. */
  lines: string[];
}

/**
 * The lines by which each proxy finds, under the names of a service, only the containers that are to serve,
 * while others still run: Docker's DNS answers with all, and takes no name from a live container. Once it was
 * told to look again, a proxy so pinned sends nothing more to the others, and they can end what they have
 * begun. Pure.
 */
export function pinsFor(
  proxies: readonly Container[],
  serving: readonly Container[],
  others: readonly Container[],
): Pins[] {
  return proxies.flatMap(({ id, networks }) => {
    const attached = networks.filter(({ network, address }) => network && address);
    const [first] = attached;
    if (!first) return [];
    const lines = attached.flatMap(({ network }) => {
      const here = (container: Container) => container.networks.find((one) => one.network === network);
      const theirs = others.flatMap((container) => here(container)?.aliases ?? []);
      return serving.flatMap((container) => {
        const own = here(container);
        // What only one of them is called, such as its container's name, stays what it is.
        const names = own?.aliases.filter((alias) => theirs.includes(alias)) ?? [];
        if (!own || names.length === 0) return [];
        return [own.address, own.address6].filter(Boolean).map((address) => [address, ...names].join(' '));
      });
    });
    return [{ proxy: id, address: first.address, lines }];
  });
}
