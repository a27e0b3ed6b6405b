export interface Peer {
  address: string;
  port: string;
}

/** A host's security group for port 22: real rules of nftables in its network namespace. All is let in at first. */
export class Firewall {
  readonly #apply: (rules: string) => Promise<unknown>;
  #sources: readonly string[] | 'all' = 'all';
  #silenced: Peer[] = [];

  constructor(apply: (rules: string) => Promise<unknown>) {
    this.#apply = apply;
  }

  /** Only these addresses or networks reach port 22; for others it is as if nobody were there. None closes it. */
  async allow(...sources: string[]): Promise<void> {
    this.#sources = sources;
    await this.restore();
  }

  async close(): Promise<void> {
    await this.allow();
  }

  async open(): Promise<void> {
    this.#sources = 'all';
    await this.restore();
  }

  /** Connections from which, and to which, nothing passes any more, and nobody is told. */
  async silence(peers: readonly Peer[]): Promise<void> {
    this.#silenced.push(...peers);
    await this.restore();
  }

  /** After a boot the rules are those they were. */
  async restore(): Promise<void> {
    await this.#apply(rulesFor(this.#sources, this.#silenced));
  }
}

/** A whole table at once. Pure. */
export function rulesFor(sources: readonly string[] | 'all', silenced: readonly Peer[]): string {
  const accept = sources === 'all' ? [] : sources.map((source) => `ip saddr ${source} tcp dport 22 accept`);
  return [
    'add table inet lockkeeper',
    'delete table inet lockkeeper',
    'table inet lockkeeper {',
    '  chain input {',
    '    type filter hook input priority -10; policy accept;',
    ...silenced.map(({ address, port }) => `    ip saddr ${address} tcp dport 22 tcp sport ${port} drop`),
    ...accept.map((rule) => `    ${rule}`),
    ...(sources === 'all' ? [] : ['    tcp dport 22 drop']),
    '  }',
    '  chain output {',
    '    type filter hook output priority -10; policy accept;',
    ...silenced.map(({ address, port }) => `    ip daddr ${address} tcp sport 22 tcp dport ${port} drop`),
    '  }',
    '}',
    '',
  ].join('\n');
}
