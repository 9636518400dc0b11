import { must } from '../../src/base/assert.ts';
import type { GfsFile } from '../../src/client/api.ts';

export interface MountedFile {
  readonly file: GfsFile;
  readonly writable: boolean;
}

/** Open files by the numbers that the kernel has for them. */
export class OpenFiles {
  readonly #files = new Map<number, MountedFile>();
  #lastNumber = 0;

  get size(): number {
    return this.#files.size;
  }

  add(file: MountedFile): number {
    this.#lastNumber += 1;
    this.#files.set(this.#lastNumber, file);
    return this.#lastNumber;
  }

  get(openFile: number): MountedFile {
    return must(this.#files.get(openFile), `the kernel has open file ${openFile} from us`);
  }

  remove(openFile: number): MountedFile {
    const file = this.get(openFile);
    this.#files.delete(openFile);
    return file;
  }
}
