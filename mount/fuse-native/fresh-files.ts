import type { Env, Timer } from '../../src/base/env.ts';
import { SECOND_MS } from '../../src/base/units.ts';

/** open(2) comes at once; mknod(2) is not followed by anything. */
const KEPT_MS = 1 * SECOND_MS;

/**
 * Files that were made a moment ago and are open here for whoever made them. libfuse could make and open a file in one go, but
 * the package does not pass the flags then, of which O_APPEND must not be lost. So a file is made as by mknod(2), and
 * opened by a second request, for which the mode counts no more (a file may be made without any right to write to it).
 */
export class FreshFiles {
  readonly #env: Env;
  readonly #release: (node: number, openFile: number) => void;
  readonly #fresh = new Map<number, Fresh>();

  constructor(env: Env, release: (node: number, openFile: number) => void) {
    this.#env = env;
    this.#release = release;
  }

  add(node: number, openFile: number): void {
    const timer = this.#env.setTimer(KEPT_MS, () => {
      this.#fresh.delete(node);
      this.#release(node, openFile);
    });
    this.#fresh.set(node, { openFile, timer });
  }

  /** The open file, which is the caller's from now on. */
  take(node: number): number | undefined {
    const fresh = this.#fresh.get(node);
    this.#fresh.delete(node);
    fresh?.timer.cancel();
    return fresh?.openFile;
  }
}

interface Fresh {
  readonly openFile: number;
  readonly timer: Timer;
}
