/** How libfuse calls a file that is open and lost its name: by its node there, and a counter, so never twice the same. */
const HIDDEN_NAME = /\/(\.fuse_hidden[0-9a-f]{16})$/;

/**
 * Open files without a name. libfuse does not remove (or replace) a name of an open file: it renames it, and removes that
 * when the file is closed. Here such a rename removes the name at once, for everybody, and the new one is known to this
 * mount alone, where it means the file for as long as it is open.
 */
export class HiddenFiles {
  readonly #nodes = new Map<string, number>();

  /** Whether a rename to this path is libfuse's own. */
  hides(path: string): boolean {
    return HIDDEN_NAME.test(path);
  }

  /** The directory does not count: it may be renamed meanwhile. */
  get(path: string): number | undefined {
    return this.#nodes.get(nameIn(path));
  }

  hide(path: string, node: number): void {
    this.#nodes.set(nameIn(path), node);
  }

  /** False: there is no such hidden name. */
  remove(path: string): boolean {
    return this.#nodes.delete(nameIn(path));
  }

  /** Nobody has the node open any more. */
  closed(node: number): void {
    for (const [name, hidden] of this.#nodes) {
      if (hidden === node) this.#nodes.delete(name);
    }
  }
}

function nameIn(path: string): string {
  return HIDDEN_NAME.exec(path)?.[1] ?? '';
}
