import { codeOf, GfsError } from '../../src/base/errors.ts';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import type { AttributeChanges, Call, GfsClient, NodeDescription } from '../../src/client/api.ts';
import { mayNameNobody } from '../../src/core/metadata/permissions.ts';
import { timeOfMicros } from '../../src/core/metadata/times.ts';
import { type Attributes, FileType } from '../../src/rpc/messages.ts';
import type { Asked, Caller, Namespace } from '../file-system.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../wire/numbers.ts';
import type { Entry, FilesystemStatistics, TimedAttributes } from '../wire/replies.ts';
import type * as requests from '../wire/requests.ts';
import { fileTypeOf, permissionBits } from './attributes.ts';
import type { GfsContext } from './context.ts';
import type { Moment } from './kernel-belief.ts';
import { staleWhenGone } from './stale.ts';
import { waitsForChangeOfOwner } from './waiting-threads.ts';

const SET_ID_BITS = 0o6000;

/** Names and attributes, each operation one call of the client. */
export class GfsNamespace implements Namespace {
  readonly #context: GfsContext;
  readonly #client: GfsClient;

  constructor(context: GfsContext) {
    this.#context = context;
    this.#client = context.client;
  }

  async lookup({ parent, name }: requests.Lookup, caller: Caller): Promise<Entry> {
    const call = await this.#call(caller);
    const asked = this.#context.belief.asking();
    return this.#entry(await this.#client.lookup(inodeId(parent), name, call), asked, parent, name);
  }

  async getAttributes({ node }: requests.GetAttributes, caller: Caller): Promise<TimedAttributes> {
    const { belief, removed } = this.#context;
    const call = await this.#call(caller);
    return await belief.look(node, () =>
      removed.attributes(node, this.#client.attributes(inodeId(node), call)),
    );
  }

  async setAttributes(operation: requests.SetAttributes, caller: Caller): Promise<TimedAttributes> {
    const call = await this.#call(caller);
    const inode = inodeId(operation.node);
    const { belief, changes, env, removed } = this.#context;
    const asked = belief.asking();
    try {
      const answer = this.#change(inode, operation, call, caller.pid);
      const how = { changes: changesOf(operation), caller: call.caller, now: timeOfMicros(env.nowMicros()) };
      return belief.changed(await removed.changed(inode, answer, how), asked);
    } finally {
      changes.note(inode);
    }
  }

  async #change(
    inode: InodeId,
    operation: requests.SetAttributes,
    call: Call,
    thread: number,
  ): Promise<Attributes> {
    const { size, openFile } = operation;
    const changes = changesOf(operation);
    if (size === undefined && Object.keys(changes).length === 0) return this.#touch(inode, call, thread);
    if (size === undefined) return this.#client.setAttributes(inode, changes, call);
    if (openFile === undefined) return this.#client.setAttributes(inode, { ...changes, length: size }, call);
    // ftruncate(2): allowed by how the file was opened, not by its mode now.
    const { file } = this.#context.openFiles.get(openFile);
    // First the set-id bits that a kernel takes with it which does not leave them to us (before 5.11): after the truncation they
    // would be gone, and nothing left to be allowed.
    if (Object.keys(changes).length > 0) await this.#client.setAttributes(inode, changes, call);
    await file.truncate(size, call);
    return await file.attributes(call);
  }

