import type { BigIntStats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { passingName } from './atomic-file.ts';
import type { Files } from './files.ts';
import { setLocalTimes } from './local-file.ts';
import { errnoNameOf, isNotFound, named, refusal } from './named-error.ts';
import { baseName, joinPath } from './places.ts';
import type { NodeChanges, Side, TreeNode } from './side.ts';

const NANOS = 1_000_000_000n;

/** Looked at together, when a directory is listed. */
const LOOKED_AT_COUNT = 32;

export interface LocalNode extends TreeNode {
  /** Takes less room than it is long. */
  readonly isSparse: boolean;
}

/** This machine's files. */
export class LocalSide implements Side<LocalNode> {
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  /** What a path means; a symbolic link itself unless `follow`. */
  async node(path: Buffer, { follow = true } = {}): Promise<LocalNode> {
    try {
      const stats = await (follow ? fs.stat : fs.lstat)(path, { bigint: true });
      return nodeOf(baseName(path), path, stats);
    } catch (error) {
      throw named(path, error);
    }
  }

  async nodeIfThere(path: Buffer, options: { follow?: boolean } = {}): Promise<LocalNode | undefined> {
    try {
      return await this.node(path, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async behindLinks(path: Buffer): Promise<Buffer> {
    try {
      return await fs.realpath(path, { encoding: 'buffer' });
    } catch (error) {
      if (isNotFound(error)) return path;
      throw named(path, error);
    }
  }

  async *children(directory: LocalNode): AsyncGenerator<LocalNode> {
    const names = (await fs.readdir(directory.path, { encoding: 'buffer' })).sort(Buffer.compare);
    for (let start = 0; start < names.length; start += LOOKED_AT_COUNT) {
      const some = names.slice(start, start + LOOKED_AT_COUNT);
      const nodes = await Promise.all(
        some.map((name) => this.nodeIfThere(joinPath(directory.path, name), { follow: false })),
      );
      for (const node of nodes) if (node !== undefined) yield node;
    }
  }

  async makeDirectory(parent: LocalNode, name: Buffer, mode: number): Promise<LocalNode> {
    const path = joinPath(parent.path, name);
    try {
      await fs.mkdir(path, { mode });
    } catch (error) {
      if (errnoNameOf(error) !== 'EEXIST') throw error;
    }
    const node = await this.node(path, { follow: false });
    if (node.kind !== 'directory') throw refusal(path, 'NOT_DIRECTORY', 'not a directory');
    return node;
  }

  async readLink(link: LocalNode): Promise<Buffer> {
    return await fs.readlink(link.path, { encoding: 'buffer' });
  }

  async putLink(parent: LocalNode, name: Buffer, target: Buffer): Promise<void> {
    const path = joinPath(parent.path, name);
    const passing = joinPath(parent.path, passingName(this.#files));
    try {
      await fs.symlink(target, passing);
      await fs.rename(passing, path);
    } catch (error) {
      await fs.unlink(passing).catch(() => undefined);
      throw error;
    }
  }

  async change({ path }: LocalNode, { mode, uid, gid, mtime }: NodeChanges): Promise<void> {
    if (uid !== undefined || gid !== undefined) await fs.lchown(path, uid ?? -1, gid ?? -1);
    if (mode !== undefined) await fs.chmod(path, mode);
    if (mtime !== undefined) {
      await setLocalTimes({ utimes: (atime, modified) => fs.utimes(path, atime, modified) }, mtime);
    }
  }

  async remove(_parent: LocalNode, node: LocalNode): Promise<void> {
    await fs.rm(node.path, { recursive: true, force: true });
  }
}

export function nodeOf(name: Buffer, path: Buffer, stats: BigIntStats): LocalNode {
  const isFile = stats.isFile();
  const otherwise = stats.isSymbolicLink() ? 'link' : 'other';
  // Times before 1970 count their nanoseconds upwards, too.
  const nanos = ((stats.mtimeNs % NANOS) + NANOS) % NANOS;
  return {
    name,
    path,
    kind: isFile ? 'file' : stats.isDirectory() ? 'directory' : otherwise,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    length: Number(stats.size),
    mtime: { seconds: Number((stats.mtimeNs - nanos) / NANOS), nanos: Number(nanos) },
    isSparse: isFile && stats.blocks * 512n < stats.size,
  };
}
