import type { Buffer } from 'node:buffer';
import { assert } from '../../base/assert.ts';
import { GfsError } from '../../base/errors.ts';
import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../base/ids.ts';
import { RowReader, RowWriter } from './codec.ts';
import {
  readAppender,
  readChunk,
  readDirent,
  readExtent,
  readFilesystem,
  readGarbage,
  readInode,
  readLongCommand,
  readOrphan,
  readProgress,
  readServer,
  readSession,
  STORE_FORMAT,
  writeAppender,
  writeChunk,
  writeDirent,
  writeExtent,
  writeFilesystem,
  writeGarbage,
  writeInode,
  writeLongCommand,
  writeOrphan,
  writeProgress,
  writeServer,
  writeSession,
} from './row-codecs.ts';
import type {
  Appender,
  Chunk,
  Dirent,
  Extent,
  Filesystem,
  Garbage,
  Inode,
  LongCommand,
  Orphan,
  Progress,
  Server,
  Session,
} from './rows.ts';
import type { MetaStore, RowBytes } from './store.ts';

/** The first byte of each key: the table. The rest is what is said beside it; numbers are ordered ones. */
const Table = {
  FORMAT: 1, // nothing -> format number
  FILESYSTEM: 2, // nothing
  PROGRESS: 3, // nothing
  DIRENT: 4, // parent, name
  INODE: 5, // inode
  EXTENT: 6, // inode, start
  CHUNK: 7, // chunk
  SYMLINK: 8, // inode -> target
  ORPHAN: 9, // inode
  GARBAGE: 10, // chunk
  SESSION: 11, // session
  RESULT: 12, // session, number -> result, see result-codec.ts
  SERVER: 13, // server
  LINK: 14, // inode, directory -> how many of its names beside the one its row counts are there
  XATTR: 20, // inode, name -> value
  APPENDER: 21, // inode, name
  LONG_COMMAND: 22, // its id
} as const;
type Table = (typeof Table)[keyof typeof Table];

/**
 * The tables, typed, over ordered bytes. No rules here: those are in the files of the commands.
 * Keys and values each have one scratch buffer, so nothing below keeps a reference to either.
 */
export class Tables {
  readonly #store: MetaStore;
  readonly #key = new RowWriter();
  readonly #endKey = new RowWriter();
  readonly #value = new RowWriter();
  readonly #reader = new RowReader();
  readonly #keyReader = new RowReader();

  constructor(store: MetaStore) {
    this.#store = store;
  }

  format(): number | undefined {
    return this.#read(this.#table(Table.FORMAT).finish())?.number();
  }
  putFormat(): void {
    this.#store.put(this.#table(Table.FORMAT).finish(), this.#value.begin().number(STORE_FORMAT).finish());
  }

