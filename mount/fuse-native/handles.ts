import { GfsError } from '../../src/base/errors.ts';

/** The binding keeps 31 bits; 0 means none. */
const NUMBER_MAX = 2 ** 31 - 1;

/** An open file, as the file system and the program know it. */
export interface Handle {
  readonly node: number;
  readonly openFile: number;
  /** Those of open(2). */
  readonly flags: number;
}

/** Open files by the numbers that libfuse has for them. */
export class Handles {
  readonly #handles = new Map<number, Handle>();
  #lastNumber = 0;

  add(handle: Handle): number {
    do this.#lastNumber = (this.#lastNumber % NUMBER_MAX) + 1;
    while (this.#handles.has(this.#lastNumber));
    this.#handles.set(this.#lastNumber, handle);
    return this.#lastNumber;
  }

  get(number: number): Handle {
    const handle = this.#handles.get(number);
    if (handle === undefined) throw new GfsError('BAD_FILE', `open file ${number}`);
    return handle;
  }

  remove(number: number): Handle {
    const handle = this.get(number);
    this.#handles.delete(number);
    return handle;
  }

  /** Any open file of a node. */
  of(node: number): Handle | undefined {
    for (const handle of this.#handles.values()) {
      if (handle.node === node) return handle;
    }
    return undefined;
  }
}
