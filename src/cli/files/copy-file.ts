import type { FileHandle } from 'node:fs/promises';
import * as fs from 'node:fs/promises';
import type { Bytes } from '../../base/bytes.ts';
import { lengthOf, slice } from '../../base/bytes.ts';
import { GfsError } from '../../base/errors.ts';
import type { AttributeChanges, GfsFile } from '../../client/api.ts';
import { writeAtomically } from './atomic-file.ts';
import { Buffers } from './buffers.ts';
import { type ClusterNode, changeIfAllowed, clusterNode, inodeOf } from './cluster-side.ts';
import type { Files } from './files.ts';
import { writeLocalAtomically } from './local-file.ts';
import { type LocalNode, nodeOf } from './local-side.ts';
import { named } from './named-error.ts';
import type { NamedPlace } from './places.ts';
import type { Progress } from './progress.ts';
import { type Keeping, modeToKeep } from './side.ts';
import { dataRanges, download, upload } from './transfer.ts';
import type { CopiesKeys } from './wanted-copies.ts';

/** Writes a range of a local file, or of whatever is open. */
type WriteAt = (bytes: Bytes, fileOffset: number) => Promise<void>;

/** Copies single files between this machine and the cluster, and within the cluster. */
export class FileCopies {
  readonly #files: Files;
  readonly #progress: Progress;
  readonly #goal: number | undefined;
  readonly #buffers = new Buffers();

  /** `replication`: of files in the cluster. */
  constructor(files: Files, progress: Progress, { replication }: CopiesKeys = {}) {
    this.#files = files;
    this.#progress = progress;
    this.#goal = replication;
  }

  /** A local file to a name in the cluster, with its permissions and time of change. */
  async put({ name, path }: LocalNode, place: NamedPlace): Promise<void> {
    const handle = await fs.open(path, 'r');
    try {
      const { mode, mtime, isSparse } = nodeOf(name, path, await handle.stat({ bigint: true }));
      const how = { mode: mode & 0o777, umask: 0, goal: this.#goal, changes: { mtime } };
      await writeAtomically(this.#files, place, how, (file) =>
        upload(this.#files, this.#buffers, { handle, isSparse }, file, (count) => this.#progress.add(count)),
      );
    } catch (error) {
      throw error instanceof GfsError ? named(place.path, error) : error;
    } finally {
      await handle.close();
    }
  }

  /** A file of the cluster to a local name, likewise. */
  async get(source: ClusterNode, path: Buffer): Promise<void> {
    await this.#opened(source, async (file, node) => {
      const how = { mode: node.mode & 0o777, mtime: node.mtime };
      await writeLocalAtomically(this.#files, path, how, async (handle) => {
        await this.#downloadData(file, node, (bytes, at) => writeAt(handle, bytes, at));
        await handle.truncate(node.length);
      });
    });
  }

  /** A file of the cluster to something open, from its start to its end. */
  async getInto(source: ClusterNode, write: WriteAt): Promise<void> {
    await this.#opened(source, (file, { length }) =>
      download(this.#files, file, { start: 0, end: length }, this.#counting(write)),
    );
  }

  /** A file of the cluster to another name there: its servers do that. */
  async copy(source: ClusterNode, place: NamedPlace, keeping: Keeping): Promise<void> {
    await this.#opened(source, async (from, node) => {
      const { umask, times, owner } = keeping;
      const changes: AttributeChanges = times ? { mtime: node.mtime } : {};
      const how = { mode: modeToKeep(node, keeping), umask, goal: this.#goal, changes };
      await writeAtomically(this.#files, place, how, async (file) => {
        await this.#copyAll(from, file, node.length);
        if (!owner) return;
        const { mode, uid, gid } = node;
        await changeIfAllowed(this.#files, { inode: file.inode }, { mode, uid, gid });
      });
    });
  }

  /** Whether a local file and one of the cluster have the same bytes; both are read. */
  async hasSameBytes({ path }: LocalNode, other: ClusterNode): Promise<boolean> {
    const handle = await fs.open(path, 'r');
    const buffer = this.#buffers.take();
    let isSame = true;
    try {
      await this.#opened(other, async (file, { length }) => {
        await download(this.#files, file, { start: 0, end: length }, async (bytes) => {
          for (const piece of isSame ? bytes : []) {
            const { bytesRead } = await handle.read(buffer, 0, piece.length, null);
            isSame &&=
              bytesRead === piece.length && buffer.compare(piece, 0, piece.length, 0, piece.length) === 0;
          }
        });
      });
    } finally {
      this.#buffers.give(buffer);
      await handle.close();
    }
    return isSame;
  }

  async #copyAll(from: GfsFile, file: GfsFile, length: number): Promise<void> {
    const { call } = this.#files;
    for (let position = 0; position < length; ) {
      const range = { sourceOffset: position, fileOffset: position, length: length - position };
      const count = await file.copyFrom(from, range, call);
      if (count === 0) return;
      position += count;
      this.#progress.add(count);
    }
  }

  /** All but holes, of which a new local file has as many. */
  async #downloadData(file: GfsFile, { length, attributes }: ClusterNode, write: WriteAt): Promise<void> {
    const counting = this.#counting(write);
    if (attributes.holeBytes === 0) {
      await download(this.#files, file, { start: 0, end: length }, counting);
      return;
    }
    let position = 0;
    for await (const range of dataRanges(this.#files, file, length)) {
      this.#progress.skipped(range.start - position);
      await download(this.#files, file, range, counting);
      position = range.end;
    }
    this.#progress.skipped(length - position);
  }

  #counting(write: WriteAt): WriteAt {
    return async (bytes, fileOffset) => {
      await write(bytes, fileOffset);
      this.#progress.add(lengthOf(bytes));
    };
  }

  /** Opens a file for reading, and looks at it as it is then. */
  async #opened(
    source: ClusterNode,
    work: (file: GfsFile, node: ClusterNode) => Promise<void>,
  ): Promise<void> {
    const { client, call } = this.#files;
    const { file, attributes } = await client.open(inodeOf(source), { read: true }, call);
    try {
      await work(file, clusterNode(source.name, source.path, attributes));
    } finally {
      await file.close(this.#files.lastCall).catch(() => undefined);
    }
  }
}

async function writeAt(handle: FileHandle, bytes: Bytes, fileOffset: number): Promise<void> {
  const length = lengthOf(bytes);
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await handle.writev(slice(bytes, done, length), fileOffset + done);
    done += bytesWritten;
  }
}
