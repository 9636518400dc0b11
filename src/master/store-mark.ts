import { Buffer } from 'node:buffer';
import type { Disk } from '../base/disk.ts';
import { codeOf, GfsError } from '../base/errors.ts';

/** `none`: the directory is new. `doubtful`: the store may be anything, and has to be made anew. */
export type StoreTrust = 'none' | 'trustworthy' | 'doubtful';

/**
 * Tells whether the store's file can be believed. It is not synced while it is used, so it can after a clean end, or
 * while the machine has not been booted since. One line: `gfs-store-mark 1 BOOT-ID open|clean|rebuilding`.
 */
export class StoreMark {
  readonly #disk: Disk;
  readonly #directory: string;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  async trust(): Promise<StoreTrust> {
    const text = await this.#read();
    if (text === undefined) return 'none';
    const [, bootId, state] = /^gfs-store-mark 1 (\S+) (open|clean|rebuilding)\n$/.exec(text) ?? [];
    if (state === 'clean') return 'trustworthy';
    const sameBoot = bootId === (await this.#disk.bootId());
    return state === 'open' && sameBoot ? 'trustworthy' : 'doubtful';
  }

  /** Before a whole store is written to: durable, or a power cut would find the last clean mark. */
  async open(): Promise<void> {
    await this.#write('open');
  }

  /** Before the store is thrown away and made again: a process that ends half way leaves one nobody may believe. */
  async rebuilding(): Promise<void> {
    await this.#write('rebuilding');
  }

  /** After the store was synced, and nothing will be written any more. */
  async clean(): Promise<void> {
    await this.#write('clean');
  }

  get #path(): string {
    return `${this.#directory}/store.mark`;
  }

  async #read(): Promise<string | undefined> {
    try {
      const file = await this.#disk.open(this.#path, 'read');
      try {
        const bytes = Buffer.alloc(256);
        return bytes.toString('latin1', 0, await file.read(bytes, 0));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (codeOf(error) === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  async #write(state: 'open' | 'clean' | 'rebuilding'): Promise<void> {
    const bootId = await this.#disk.bootId();
    if (/\s/.test(bootId)) throw new GfsError('INTERNAL', `a boot id with blanks: ${bootId}`);
    const unfinished = `${this.#path}.new`;
    await this.#disk.remove(unfinished);
    const file = await this.#disk.open(unfinished, 'exclusive');
    try {
      await file.write([Buffer.from(`gfs-store-mark 1 ${bootId} ${state}\n`, 'latin1')], 0);
      await file.dataSync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(unfinished, this.#path);
    await this.#disk.syncDirectory(this.#directory);
  }
}
