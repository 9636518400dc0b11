import { codeOf } from '../../base/errors.ts';
import { inodeId } from '../../base/ids.ts';
import { type Attributes, FileType } from '../../rpc/messages.ts';
import { makeSymbolicLink, replaceWith } from './atomic-file.ts';
import type { Files } from './files.ts';
import { type Entry, entriesOf } from './listing.ts';
import { refusal } from './named-error.ts';
import { baseName, behindLinks, found, foundIfThere, isDirectory, joinPath } from './places.ts';
import { removeTree } from './remove-tree.ts';
import type { NodeChanges, Side, TreeNode } from './side.ts';

const KINDS: Readonly<Record<number, TreeNode['kind']>> = {
  [FileType.FILE_TYPE_REGULAR]: 'file',
  [FileType.FILE_TYPE_DIRECTORY]: 'directory',
  [FileType.FILE_TYPE_SYMLINK]: 'link',
};

export interface ClusterNode extends TreeNode, Entry {}

/** The cluster's files. */
export class ClusterSide implements Side<ClusterNode> {
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  async node(path: Buffer, options: { follow?: boolean } = {}): Promise<ClusterNode> {
    return clusterNode(baseName(path), path, await found(this.#files, path, options));
  }

  async nodeIfThere(path: Buffer, options: { follow?: boolean } = {}): Promise<ClusterNode | undefined> {
    const attributes = await foundIfThere(this.#files, path, options);
    return attributes && clusterNode(baseName(path), path, attributes);
  }

  async behindLinks(path: Buffer): Promise<Buffer> {
    return await behindLinks(this.#files, path);
  }

  async *children(directory: ClusterNode): AsyncGenerator<ClusterNode> {
    for await (const { name, path, attributes } of entriesOf(
      this.#files,
      inodeOf(directory),
      directory.path,
    )) {
      yield clusterNode(name, path, attributes);
    }
  }

  async makeDirectory(parent: ClusterNode, name: Buffer, mode: number): Promise<ClusterNode> {
    const { client, call } = this.#files;
    const path = joinPath(parent.path, name);
    const node = { type: FileType.FILE_TYPE_DIRECTORY, mode };
    let attributes: Attributes;
    try {
      attributes = await client.makeNode(inodeOf(parent), name, node, call);
    } catch (error) {
      if (codeOf(error) !== 'EXISTS') throw error;
      attributes = await client.lookup(inodeOf(parent), name, call);
      if (!isDirectory(attributes)) throw refusal(path, 'NOT_DIRECTORY', 'not a directory');
    }
    return clusterNode(name, path, attributes);
  }

  async readLink(link: ClusterNode): Promise<Buffer> {
    return await this.#files.client.readSymlink(inodeOf(link), this.#files.call);
  }

  async putLink(parent: ClusterNode, name: Buffer, target: Buffer): Promise<void> {
    const place = { parent: inodeOf(parent), name };
    try {
      await makeSymbolicLink(this.#files, place, target);
    } catch (error) {
      if (codeOf(error) !== 'EXISTS') throw error;
      await replaceWith(this.#files, place, (passing) => makeSymbolicLink(this.#files, passing, target));
    }
  }

  async change(node: ClusterNode, changes: NodeChanges): Promise<void> {
    await changeIfAllowed(this.#files, node.attributes, changes);
  }

  async remove(parent: ClusterNode, node: ClusterNode): Promise<void> {
    await removeTree(this.#files, { ...node, parent: inodeOf(parent) });
  }
}

export function clusterNode(name: Buffer, path: Buffer, attributes: Attributes): ClusterNode {
  const { type, mode, uid, gid, length, mtime = { seconds: 0, nanos: 0 } } = attributes;
  return { name, path, kind: KINDS[type] ?? 'other', mode, uid, gid, length, mtime, attributes };
}

export function inodeOf({ attributes }: Pick<ClusterNode, 'attributes'>) {
  return inodeId(attributes.inode);
}

/** Changes attributes; the owner, and with it set-id bits, only where this caller may. */
export async function changeIfAllowed(
  { client, call }: Files,
  { inode }: Pick<Attributes, 'inode'>,
  { uid, gid, ...others }: NodeChanges,
): Promise<void> {
  if (uid !== undefined || gid !== undefined) {
    try {
      const owner = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
      await client.setAttributes(inodeId(inode), owner, call);
    } catch (error) {
      if (codeOf(error) !== 'NOT_PERMITTED') throw error;
      if (others.mode !== undefined) others = { ...others, mode: others.mode & 0o777 };
    }
  }
  await client.setAttributes(inodeId(inode), others, call);
}
