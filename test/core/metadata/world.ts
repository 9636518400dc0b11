import { Buffer } from 'node:buffer';
import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../../src/base/ids.ts';
import { ROOT_INODE } from '../../../src/base/ids.ts';
import { type Result, unwrap } from '../../../src/base/result.ts';
import { KiB } from '../../../src/base/units.ts';
import {
  type Caller,
  type Command,
  type CommandBodies,
  type CommandBody,
  type CommandCase,
  type CommandContext,
  type CommandResults,
  INTERNAL,
  ROOT_CALLER,
} from '../../../src/core/metadata/commands.ts';
import { type Attributes, FileType } from '../../../src/core/metadata/rows.ts';
import { MetadataState } from '../../../src/core/metadata/state.ts';
import type { MetaStore } from '../../../src/core/metadata/store.ts';
import { memoryMetaStores } from '../../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../../src/storage/node-disk.ts';

export const CHUNK_SIZE = 256 * KiB;
export const ALICE: Caller = { uid: 1001, gid: 101, groups: [101, 500] };
export const BOB: Caller = { uid: 1002, gid: 102, groups: [102] };
export const SERVERS = [1, 2, 3] as ServerId[];

/** A state in memory, empty but for its root directory. */
export async function newWorld(): Promise<World> {
  return new World(await memoryMetaStores(new NodeDisk())('', { kind: 'empty' }));
}

/** A state with short ways to give it commands, each a second after the one before. */
export class World {
  readonly store: MetaStore;
  readonly state: MetadataState;
  /** Everything that was applied, in order. */
  readonly log: Command[] = [];
  caller: Caller = ROOT_CALLER;

  constructor(store: MetaStore) {
    this.store = store;
    this.state = new MetadataState(store);
    this.run('format', {
      filesystemId: '0123456789abcdef'.repeat(2),
      chunkSizeBytes: CHUNK_SIZE,
      replication: 3,
      uid: 0,
      gid: 0,
      mode: 0o777,
    });
  }

  get nowSeconds(): number {
    return 1_000_000 + this.log.length;
  }

  command<K extends CommandCase>($case: K, value: CommandBodies[K], context?: CommandContext): Command {
    const body = { $case, value } as CommandBody;
    const time = { seconds: this.nowSeconds, nanos: 5 };
    return { context: context ?? { ...INTERNAL, caller: this.caller }, time, body };
  }

  run<K extends CommandCase>(
    $case: K,
    value: CommandBodies[K],
    context?: CommandContext,
  ): Result<CommandResults[K]> {
    const command = this.command($case, value, context);
    const refusal = this.state.refusalOf(command);
    const [result] = this.state.apply([command], this.state.position + 1);
    this.log.push(command);
    const isNew = command.context.session === 0;
    if (isNew && codeOf(refusal ?? OK) !== codeOf(result ?? OK))
      throw new Error('the check before was of another opinion');
    return result as Result<CommandResults[K]>;
  }

  /** "OK" or the refusal's code. */
  code<K extends CommandCase>($case: K, value: CommandBodies[K], context?: CommandContext): string {
    return codeOf(this.run($case, value, context));
  }

  as(caller: Caller): this {
    this.caller = caller;
    return this;
  }

  nextInode(): InodeId {
    return this.state.progress.nextInode as InodeId;
  }

  newChunk(): { chunk: ChunkHandle; members: ServerId[]; primary: ServerId } {
    const chunk = this.state.progress.nextChunk as ChunkHandle;
    return { chunk, members: [...SERVERS], primary: 1 as ServerId };
  }

  create(
    parent: InodeId,
    name: string,
    more: Partial<CommandBodies['createFile']> = {},
  ): Result<CommandResults['createFile']> {
    return this.run('createFile', {
      parent,
      name: bytes(name),
      inode: this.nextInode(),
      mode: 0o644,
      exclusive: true,
      read: false,
      write: true,
      truncate: false,
      firstChunk: undefined,
      goal: 3,
      ...more,
    });
  }

  makeNode(parent: InodeId, name: string, more: Partial<CommandBodies['makeNode']> = {}): Result<Attributes> {
    return this.run('makeNode', {
      parent,
      name: bytes(name),
      inode: this.nextInode(),
      type: FileType.DIRECTORY,
      mode: 0o755,
      rdev: 0,
      symlinkTarget: Buffer.alloc(0),
      ...more,
    });
  }

  setXattr(
    inode: InodeId,
    name: string,
    value: Buffer | string,
    flags: Partial<CommandBodies['setXattr']> = {},
  ): Result<Attributes> {
    const there = { inode, name: bytes(name), value: Buffer.from(value) };
    return this.run('setXattr', { ...there, create: false, replace: false, ...flags });
  }
  removeXattr(inode: InodeId, name: string, byOpenFile = false): Result<Attributes> {
    return this.run('removeXattr', { inode, name: bytes(name), byOpenFile });
  }

  /** Makes it as it is wanted, or the test is wrong. */
  file(parent: InodeId, name: string, more: Partial<CommandBodies['createFile']> = {}): InodeId {
    return unwrap(this.create(parent, name, more)).attributes.inode;
  }
  directory(parent: InodeId, name: string, mode = 0o755): InodeId {
    return unwrap(this.makeNode(parent, name, { mode })).inode;
  }

  setAttributes(inode: InodeId, change: Partial<CommandBodies['setAttributes']>): Result<Attributes> {
    return this.run('setAttributes', { ...NO_CHANGE, inode, ...change });
  }

  attributes(inode: InodeId): Attributes {
    return unwrap(this.state.attributes(inode));
  }

  names(directory: InodeId): string[] {
    const page = this.state.list(ROOT_CALLER, directory, {
      after: bytes(''),
      limit: 1e6,
      withAttributes: false,
    });
    return unwrap(page).entries.map(({ name }) => name.toString('latin1'));
  }

  openSession(): SessionId {
    const session = this.state.progress.nextSession as SessionId;
    unwrap(this.run('openSession', { ...DESCRIPTION, session }, INTERNAL));
    return session;
  }
}

const DESCRIPTION = { host: 'here', program: 'test', kernelWalksPaths: false };
const OK: Result<unknown> = { ok: true, value: undefined };

const NO_CHANGE: Omit<CommandBodies['setAttributes'], 'inode'> = {
  atime: undefined,
  mtime: undefined,
  atimeNow: false,
  mtimeNow: false,
  byOpenFile: false,
  cut: undefined,
  firstChunk: undefined,
};

export const ROOT = ROOT_INODE;

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'OK' : result.error.code;
}

/** All rows, as text. */
export function dump(store: MetaStore): string[] {
  const rows: string[] = [];
  store.scan({ from: Buffer.from([0]), end: Buffer.from([0xff]) }, (key, value) => {
    rows.push(`${text(key)}=${text(value)}`);
    return true;
  });
  return rows;
}

function text({ bytes: from, length }: { bytes: Uint8Array; length: number }): string {
  return Buffer.from(from.buffer, from.byteOffset, length).toString('hex');
}
