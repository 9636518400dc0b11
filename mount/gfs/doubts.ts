import { putLast } from '../../src/base/bounded.ts';
import type { Env } from '../../src/base/env.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import { sameTime } from '../../src/core/metadata/times.ts';
import type { Attributes } from '../../src/rpc/messages.ts';

/** Whoever waits for an answer has written it into the kernel's caches by then. */
const WRITTEN_MS = 1 * SECOND_MS;
/** Beyond it, what was doubted first is no more. */
const DOUBT_COUNT_MAX = 64 * 1024;

interface Doubt {
  /** When the first answer was given that knows all the news. */
  answeredMs: number | undefined;
  /** As it was answered last. */
  answered: Pick<Attributes, 'length' | 'mtime'> | undefined;
  /** News came since that answer. */
  hasNews: boolean;
}

/**
 * Nodes of which the kernel was told that all it knows is old. From then on its answers are good for one look each, and further
 * news need no word. A word would have it ignore an answer that is on its way, or that nobody has got to write into its
 * caches: a read that asked for the length would go on with the one from before all the news. It is over when the kernel
 * has for sure taken an answer that knows all the news: then a word can take no more than the latest from it.
 */
export class Doubts {
  readonly #env: Env;
  readonly #doubts = new Map<number, Doubt>();

  constructor(env: Env) {
    this.#env = env;
  }

  has(node: number): boolean {
    return this.#doubts.has(node);
  }

  /** There are news. */
  note(node: number): void {
    const { answered } = this.#doubts.get(node) ?? {};
    const doubt = { answeredMs: undefined, answered, hasNews: answered !== undefined };
    putLast(this.#doubts, node, doubt, DOUBT_COUNT_MAX);
  }

  /**
   * An answer that knows all the news is being given. `believe`: the kernel may keep it. `pages`: its pages may be old, and this does
   * not tell it so.
   */
  answering({ inode, length, mtime }: Attributes): { believe: boolean; pages: boolean } {
    const doubt = this.#doubts.get(inode);
    if (doubt === undefined) return { believe: true, pages: false };
    const nowMs = this.#env.monotonicMs();
    const { answered, hasNews } = doubt;
    const pages = hasNews && answered?.length === length && sameTime(answered.mtime, mtime);
    const believe = doubt.answeredMs !== undefined && doubt.answeredMs + WRITTEN_MS <= nowMs;
    if (believe) this.#doubts.delete(inode);
    else
      Object.assign(doubt, {
        answeredMs: doubt.answeredMs ?? nowMs,
        answered: { length, mtime },
        hasNews: false,
      });
    return { believe, pages };
  }

  forget(node: number): void {
    this.#doubts.delete(node);
  }
}