  filesystem(): Filesystem | undefined {
    const row = this.#read(this.#table(Table.FILESYSTEM).finish());
    return row && readFilesystem(row);
  }
  putFilesystem(filesystem: Filesystem): void {
    const value = writeFilesystem(this.#value.begin(), filesystem).finish();
    this.#store.put(this.#table(Table.FILESYSTEM).finish(), value);
  }

  progress(): Progress | undefined {
    const row = this.#read(this.#table(Table.PROGRESS).finish());
    return row && readProgress(row);
  }
  putProgress(progress: Progress): void {
    const value = writeProgress(this.#value.begin(), progress).finish();
    this.#store.put(this.#table(Table.PROGRESS).finish(), value);
  }

  dirent(parent: InodeId, name: Uint8Array): Dirent | undefined {
    const row = this.#read(this.#direntKey(parent, name));
    return row && readDirent(row);
  }
  putDirent(parent: InodeId, name: Uint8Array, dirent: Dirent): void {
    this.#store.put(this.#direntKey(parent, name), writeDirent(this.#value.begin(), dirent).finish());
  }
  removeDirent(parent: InodeId, name: Uint8Array): void {
    this.#removeExisting(this.#direntKey(parent, name), 'a removed dirent was there');
  }
  /** Entries whose names come after `after` in byte order; empty: all. At most `limit`, and whether these are the last. */
  dirents(parent: InodeId, after: Uint8Array, limit: number): { entries: NamedDirent[]; end: boolean } {
    const entries: NamedDirent[] = [];
    let end = true;
    // A name followed by a zero byte is the smallest key after it.
    const first = this.#table(Table.DIRENT).ordered(parent).raw(after);
    const from = (after.length > 0 ? first.byte(0) : first).finish();
    const range = {
      from,
      end: this.#endKey
        .begin()
        .byte(Table.DIRENT)
        .ordered(parent + 1)
        .finish(),
    };
    this.#store.scan(range, (key, value) => {
      if (entries.length >= limit) {
        end = false;
        return false;
      }
      const reader = this.#keyReader.begin(key);
      reader.byte();
      reader.ordered();
      entries.push({ name: reader.rest(), ...readDirent(this.#reader.begin(value)) });
      return true;
    });
    return { entries, end };
  }

  inode(inode: InodeId): Inode | undefined {
    const row = this.#read(this.#numberKey(Table.INODE, inode));
    return row && readInode(row, inode);
  }
  putInode(inode: Inode): void {
    const value = writeInode(this.#value.begin(), inode).finish();
    this.#store.put(this.#numberKey(Table.INODE, inode.inode), value);
  }
  removeInode(inode: InodeId): void {
    this.#removeExisting(this.#numberKey(Table.INODE, inode), 'a removed inode was there');
  }

  /** Inodes with numbers above `after`, in order. */
  inodes(after: number, limit: number): Inode[] {
    return this.#numbered(Table.INODE, after, limit, (row, inode) => readInode(row, inode as InodeId));
  }

  extent(inode: InodeId, start: number): Extent | undefined {
    const row = this.#read(this.#extentKey(inode, start));
    return row && readExtent(row, start);
  }
  /** The last extent that starts at `offset` or before it. */
  extentAtOrBefore(inode: InodeId, offset: number): Extent | undefined {
    const before = Math.min(offset, Number.MAX_SAFE_INTEGER - 1) + 1;
    const found = this.#extents(inode, { from: 0, before, count: 1, reverse: true });
    return found[0];
  }
  /** Extents that start at `from` or after it, in order. */
  extentsFrom(inode: InodeId, from: number, count: number): Extent[] {
    return this.#extents(inode, { from, before: Number.MAX_SAFE_INTEGER, count, reverse: false });
  }
  putExtent(inode: InodeId, extent: Extent): void {
    this.#store.put(this.#extentKey(inode, extent.start), writeExtent(this.#value.begin(), extent).finish());
  }
  removeExtent(inode: InodeId, start: number): void {
    this.#removeExisting(this.#extentKey(inode, start), 'a removed extent was there');
  }

  chunk(chunk: ChunkHandle): Chunk | undefined {
    const row = this.#read(this.#numberKey(Table.CHUNK, chunk));
    return row && readChunk(row);
  }
  putChunk(chunk: ChunkHandle, row: Chunk): void {
    this.#store.put(this.#numberKey(Table.CHUNK, chunk), writeChunk(this.#value.begin(), row).finish());
  }
  removeChunk(chunk: ChunkHandle): void {
    this.#removeExisting(this.#numberKey(Table.CHUNK, chunk), 'a removed chunk was there');
  }
  /** Chunks with handles above `after`, in order. */
  chunks(after: number, limit: number): { chunk: ChunkHandle; row: Chunk }[] {
    const read = (reader: RowReader, chunk: number) => ({
      chunk: chunk as ChunkHandle,
      row: readChunk(reader),
    });
    return this.#numbered(Table.CHUNK, after, limit, read);
  }

  symlink(inode: InodeId): Buffer | undefined {
    return this.#read(this.#numberKey(Table.SYMLINK, inode))?.rest();
  }
  putSymlink(inode: InodeId, target: Uint8Array): void {
    this.#store.put(this.#numberKey(Table.SYMLINK, inode), target);
  }
  removeSymlink(inode: InodeId): void {
    this.#removeExisting(this.#numberKey(Table.SYMLINK, inode), 'a removed symlink was there');
  }

  /** How many names of the inode that directory holds, the one that the inode's row counts left out. */
  linksIn(inode: InodeId, directory: InodeId): number {
    return this.#read(this.#linkKey(inode, directory))?.number() ?? 0;
  }
  putLinksIn(inode: InodeId, directory: InodeId, count: number): void {
    this.#store.put(this.#linkKey(inode, directory), this.#value.begin().number(count).finish());
  }
  removeLinksIn(inode: InodeId, directory: InodeId): void {
    this.#removeExisting(this.#linkKey(inode, directory), 'a removed link was there');
  }
  /** Directories above `after` that hold further names of the inode, in order. */
  linkDirectories(inode: InodeId, after: InodeId | 0, limit: number): InodeId[] {
    const found: InodeId[] = [];
    const range = {
      from: this.#linkKey(inode, after + 1),
      end: this.#endKey
        .begin()
        .byte(Table.LINK)
        .ordered(inode + 1)
        .finish(),
    };
    this.#store.scan(range, (key) => {
      const reader = this.#keyReader.begin(key);
      reader.byte();
      reader.ordered();
      found.push(reader.ordered() as InodeId);
      return found.length < limit;
    });
    return found;
  }

  xattr(inode: InodeId, name: Uint8Array): Buffer | undefined {
    return this.#read(this.#xattrKey(inode, name))?.rest();
  }
  putXattr(inode: InodeId, name: Uint8Array, value: Uint8Array): void {
    this.#store.put(this.#xattrKey(inode, name), value);
  }
  /** Whether it was there. */
  removeXattr(inode: InodeId, name: Uint8Array): boolean {
    return this.#store.remove(this.#xattrKey(inode, name));
  }
  /** In the order of their bytes; as many as there are, or `limit`. */
  xattrs(inode: InodeId, limit = Infinity): { name: Buffer; valueBytes: number }[] {
    const found: { name: Buffer; valueBytes: number }[] = [];
    this.#scanNamed(Table.XATTR, inode, (name, value) => {
      found.push({ name, valueBytes: value.length });
      return found.length < limit;
    });
    return found;
  }

