import { must } from '../../src/base/assert.ts';
import type { GfsFile } from '../../src/client/api.ts';

export interface MountedFile {
  readonly node: number;
  readonly file: GfsFile;
  readonly writable: boolean;
  /** As it was opened with. */
  readonly flags: number;
  /** For reading and writing: others cannot be mapped to be written through. */
  readonly mappable: boolean;
}

/** What the kernel knows of a node that is open: it may be reading pages of it at any time. */
export interface OpenNode {
  openCount: number;
  /** How many of these are mappable. */
  mappableCount: number;
  /** Others may have changed it since the kernel last looked at it, and what it has read since then nobody tells to be old. */
  isUnseen: boolean;
  /** Its pages may be old, and the answers that it got do not tell it so: they have the same length and mtime. */
  hasHiddenNews: boolean;
  /** The kernel is still to be told that its pages are old. */
  hasOldPages: boolean;
}

/** Open files by the numbers that the kernel has for them. */
export class OpenFiles {
  readonly #files = new Map<number, MountedFile>();
  readonly #nodes = new Map<number, OpenNode>();
  #lastNumber = 0;

  get nodes(): ReadonlyMap<number, OpenNode> {
    return this.#nodes;
  }

  /** `isUnseen`: of what others change nobody tells now. */
  add(file: MountedFile, isUnseen: boolean): number {
    this.#lastNumber += 1;
    this.#files.set(this.#lastNumber, file);
    const open = this.#nodes.get(file.node) ?? newNode(isUnseen);
    open.openCount += 1;
    if (file.mappable) open.mappableCount += 1;
    this.#nodes.set(file.node, open);
    return this.#lastNumber;
  }

  get(openFile: number): MountedFile {
    return must(this.#files.get(openFile), `the kernel has open file ${openFile} from us`);
  }

  remove(openFile: number): MountedFile {
    const file = this.get(openFile);
    this.#files.delete(openFile);
    const open = must(this.#nodes.get(file.node), 'an open file has a node');
    open.openCount -= 1;
    if (file.mappable) open.mappableCount -= 1;
    if (open.openCount === 0) this.#nodes.delete(file.node);
    return file;
  }

  /** Whether the kernel may have pages that a program wrote by a mapping, and that it has not sent: a mapping keeps its file open. */
  mayHaveDirtyPages(node: number): boolean {
    return (this.#nodes.get(node)?.mappableCount ?? 0) > 0;
  }
}

function newNode(isUnseen: boolean): OpenNode {
  return { openCount: 0, mappableCount: 0, isUnseen, hasHiddenNews: false, hasOldPages: false };
}