  /**
   * What a kernel means that wants nothing changed: it is about to write or to allocate for somebody who may not leave set-id bits
   * behind, or an owner was given who is nobody: a change all the same, by the ctime. Who is not allowed to by the mode may still
   * write: a write takes those bits, too. What the caller is at tells which it is.
   */
  async #touch(inode: InodeId, call: Call, thread: number): Promise<Attributes> {
    const attributes = await this.#client.attributes(inode, call);
    const losesBits =
      (attributes.mode & SET_ID_BITS) !== 0 && attributes.type !== FileType.FILE_TYPE_DIRECTORY;
    if (!losesBits) return await this.#client.setAttributes(inode, {}, call);
    const isChown = await waitsForChangeOfOwner(thread);
    if (isChown && !mayNameNobody(attributes, call.caller)) {
      throw new GfsError('NOT_PERMITTED', 'only the owner changes the mode');
    }
    // Root's fallocate takes capabilities alone, which the kernel has taken by now.
    if (isChown === false && call.caller.uid === 0) return await this.#client.setAttributes(inode, {}, call);
    try {
      return await this.#client.setAttributes(inode, { dropSetIds: true }, call);
    } catch (error) {
      if (codeOf(error) !== 'PERMISSION_DENIED') throw error;
      return attributes;
    }
  }

  async readSymlink({ node }: requests.ReadSymlink, caller: Caller): Promise<Uint8Array> {
    const call = await this.#call(caller);
    const target = await staleWhenGone(this.#client.readSymlink(inodeId(node), call));
    this.#context.reads.file(node);
    return target;
  }

  makeSymlink({ parent, name, target }: requests.MakeSymlink, caller: Caller): Promise<Entry> {
    const symlink = { type: FileType.FILE_TYPE_SYMLINK, mode: 0o777, symlinkTarget: target };
    return this.#make(parent, name, symlink, caller);
  }

  makeDirectory({ parent, name, mode, umask }: requests.MakeDirectory, caller: Caller): Promise<Entry> {
    const directory = { type: FileType.FILE_TYPE_DIRECTORY, mode: permissionBits(mode), umask };
    return this.#make(parent, name, directory, caller);
  }

  async makeNode({ parent, name, mode, umask, rdev }: requests.MakeNode, caller: Caller): Promise<Entry> {
    const type = fileTypeOf(mode);
    if (type !== FileType.FILE_TYPE_REGULAR) {
      return this.#make(parent, name, { type, mode: permissionBits(mode), umask, rdev }, caller);
    }
    const call = await this.#call(caller);
    const regular = { mode: permissionBits(mode), umask, exclusive: true };
    const asked = this.#context.belief.asking();
    const { file, attributes } = await this.#client.create(inodeId(parent), name, regular, call);
    await file.close(call);
    this.#context.ready.changed(inodeId(parent));
    return this.#entry(attributes, asked, parent, name);
  }

  async unlink({ parent, name }: requests.Unlink, caller: Caller): Promise<void> {
    const directory = inodeId(parent);
    const call = await this.#call(caller);
    await this.#removed(directory, await this.#client.unlink(directory, name, call), call);
  }

  async removeDirectory({ parent, name }: requests.RemoveDirectory, caller: Caller): Promise<void> {
    const directory = inodeId(parent);
    const call = await this.#call(caller);
    await this.#removed(directory, await this.#client.removeDirectory(directory, name, call), call);
  }

  async #removed(directory: InodeId, gone: Attributes | undefined, asked: Asked): Promise<void> {
    const { removed, ready, syncsNames } = this.#context;
    removed.add(gone);
    if (syncsNames) await this.#client.syncNames(asked);
    ready.changed(directory);
  }

  async rename(operation: requests.Rename, caller: Caller): Promise<void> {
    const { parent, name, newParent, newName, flags } = operation;
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) {
      throw new GfsError('INVALID_ARGUMENT', `rename with flags ${flags}`);
    }
    const from = { parent: inodeId(parent), name };
    const to = { parent: inodeId(newParent), name: newName };
    const noReplace = (flags & RENAME_NOREPLACE) !== 0;
    const exchange = (flags & RENAME_EXCHANGE) !== 0;
    const whiteout = (flags & RENAME_WHITEOUT) !== 0;
    const call = await this.#call(caller);
    this.#context.removed.add(await this.#client.rename(from, to, { noReplace, exchange, whiteout }, call));
    this.#context.belief.renamed(to.parent, newName);
    this.#context.ready.changed(from.parent);
    if (to.parent !== from.parent) this.#context.ready.changed(to.parent);
  }

  async makeLink({ node, newParent, newName }: requests.MakeLink, caller: Caller): Promise<Entry> {
    const call = await this.#call(caller);
    const asked = this.#context.belief.asking();
    const attributes = await this.#client.makeLink(
      inodeId(node),
      { parent: inodeId(newParent), name: newName },
      {},
      call,
    );
    this.#context.ready.changed(inodeId(newParent));
    return this.#entry(attributes, asked, newParent, newName);
  }

  async statFilesystem(asked?: Asked): Promise<FilesystemStatistics> {
    const statistics = await this.#client.statFilesystem(asked);
    return {
      totalBytes: statistics.totalBytes,
      freeBytes: statistics.freeBytes,
      availableBytes: statistics.availableBytes,
      nodeCount: statistics.inodeCount,
      nodeCountFree: statistics.inodeCountFree,
      nameBytesMax: statistics.nameLengthMax,
    };
  }

  async #make(parent: number, name: Buffer, node: NodeDescription, caller: Caller): Promise<Entry> {
    const call = await this.#call(caller);
    const { belief, ready } = this.#context;
    const asked = belief.asking();
    const attributes = await this.#client.makeNode(inodeId(parent), name, node, call);
    ready.changed(inodeId(parent));
    return this.#entry(attributes, asked, parent, name);
  }

  #entry(attributes: Attributes, asked: Moment, parent: number, name: Buffer): Entry {
    return this.#context.belief.entry(attributes, asked, inodeId(parent), name);
  }

  #call(caller: Caller): Call | Promise<Call> {
    return this.#context.callers.call(caller);
  }
}

/** All but the length. */
function changesOf({ mode, uid, gid, atime, mtime }: requests.SetAttributes): AttributeChanges {
  return {
    ...(mode === undefined ? {} : { mode: permissionBits(mode) }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(atime === undefined ? {} : { atime }),
    ...(mtime === undefined ? {} : { mtime }),
  };
}