  appender(inode: InodeId, name: Uint8Array): Appender | undefined {
    const row = this.#read(this.#appenderKey(inode, name));
    return row && readAppender(row);
  }
  putAppender(inode: InodeId, name: Uint8Array, appender: Appender): void {
    this.#store.put(this.#appenderKey(inode, name), writeAppender(this.#value.begin(), appender).finish());
  }
  removeAppender(inode: InodeId, name: Uint8Array): void {
    this.#removeExisting(this.#appenderKey(inode, name), 'a removed appender was there');
  }
  /** All of a file, in the order of their names' bytes. */
  appenders(inode: InodeId): (Appender & { readonly appender: Buffer })[] {
    const found: (Appender & { readonly appender: Buffer })[] = [];
    this.#scanNamed(Table.APPENDER, inode, (appender, value) => {
      found.push({ appender, ...readAppender(this.#reader.begin(value)) });
      return true;
    });
    return found;
  }

  orphan(inode: InodeId): Orphan | undefined {
    const row = this.#read(this.#numberKey(Table.ORPHAN, inode));
    return row && readOrphan(row);
  }
  putOrphan(inode: InodeId, orphan: Orphan): void {
    const value = writeOrphan(this.#value.begin(), orphan).finish();
    this.#store.put(this.#numberKey(Table.ORPHAN, inode), value);
  }
  removeOrphan(inode: InodeId): void {
    this.#removeExisting(this.#numberKey(Table.ORPHAN, inode), 'a removed orphan was there');
  }
  orphans(after: number, limit: number): InodeId[] {
    return this.#numbered(Table.ORPHAN, after, limit, (_, inode) => inode as InodeId);
  }

  longCommand(id: InodeId): LongCommand | undefined {
    const row = this.#read(this.#numberKey(Table.LONG_COMMAND, id));
    return row && readLongCommand(row, id);
  }
  putLongCommand(command: LongCommand): void {
    const value = writeLongCommand(this.#value.begin(), command).finish();
    this.#store.put(this.#numberKey(Table.LONG_COMMAND, command.id), value);
  }
  removeLongCommand(id: InodeId): void {
    this.#removeExisting(this.#numberKey(Table.LONG_COMMAND, id), 'a long command that ends was there');
  }
  longCommands(): LongCommand[] {
    return this.#numbered(Table.LONG_COMMAND, 0, Infinity, (row, id) => readLongCommand(row, id as InodeId));
  }

  isGarbage(chunk: ChunkHandle): boolean {
    return this.#store.has(this.#numberKey(Table.GARBAGE, chunk));
  }
  putGarbage(chunk: ChunkHandle, garbage: Garbage): void {
    this.#store.put(
      this.#numberKey(Table.GARBAGE, chunk),
      writeGarbage(this.#value.begin(), garbage).finish(),
    );
  }
  /** Whether it was there. */
  removeGarbage(chunk: ChunkHandle): boolean {
    return this.#store.remove(this.#numberKey(Table.GARBAGE, chunk));
  }
  garbage(after: number, limit: number): (Garbage & { chunk: ChunkHandle })[] {
    const read = (reader: RowReader, chunk: number) => ({
      chunk: chunk as ChunkHandle,
      ...readGarbage(reader),
    });
    return this.#numbered(Table.GARBAGE, after, limit, read);
  }

  session(session: SessionId): Session | undefined {
    const row = this.#read(this.#numberKey(Table.SESSION, session));
    return row && readSession(row, session);
  }
  putSession(session: Session): void {
    const value = writeSession(this.#value.begin(), session).finish();
    this.#store.put(this.#numberKey(Table.SESSION, session.session), value);
  }
  removeSession(session: SessionId): void {
    this.#removeExisting(this.#numberKey(Table.SESSION, session), 'a removed session was there');
  }
  sessions(): Session[] {
    return this.#numbered(Table.SESSION, 0, Infinity, (row, session) =>
      readSession(row, session as SessionId),
    );
  }

  /** The packed result, readable until the next call. */
  result(session: SessionId, number: number): RowReader | undefined {
    return this.#read(this.#resultKey(session, number));
  }
  putResult(session: SessionId, number: number, value: Uint8Array): void {
    this.#store.put(this.#resultKey(session, number), value);
  }
  removeResult(session: SessionId, number: number): void {
    this.#removeExisting(this.#resultKey(session, number), 'a forgotten result was there');
  }
  eachResult(visit: (session: SessionId, number: number, row: RowReader) => void): void {
    const range = {
      from: this.#table(Table.RESULT).finish(),
      end: this.#endKey
        .begin()
        .byte(Table.RESULT + 1)
        .finish(),
    };
    this.#store.scan(range, (key, value) => {
      const reader = this.#keyReader.begin(key);
      reader.byte();
      const session = reader.ordered() as SessionId;
      visit(session, reader.ordered(), this.#reader.begin(value));
      return true;
    });
  }

  server(server: ServerId): Server | undefined {
    const row = this.#read(this.#numberKey(Table.SERVER, server));
    return row && readServer(row, server);
  }
  putServer(server: Server): void {
    const value = writeServer(this.#value.begin(), server).finish();
    this.#store.put(this.#numberKey(Table.SERVER, server.server), value);
  }
  servers(): Server[] {
    return this.#numbered(Table.SERVER, 0, Infinity, (row, server) => readServer(row, server as ServerId));
  }

  #read(key: Uint8Array): RowReader | undefined {
    const row = this.#store.get(key);
    return row && this.#reader.begin(row);
  }

  #removeExisting(key: Uint8Array, reason: string): void {
    assert(this.#store.remove(key), reason);
  }

  #table(table: Table): RowWriter {
    return this.#key.begin().byte(table);
  }

  #numberKey(table: Table, id: number): Uint8Array {
    return this.#table(table).ordered(id).finish();
  }

