/**
 * Files as the storage layer needs them. `NodeDisk` is the real one, `SimDisk` loses what was not synced.
 *
 * Promises of every implementation: a write that resolved is read back by this and later processes of this machine
 * until power is lost; after `dataSync` resolved, bytes and length of the file survive that too, but the file's *name*
 * only after `syncDirectory` of its directory. Errors are `GfsError`s: NOT_FOUND, EXISTS, NO_SPACE, IO_ERROR.
 */
export interface Disk {
  /** `create` makes it if missing, `exclusive` makes it and refuses an existing one, `existing` wants it there. */
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /**
   * A new file with what another one holds, which nobody writes to meanwhile; the two share their room where the file system
   * can do that. EXISTS. Until a sync it is as certain as a write.
   */
  copy(from: string, to: string): Promise<void>;
  /** A missing file is fine. */
  remove(path: string): Promise<void>;
  /** Names in the directory, sorted; a missing directory is NOT_FOUND. */
  list(directory: string): Promise<string[]>;
  /** With parents; an existing one is fine. */
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory durable: creations, renames, removals. */
  syncDirectory(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  space(path: string): Promise<DiskSpace>;
  /** Held until `close` or the end of the process; ALREADY_RUNNING when another process (or holder) has it. */
  lock(path: string): Promise<DiskLock>;
  /** Changes whenever the machine boots: then unsynced writes may be gone (P7). */
  bootId(): Promise<string>;
}

export type OpenMode = 'read' | 'existing' | 'create' | 'exclusive';

export interface DiskFile {
  /** Fills `into` from `position` as far as the file goes; returns the bytes read. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all buffers one after another from `position`. They are borrowed until it settles. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  size(): Promise<number>;
  truncate(lengthBytes: number): Promise<void>;
  /**
   * Gives the room of a range back, of whose bytes none is wanted any more: they become zeros, or stay where the file system
   * cannot do that. The file keeps its length. Until a sync it is as certain as a write.
   */
  punch(position: number, lengthBytes: number): Promise<void>;
  /** fdatasync: contents and length, not the name. After it failed, nothing may be assumed: exit and recover. */
  dataSync(): Promise<void>;
  /** Waits for work in flight; safe to call twice. */
  close(): Promise<void>;
}

export interface DiskSpace {
  /** The same number: the same room. Others on the machine have others, until it is started anew. */
  readonly device: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly inodeCount: number;
  readonly inodeCountFree: number;
}

export interface DiskLock {
  close(): Promise<void>;
}
