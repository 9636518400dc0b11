// A network of its own for a cluster on this machine: each node in a network namespace, joined by a bridge that is in one,
// too, so that nothing of the machine's own network is touched and no address can collide. Only `ip` and `nsenter` are
// needed: cables are pulled with `ip link set down`, and single directions are cut with a neighbour entry that leads
// nowhere, which loses packets without telling anybody.
import { execFileSync, spawnSync } from 'node:child_process';

const SUBNET = '10.77.0';
/** Nobody has it: the bridge hands the packets to all, and none takes them. */
const NOWHERE = '02:00:00:00:00:99';

/** Why a network cannot be split here; undefined: it can. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  for (const tool of ['ip', 'nsenter']) {
    if (spawnSync(tool, ['-V']).error !== undefined) return `there is no ${tool}`;
  }
  const probe = `gfs-probe-${process.pid}`;
  const tried = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' });
  if (tried.status !== 0) return `network namespaces cannot be made: ${tried.stderr.trim()}`;
  spawnSync('ip', ['netns', 'del', probe]);
  return undefined;
}

let networkCount = 0;

export class Namespaces {
  readonly #prefix: string;
  readonly #nodes: readonly string[];
  /** How often each cut is wanted now. */
  readonly #cuts = new Map<string, number>();

  /** Makes the network; nothing of it is left when that fails. */
  constructor(nodes: readonly string[]) {
    this.#prefix = `gfs-${process.pid}-${networkCount}`;
    networkCount += 1;
    this.#nodes = nodes;
    try {
      this.#make();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  addressOf(node: string): string {
    return `${SUBNET}.${this.#indexOf(node) + 1}`;
  }

  /** The beginning of a command line that runs in that node's network; the process keeps its pid. */
  enter(node: string): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.#namespaceOf(node)}`];
  }

  /** Pulls the cable of a node; the answer puts it back. */
  isolate(node: string): () => void {
    const link = ['-n', this.#switch, 'link', 'set', `port${this.#indexOf(node)}`];
    return this.#cut(`isolate ${node}`, [...link, 'down'], [...link, 'up']);
  }

  /** Loses all packets from one node to another, but not those the other way; the answer ends that. */
  drop({ from, to }: { readonly from: string; readonly to: string }): () => void {
    const neighbour = ['-n', this.#namespaceOf(from), 'neigh'];
    const entry = [this.addressOf(to), 'dev', 'eth0'];
    const lose = [...neighbour, 'replace', ...entry, 'lladdr', NOWHERE, 'nud', 'permanent'];
    return this.#cut(`drop ${from} ${to}`, lose, [...neighbour, 'del', ...entry]);
  }

  /** Loses everything that a node sends; it still hears the others. */
  mute(node: string): () => void {
    return this.#all(this.#othersOf(node).map((other) => this.drop({ from: node, to: other })));
  }

  /** Loses everything that is sent to a node; the others still hear it. */
  deafen(node: string): () => void {
    return this.#all(this.#othersOf(node).map((other) => this.drop({ from: other, to: node })));
  }

  /** Cuts two nodes from one another, in both directions. */
  part(one: string, other: string): () => void {
    return this.#all([this.drop({ from: one, to: other }), this.drop({ from: other, to: one })]);
  }

  /** Takes all of it away. Processes in it should have ended. */
  close(): void {
    for (const node of this.#nodes) spawnSync('ip', ['netns', 'del', this.#namespaceOf(node)]);
    spawnSync('ip', ['netns', 'del', this.#switch]);
  }

  get #switch(): string {
    return `${this.#prefix}-switch`;
  }

  #make(): void {
    ip('netns', 'add', this.#switch);
    ip('-n', this.#switch, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', this.#switch, 'link', 'set', 'bridge', 'up');
    for (const [index, node] of this.#nodes.entries()) {
      const namespace = this.#namespaceOf(node);
      const port = `port${index}`;
      ip('netns', 'add', namespace);
      const peer = ['peer', 'name', 'eth0', 'netns', namespace];
      ip('-n', this.#switch, 'link', 'add', port, 'type', 'veth', ...peer);
      ip('-n', this.#switch, 'link', 'set', port, 'master', 'bridge', 'up');
      ip('-n', namespace, 'addr', 'add', `${this.addressOf(node)}/24`, 'dev', 'eth0');
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    }
  }

  /** A cut that is wanted by several is there until the last one of them ends it. */
  #cut(name: string, cut: readonly string[], mend: readonly string[]): () => void {
    const wanted = this.#cuts.get(name) ?? 0;
    this.#cuts.set(name, wanted + 1);
    if (wanted === 0) ip(...cut);
    let isCut = true;
    return () => {
      if (!isCut) return;
      isCut = false;
      const left = (this.#cuts.get(name) ?? 0) - 1;
      this.#cuts.set(name, left);
      if (left === 0) ip(...mend);
    };
  }

  #all(mends: readonly (() => void)[]): () => void {
    return () => {
      for (const mend of mends) mend();
    };
  }

  #namespaceOf(node: string): string {
    return `${this.#prefix}-${node}`;
  }

  #othersOf(node: string): readonly string[] {
    return this.#nodes.filter((other) => other !== node);
  }

  #indexOf(node: string): number {
    const index = this.#nodes.indexOf(node);
    if (index < 0) throw new Error(`there is no node ${node}`);
    return index;
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