  #direntKey(parent: InodeId, name: Uint8Array): Uint8Array {
    return this.#table(Table.DIRENT).ordered(parent).raw(name).finish();
  }

  #extentKey(inode: InodeId, start: number): Uint8Array {
    return this.#table(Table.EXTENT).ordered(inode).ordered(start).finish();
  }

  #linkKey(inode: InodeId, directory: number): Uint8Array {
    return this.#table(Table.LINK).ordered(inode).ordered(directory).finish();
  }

  #xattrKey(inode: InodeId, name: Uint8Array): Uint8Array {
    return this.#table(Table.XATTR).ordered(inode).raw(name).finish();
  }

  #appenderKey(inode: InodeId, name: Uint8Array): Uint8Array {
    return this.#table(Table.APPENDER).ordered(inode).raw(name).finish();
  }

  /** What an inode has under names, in the order of their bytes, for as long as `take` wants more. */
  #scanNamed(table: Table, inode: InodeId, take: (name: Buffer, value: RowBytes) => boolean): void {
    const range = {
      from: this.#table(table).ordered(inode).finish(),
      end: this.#endKey
        .begin()
        .byte(table)
        .ordered(inode + 1)
        .finish(),
    };
    this.#store.scan(range, (key, value) => {
      const reader = this.#keyReader.begin(key);
      reader.byte();
      reader.ordered();
      return take(reader.rest(), value);
    });
  }

  #resultKey(session: SessionId, number: number): Uint8Array {
    return this.#table(Table.RESULT).ordered(session).ordered(number).finish();
  }

  /** Rows of a table with one number as its key, above `after`. */
  #numbered<T>(table: Table, after: number, limit: number, read: (row: RowReader, id: number) => T): T[] {
    const found: T[] = [];
    const range = {
      from: this.#numberKey(table, after + 1),
      end: this.#endKey
        .begin()
        .byte(table + 1)
        .finish(),
    };
    if (limit <= 0) return found;
    this.#store.scan(range, (key, value) => {
      const reader = this.#keyReader.begin(key);
      reader.byte();
      found.push(read(this.#reader.begin(value), reader.ordered()));
      return found.length < limit;
    });
    return found;
  }

  #extents(
    inode: InodeId,
    { from, before, count, reverse }: { from: number; before: number; count: number; reverse: boolean },
  ): Extent[] {
    const found: Extent[] = [];
    if (count <= 0) return found;
    const range = {
      from: this.#extentKey(inode, from),
      end: this.#endKey.begin().byte(Table.EXTENT).ordered(inode).ordered(before).finish(),
      reverse,
    };
    this.#store.scan(range, (key, value) => {
      const reader = this.#keyReader.begin(key);
      reader.byte();
      reader.ordered();
      found.push(readExtent(this.#reader.begin(value), reader.ordered()));
      return found.length < count;
    });
    return found;
  }
}

export interface NamedDirent extends Dirent {
  readonly name: Buffer;
}

/** A store of another format is not read. */
export function checkStoreFormat(tables: Tables): void {
  const format = tables.format();
  if (format === undefined || format === STORE_FORMAT) return;
  throw new GfsError(
    'CORRUPT',
    `the metadata store has format ${format}, this program reads ${STORE_FORMAT}`,
  );
}
