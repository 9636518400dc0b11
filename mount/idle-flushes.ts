import type { SettledFiles } from '../native/index.ts';

/**
 * Which open files' flushes have nothing to do: nothing is written by them, and nobody has locked bytes of the file since the
 * kernel knows it. A flush releases what its owner has locked, whichever descriptor it was locked by.
 */
export class IdleFlushes {
  readonly #settled: SettledFiles;
  readonly #openFiles = new Map<number, Set<number>>();
  readonly #locked = new Set<number>();

  constructor(settled: SettledFiles) {
    this.#settled = settled;
  }

  /** By this open file nothing is written. Called before the kernel has its number. */
  opened(node: number, openFile: number): void {
    if (this.#locked.has(node)) return;
    const openFiles = this.#openFiles.get(node);
    if (openFiles === undefined) this.#openFiles.set(node, new Set([openFile]));
    else openFiles.add(openFile);
    this.#settled.add(openFile);
  }

  /** Somebody wants to lock bytes of it: called before he may have them. */
  locking(node: number): void {
    if (this.#locked.has(node)) return;
    this.#locked.add(node);
    for (const openFile of this.#openFiles.get(node) ?? []) this.#settled.delete(openFile);
    this.#openFiles.delete(node);
  }

  released(node: number, openFile: number): void {
    const openFiles = this.#openFiles.get(node);
    if (openFiles?.delete(openFile) !== true) return;
    this.#settled.delete(openFile);
    if (openFiles.size === 0) this.#openFiles.delete(node);
  }

  /** The kernel knows it no more: nobody has it open, nor anything of it locked. */
  forgotten(node: number): void {
    this.#locked.delete(node);
  }
}
