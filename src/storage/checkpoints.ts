import { Buffer } from 'node:buffer';
import { crc32 } from '../base/crc.ts';
import type { Disk } from '../base/disk.ts';
import { hex } from '../base/ids.ts';
import { MiB } from '../base/units.ts';
import type { MetaStoreFile } from './meta-store-files.ts';

/** A copy of the store with all commands up to `position` in it (and perhaps some after). */
export interface Checkpoint {
  readonly position: number;
  readonly path: string;
  /** CRC-32 of the file. */
  readonly checksum: number;
}

const KEPT = 2;
const UNFINISHED = 'unfinished';
const READ_BYTES = 1 * MiB;

/**
 * The directory of checkpoints (§2.6.3). Each is a file named for its position (20 decimal digits) and the CRC-32 of its bytes
 * (8 hexadecimal ones): `00000000000000001234-89abcdef.checkpoint`. It is written under another name, synced, read back
 * for its checksum, then renamed: a file of that name was whole once, and is used only if it still is.
 */
export class Checkpoints {
  readonly #disk: Disk;
  readonly #directory: string;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Newest first. */
  async list(): Promise<Checkpoint[]> {
    const names = await this.#disk.list(this.#directory);
    const found = names.flatMap((name) => {
      const match = /^(\d{20})-([0-9a-f]{8})\.checkpoint$/.exec(name);
      if (match === null) return [];
      const path = `${this.#directory}/${name}`;
      return [{ position: Number(match[1]), checksum: Number.parseInt(match[2] ?? '', 16), path }];
    });
    return found.sort((a, b) => b.position - a.position);
  }

  /** Copies the store, which has everything up to `position`, while it goes on; deletes all but the newest two. */
  async write(store: MetaStoreFile, position: number): Promise<Checkpoint> {
    const unfinished = `${this.#directory}/${UNFINISHED}`;
    try {
      await store.writeCheckpoint(unfinished);
    } catch (error) {
      // Half a checkpoint would keep on the disk what is short there.
      await this.#disk.remove(unfinished);
      throw error;
    }
    const checksum = await this.#checksumOf(unfinished);
    const path = `${this.#directory}/${nameOf(position, checksum)}`;
    await this.#disk.rename(unfinished, path);
    await this.#disk.syncDirectory(this.#directory);
    for (const old of (await this.list()).slice(KEPT)) await this.#disk.remove(old.path);
    return { position, path, checksum };
  }

  /** Whether the file still is what was written. */
  async isWhole({ path, checksum }: Checkpoint): Promise<boolean> {
    return (await this.#checksumOf(path)) === checksum;
  }

  async remove({ path }: Checkpoint): Promise<void> {
    await this.#disk.remove(path);
    await this.#disk.syncDirectory(this.#directory);
  }

  async #checksumOf(path: string): Promise<number> {
    const file = await this.#disk.open(path, 'read');
    try {
      const buffer = Buffer.alloc(READ_BYTES);
      let sum = 0;
      for (let position = 0; ; ) {
        const count = await file.read(buffer, position);
        sum = crc32(buffer.subarray(0, count), sum);
        position += count;
        if (count < READ_BYTES) return sum;
      }
    } finally {
      await file.close();
    }
  }
}

function nameOf(position: number, checksum: number): string {
  return `${String(position).padStart(20, '0')}-${hex(checksum).slice(-8)}.checkpoint`;
}
