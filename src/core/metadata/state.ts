import type { Buffer } from 'node:buffer';
import { must } from '../../base/assert.ts';
import { NAME_BYTES_MAX } from '../../base/constants.ts';
import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../base/ids.ts';
import { ok, type Result, refuse, unwrap } from '../../base/result.ts';
import { prepare } from './apply.ts';
import type { Caller, Command, CommandCase, CommandResults } from './commands.ts';
import { DetachedTrees } from './detached-trees.ts';
import { endOf, extentAt, FILE_LENGTH_MAX } from './extents.ts';
import { isReachable } from './links.ts';
import { isDot, isDotDot, nameTooLong } from './names.ts';
import { denied, MAY_EXECUTE, MAY_READ, MAY_WRITE, mayAccess } from './permissions.ts';
import { ResultMemory } from './result-memory.ts';
import {
  type Attributes,
  type Chunk,
  type Extent,
  type Filesystem,
  FileType,
  type Garbage,
  type Inode,
  type LongCommand,
  type Progress,
  type Server,
  type Session,
} from './rows.ts';
import type { MetaStore } from './store.ts';
import { checkStoreFormat, Tables } from './tables.ts';
import { forbiddenLook, isListed, kindOf } from './xattrs.ts';

/**
 * The master's durable state: look-ups, and `apply`, the only way to change it. Look-ups check the caller's permissions
 * themselves wherever a caller is given. Everything here is synchronous and a function of the store alone.
 */
export class MetadataState {
  readonly tables: Tables;
  readonly results: ResultMemory;
  /** Trees that were removed, and are not gone yet: nothing of them is to be seen. */
  readonly detached: DetachedTrees;
  /** Changed by commands; stored with the transaction that runs them. */
  readonly progress: Progress;
  readonly #store: MetaStore;
  #filesystem: Filesystem | undefined;

  constructor(store: MetaStore) {
    this.#store = store;
    this.tables = new Tables(store);
    checkStoreFormat(this.tables);
    this.#filesystem = this.tables.filesystem();
    this.progress = this.tables.progress() ?? {
      position: 0,
      nextInode: 1,
      nextChunk: 1,
      nextServer: 1,
      nextSession: 1,
      inodeCount: 0,
      chunkCount: 0,
    };
    this.results = new ResultMemory(this.tables);
    this.detached = new DetachedTrees(this.tables);
  }

  // --- commands ---

  /** What `apply` would refuse now; undefined: nothing. Writes nothing. */
  refusalOf(command: Command): Result<never> | undefined {
    const prepared = prepare(this, command);
    return prepared.ok ? undefined : prepared;
  }

  /** The first answer to a command that was applied before. */
  remembered(command: Command): Result<CommandResults[CommandCase]> | undefined {
    return this.results.recall(command.context, command.body.$case);
  }

