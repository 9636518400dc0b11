import type { InodeId } from '../../src/base/ids.ts';
import type { GfsClient } from '../../src/client/api.ts';
import { type KernelBelief, type KernelNotifier, NOBODY } from './kernel-belief.ts';

/** As many as the device keeps. */
const NODE_COUNT_MAX = 256;

interface ReadyDirectoriesParts {
  readonly client: Pick<GfsClient, 'known' | 'knownForMs' | 'changes'>;
  readonly belief: Pick<KernelBelief, 'asking' | 'attributes'>;
}

/**
 * Directories that this mount has changed. After each change the kernel asks what the directory is like now, before it lets
 * anybody go on to the next name: with what is known here, that is answered where it is asked, as long as nothing changes.
 */
export class ReadyDirectories {
  readonly #client: ReadyDirectoriesParts['client'];
  readonly #belief: ReadyDirectoriesParts['belief'];
  #kernel = NOBODY;
  /** The oldest first. */
  readonly #nodes = new Set<InodeId>();

  constructor({ client, belief }: ReadyDirectoriesParts) {
    this.#client = client;
    this.#belief = belief;
  }

  attach(kernel: KernelNotifier): void {
    this.#kernel = kernel;
    this.#client.changes.onNoted((item) => {
      if (item === undefined) this.#dropAll();
      else if (typeof item === 'number') this.drop(item as InodeId);
    });
  }

  /** A command changed the names in it, and is about to be answered. */
  changed(directory: InodeId): void {
    const asked = this.#belief.asking();
    const attributes = this.#client.known(directory);
    const forMs = this.#client.knownForMs;
    if (attributes === undefined || forMs <= 0) return;
    this.#nodes.delete(directory);
    this.#nodes.add(directory);
    this.#kernel.ready(this.#belief.attributes(attributes, asked, forMs), forMs);
    for (const oldest of this.#nodes) {
      if (this.#nodes.size <= NODE_COUNT_MAX) break;
      this.drop(oldest);
    }
  }

  /** It is not what it was. */
  drop(directory: InodeId): void {
    if (this.#nodes.delete(directory)) this.#kernel.unready(directory);
  }

  #dropAll(): void {
    if (this.#nodes.size === 0) return;
    this.#nodes.clear();
    this.#kernel.unready();
  }
}
