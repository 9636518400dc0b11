import { must } from '../../src/base/assert.ts';
import type { GfsFile } from '../../src/client/api.ts';

export interface MountedFile {
  readonly file: GfsFile;
  readonly node: number;
  readonly writable: boolean;
  /** For reading and writing: others cannot be mapped to be written through. */
  readonly mappable: boolean;
}

/** Open files by the numbers that the kernel has for them. */
export class OpenFiles {
  readonly #files = new Map<number, MountedFile>();
  /** How many mappable ones each node has. */
  readonly #mappable = new Map<number, number>();
  #lastNumber = 0;

  get size(): number {
    return this.#files.size;
  }

  add(file: MountedFile): number {
    this.#lastNumber += 1;
    if (file.mappable) this.#mappable.set(file.node, (this.#mappable.get(file.node) ?? 0) + 1);
    this.#files.set(this.#lastNumber, file);
    return this.#lastNumber;
  }

  get(openFile: number): MountedFile {
    return must(this.#files.get(openFile), `the kernel has open file ${openFile} from us`);
  }

  remove(openFile: number): MountedFile {
    const file = this.get(openFile);
    this.#files.delete(openFile);
    if (file.mappable) this.#unmappable(file.node);
    return file;
  }

  /** Whether the kernel may have pages that a program wrote by a mapping, and that it has not sent: a mapping keeps its file open. */
  mayHaveDirtyPages(node: number): boolean {
    return this.#mappable.has(node);
  }

  #unmappable(node: number): void {
    const count = must(this.#mappable.get(node), `node ${node} has open files`);
    if (count === 1) this.#mappable.delete(node);
    else this.#mappable.set(node, count - 1);
  }
}