  /**
   * Applies logged commands, in order, in one transaction. `position` is the first one's place in the log.
   * A function of state and commands alone: recovery, shadows and tests run the same one.
   */
  apply(commands: readonly Command[], position: number): Result<CommandResults[CommandCase]>[] {
    return this.#store.transaction(() => {
      const results = commands.map((command) => this.#applyOne(command));
      this.progress.position = position + commands.length - 1;
      this.tables.putProgress(this.progress);
      return results;
    });
  }

  #applyOne(command: Command): Result<CommandResults[CommandCase]> {
    const first = this.remembered(command);
    if (first !== undefined) return first;
    const prepared = prepare(this, command);
    const result = prepared.ok ? ok(prepared.value()) : prepared;
    this.results.remember(command, result);
    return result;
  }

  /** Only `format` calls it. */
  setFilesystem(filesystem: Filesystem): void {
    this.tables.putFormat();
    this.tables.putFilesystem(filesystem);
    this.#filesystem = filesystem;
  }

  // --- the file system as a whole ---

  /** Undefined before the first command. */
  get filesystem(): Filesystem | undefined {
    return this.#filesystem;
  }
  get chunkSizeBytes(): number {
    return must(this.#filesystem, 'the file system is formatted').chunkSizeBytes;
  }
  get position(): number {
    return this.progress.position;
  }
  get inodeCount(): number {
    return this.progress.inodeCount;
  }
  get chunkCount(): number {
    return this.progress.chunkCount;
  }

  // --- namespace ---

  /** "." and ".." are answered too. */
  lookup(caller: Caller, parent: InodeId, name: Uint8Array): Result<Attributes> {
    const directory = this.directory(parent);
    if (!directory.ok) return directory;
    if (!mayAccess(this, caller, directory.value, MAY_EXECUTE)) return denied(directory.value);
    if (isDot(name)) return directory;
    if (isDotDot(name))
      return this.attributes(must(directory.value.parent || undefined, 'a directory has a parent'));
    // Nothing can have it, and who looks is told why.
    if (name.length > NAME_BYTES_MAX) return nameTooLong(name);
    const dirent = this.tables.dirent(parent, name);
    return dirent === undefined ? refuse('NOT_FOUND', 'no such entry') : this.attributes(dirent.inode);
  }

  /** As stat(2), needs no permission on the inode itself. */
  attributes(inode: InodeId): Result<Attributes> {
    const row = this.row(inode);
    if (!row.ok || this.detached.isNone) return row;
    return ok({ ...row.value, linkCount: this.detached.linkCountOf(row.value) });
  }

  /** The attributes, if the caller may do all of this with the inode: what open(2) and access(2) ask. */
  access(
    caller: Caller,
    inode: InodeId,
    wanted: { read?: boolean; write?: boolean; execute?: boolean },
  ): Result<Attributes> {
    const found = this.attributes(inode);
    if (!found.ok) return found;
    const bits =
      (wanted.read ? MAY_READ : 0) | (wanted.write ? MAY_WRITE : 0) | (wanted.execute ? MAY_EXECUTE : 0);
    return mayAccess(this, caller, found.value, bits) ? found : denied(found.value);
  }

  /**
   * Why the caller may not name the inode by its number: there is no path of directories from the root to one of its
   * names that he may search, or it has no name any more. Undefined: he may, or there is no such inode. To be asked
   * before a call's own checks, which look at the inode's mode alone. Costs root nothing, others a row for each
   * directory on the way.
   */
  unreachable(caller: Caller, inode: InodeId): Result<never> | undefined {
    if (caller.uid === 0) return undefined;
    const row = this.tables.inode(inode);
    if (row === undefined || isReachable(this, caller, row)) return undefined;
    return this.detached.hides(row) || this.detached.linkCountOf(row) === 0
      ? refuse('NOT_FOUND', `inode ${inode} has no name any more`)
      : refuse('PERMISSION_DENIED', `no way that the caller may go leads to inode ${inode}`);
  }

  readSymlink(inode: InodeId): Result<Buffer> {
    const row = this.attributes(inode);
    if (!row.ok) return row;
    if (row.value.type !== FileType.SYMLINK)
      return refuse('INVALID_ARGUMENT', `inode ${inode} is no symlink`);
    return ok(must(this.tables.symlink(inode), 'a symlink has a target'));
  }

  /** Entries with names after `after` in byte order (empty: from the start), without "." and "..". */
  list(
    caller: Caller,
    inode: InodeId,
    { after, limit, withAttributes }: { after: Uint8Array; limit: number; withAttributes: boolean },
  ): Result<DirectoryPage> {
    const directory = this.directory(inode);
    if (!directory.ok) return directory;
    if (!mayAccess(this, caller, directory.value, MAY_READ)) return denied(directory.value);
    // As in every Unix: names may be read without search permission, what they lead to may not.
    const show = withAttributes && mayAccess(this, caller, directory.value, MAY_EXECUTE);
    const { entries, end } = this.tables.dirents(inode, after, limit);
    return ok({
      entries: entries.map((entry) => ({
        ...entry,
        attributes: show ? unwrap(this.attributes(entry.inode)) : undefined,
      })),
      end,
      parent: must(directory.value.parent || undefined, 'a directory has a parent'),
    });
  }

  // --- extended attributes ---

  xattr(caller: Caller, inode: InodeId, name: Buffer): Result<Buffer> {
    const kind = kindOf(name);
    if (!kind.ok) return kind;
    const row = this.row(inode);
    if (!row.ok) return row;
    const refusal = forbiddenLook(this, caller, row.value, kind.value);
    if (refusal !== undefined) return refusal;
    const value = row.value.hasXattrs ? this.tables.xattr(inode, name) : undefined;
    return value === undefined ? refuse('NO_DATA', 'there is no attribute of that name') : ok(value);
  }

  /** The names that the caller may know of, in the order of their bytes. */
  xattrNames(caller: Caller, inode: InodeId): Result<Buffer[]> {
    const row = this.row(inode);
    if (!row.ok) return row;
    const names = row.value.hasXattrs ? this.tables.xattrs(inode).map(({ name }) => name) : [];
    return ok(names.filter((name) => isListed(name, caller)));
  }

  /**
   * The row as it is stored. Of a tree that was removed files are there, for those who have them open, and count names that
   * nobody sees any more (`detached.linkCountOf`).
   */
  row(inode: InodeId): Result<Inode> {
    const row = this.tables.inode(inode);
    return row === undefined || this.detached.hides(row) ? refuse('NOT_FOUND', `no inode ${inode}`) : ok(row);
  }

  /** The row of an inode that is known to be there, such as one that a dirent names. */
  inodeOf(inode: InodeId): Inode {
    return must(this.tables.inode(inode), `inode ${inode} of a dirent exists`);
  }

  directory(inode: InodeId): Result<Inode> {
    const row = this.row(inode);
    if (!row.ok || row.value.type === FileType.DIRECTORY) return row;
    return refuse('NOT_DIRECTORY', `inode ${inode} is no directory`);
  }

  // --- files and chunks ---

  /** Extents from the one that holds the offset on (or, in a hole, the first one behind it), at most `count`. */
  extents(inode: InodeId, fileOffset: number, count: number): Extent[] {
    const holding = this.extentAt(inode, fileOffset);
    // A small file is one extent, and one look-up.
    if (holding !== undefined && count === 1) return [holding];
    const from = holding === undefined ? fileOffset : endOf(holding, this.chunkSizeBytes);
    const following = this.tables.extentsFrom(inode, from, holding === undefined ? count : count - 1);
    return holding === undefined ? following : [holding, ...following];
  }

  /** The extent that holds the offset. */
  extentAt(inode: InodeId, fileOffset: number): Extent | undefined {
    return extentAt(this.tables, inode, { offset: fileOffset, chunkSizeBytes: this.chunkSizeBytes });
  }

  /** The last extent that begins before this offset, if it may hold bytes at or behind `length`. */
  tailExtent(inode: InodeId, length: number, before = FILE_LENGTH_MAX + 1): Extent | undefined {
    const extent = before === 0 ? undefined : this.tables.extentAtOrBefore(inode, before - 1);
    return extent !== undefined && endOf(extent, this.chunkSizeBytes) > length ? extent : undefined;
  }

  chunk(chunk: ChunkHandle): Chunk | undefined {
    return this.tables.chunk(chunk);
  }
  /** All chunks in order of their handles, a page at a time. */
  chunks(after: number, limit: number): { chunk: ChunkHandle; row: Chunk }[] {
    return this.tables.chunks(after, limit);
  }
  /** Chunks that nothing refers to and whose replicas have to be deleted, a page at a time. */
  garbage(after: number, limit: number): (Garbage & { chunk: ChunkHandle })[] {
    return this.tables.garbage(after, limit);
  }
  isGarbage(chunk: ChunkHandle): boolean {
    return this.tables.isGarbage(chunk);
  }
  /** Files without a name that wait for their last close, a page at a time. */
  orphans(after: number, limit: number): InodeId[] {
    return this.tables.orphans(after, limit);
  }

  /** A file that was made without a name, and whoever made it may not have been told yet: he will ask again. */
  isAwaited(inode: InodeId): boolean {
    const unnamed = this.tables.orphan(inode)?.unnamed;
    return unnamed !== undefined && this.results.holds(unnamed.session, unnamed.number);
  }

  // --- long commands ---

  longCommands(): LongCommand[] {
    return this.tables.longCommands();
  }
  longCommand(id: InodeId): LongCommand | undefined {
    return this.tables.longCommand(id);
  }

  // --- sessions and servers ---

  session(session: SessionId): Session | undefined {
    return this.tables.session(session);
  }
  isSession(session: SessionId): boolean {
    return this.results.knows(session);
  }
  sessions(): Session[] {
    return this.tables.sessions();
  }
  server(server: ServerId): Server | undefined {
    return this.tables.server(server);
  }
  servers(): Server[] {
    return this.tables.servers();
  }
}

export interface DirectoryPage {
  readonly entries: DirectoryEntry[];
  /** Nothing comes after these. */
  readonly end: boolean;
  /** Where ".." leads. */
  readonly parent: InodeId;
}
export interface DirectoryEntry {
  readonly name: Buffer;
  readonly inode: InodeId;
  readonly type: FileType;
  readonly attributes: Attributes | undefined;
}
