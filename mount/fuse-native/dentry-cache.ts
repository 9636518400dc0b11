import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../../src/base/bounded.ts';
import type { Env } from '../../src/base/env.ts';
import { type NameKey, nameKey } from '../../src/base/name-key.ts';
import { nameOfNotification } from '../wire/notifications.ts';
import type { Entry } from '../wire/replies.ts';

const NAME_COUNT_MAX = 64 * 1024;

/** A name in a directory. */
export interface Place {
  readonly parent: number;
  readonly name: Buffer;
}

/** What the file system said that names mean, for as long as it allows, and unless it takes that back. */
export class DentryCache {
  readonly #env: Env;
  readonly #known: LRUCache<NameKey, Known> = boundedCache(NAME_COUNT_MAX);
  #dropCount = 0;

  constructor(env: Env) {
    this.#env = env;
  }

  get({ parent, name }: Place): number | undefined {
    const known = this.#known.get(nameKey(parent, name));
    return known !== undefined && this.#env.monotonicMs() < known.untilMs ? known.node : undefined;
  }

  /** Before a question whose answer is to be kept. */
  asking(): number {
    return this.#dropCount;
  }

  /** An answer during which names changed their meaning may be of before. */
  learn({ parent, name }: Place, { attributes, entryTimeoutMs }: Entry, asked: number): void {
    const key = nameKey(parent, name);
    const untilMs = this.#env.monotonicMs() + entryTimeoutMs;
    if (asked === this.#dropCount && entryTimeoutMs > 0) {
      this.#known.set(key, { node: attributes.node, untilMs });
    } else {
      this.#known.delete(key);
    }
  }

  drop({ parent, name }: Place): void {
    this.#dropCount += 1;
    this.#known.delete(nameKey(parent, name));
  }

  /** What the kernel would be told: of names it is taken to heart, attributes are not kept here. */
  notified(message: Uint8Array): boolean {
    const place = nameOfNotification(message);
    if (place !== undefined) this.drop(place);
    return true;
  }
}

interface Known {
  readonly node: number;
  readonly untilMs: number;
}
