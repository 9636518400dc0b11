// A master in memory: names, sessions, extents, versions; no log, no permissions.
import { GfsError } from '../../src/base/errors.ts';
import {
  type Attributes,
  type CommandContext,
  type CommitLengthResponse,
  type ExtentLocation,
  FileType,
  type FindChunksRequest,
  type FindChunksResponse,
  type LengthCommit,
  type MasterDefinition,
  type ReportBadReplicaRequest,
  type SetAttributesRequest,
  type Time,
} from '../../src/rpc/messages.ts';
import type { Handlers } from '../../src/rpc/network.ts';
import type { FakeCluster } from './fake-cluster.ts';

interface FakeExtent {
  start: number;
  chunk: number;
  sealed: boolean;
  sealedLength: number;
}

export interface FakeNode {
  attributes: Attributes;
  extents: FakeExtent[];
  readonly entries: Map<string, number>;
  readonly target: Buffer;
}

interface FakeChunk {
  version: number;
  members: number[];
  primary: number;
}

const ROOT = 1;
const NOTHING = { attributes: undefined, previousCtime: undefined, beingWritten: false };
const NO_TARGET = new Uint8Array(0);
const TIMEOUT_MS = 60_000;

export class FakeMaster {
  address = '';
  readonly nodes = new Map<number, FakeNode>();
  readonly chunks = new Map<number, FakeChunk>();
  readonly sessions = new Set<number>();
  readonly badReplicas: ReportBadReplicaRequest[] = [];
  /** What sessions said they have open, since `forgetOpenFiles`. */
  readonly openFiles = new Map<number, number>();
  wantsOpenFiles = false;
  readonly #cluster: FakeCluster;
  readonly #results = new Map<string, unknown>();
  #nextId = 100;
  #nextWriter = 1_000_000;

  constructor(cluster: FakeCluster) {
    this.#cluster = cluster;
    this.#make(FileType.FILE_TYPE_DIRECTORY, ROOT);
  }

  node(inode: number): FakeNode {
    const node = this.nodes.get(inode);
    if (node === undefined) throw new GfsError('NOT_FOUND', `inode ${inode}`);
    return node;
  }

  /** As another client would change a file's contents: at once, at all replicas. */
  overwrite(inode: number, fileOffset: number, bytes: Buffer): void {
    const node = this.node(inode);
    const extent = node.extents.filter(({ start }) => start <= fileOffset).at(-1);
    if (extent === undefined) throw new GfsError('NOT_FOUND', 'a hole');
    for (const { replicas } of this.#cluster.servers) {
      const replica = replicas.get(extent.chunk);
      if (replica) bytes.copy(replica.data, fileOffset - extent.start);
    }
    this.#touch(node);
  }

  raise(chunk: number): void {
    const row = this.#chunk(chunk);
    const alive = row.members.filter((id) => !this.#cluster.dead.has(id));
    row.version += 1;
    row.members = alive;
    row.primary = alive[row.version % alive.length] ?? 0;
    for (const id of alive) {
      const { replicas } = this.#cluster.server(id);
      if (!replicas.has(chunk)) this.#cluster.server(id).create(chunk, row.version, false);
      const replica = replicas.get(chunk);
      if (replica) Object.assign(replica, { version: row.version, isPrimary: id === row.primary });
    }
  }

  handlers(): Partial<Handlers<typeof MasterDefinition>> {
    return {
      openSession: async () => {
        const session = this.#nextId++;
        this.sessions.add(session);
        return {
          message: {
            session,
            timeoutMs: TIMEOUT_MS,
            filesystemId: 'fake',
            chunkSizeBytes: this.#cluster.chunkSizeBytes,
            replication: 3,
            rootInode: ROOT,
          },
        };
      },
      renewSession: async ({ message: { session, openFiles } }) => {
        this.#check(session);
        for (const { openId, inode } of openFiles) this.openFiles.set(openId, inode);
        const sendOpenFiles = this.wantsOpenFiles && openFiles.length === 0;
        if (openFiles.length > 0) this.wantsOpenFiles = false;
        return { message: { sendOpenFiles, lostLocks: [] } };
      },
      closeSession: async ({ message: { session } }) => {
        this.sessions.delete(session);
        return { message: {} };
      },
      // A channel on which nothing is ever told.
      listen: async (stream, { signal }) => {
        for await (const _ of stream.requests) {
          await stream.send({ everything: false, inodes: [], names: [], accessedInodes: [], pong: 0 });
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        }
      },
      lookup: async ({ message: { parent, name } }) => {
        const inode = this.node(parent).entries.get(name.toString('latin1'));
        if (inode === undefined) throw new GfsError('NOT_FOUND', name.toString());
        return { message: entryOf(this.node(inode).attributes) };
      },
      getAttributes: async ({ message: { inode } }) => ({ message: entryOf(this.node(inode).attributes) }),
      readSymlink: async ({ message: { inode } }) => ({ message: { target: this.node(inode).target } }),
      // Nothing has any.
      getXattr: async ({ message: { name } }) => {
        throw new GfsError('NO_DATA', name.toString());
      },
      createFile: async ({ message }) => ({
        message: this.#once(message.context, () => {
          const { entries } = this.node(message.parent);
          const name = message.name.toString('latin1');
          const found = entries.get(name);
          if (found !== undefined && message.exclusive) throw new GfsError('EXISTS', name);
          const node = found === undefined ? this.#make(FileType.FILE_TYPE_REGULAR) : this.node(found);
          entries.set(name, node.attributes.inode);
          if (message.reserveChunk && node.extents.length === 0) this.#addExtent(node, 0);
          return { ...this.#open(node), created: found === undefined };
        }),
      }),
      makeNode: async ({ message }) => ({
        message: this.#once(message.context, () => {
          const { entries } = this.node(message.parent);
          const name = message.name.toString('latin1');
          if (entries.has(name)) throw new GfsError('EXISTS', name);
          const node = this.#make(message.type, undefined, message.symlinkTarget);
          entries.set(name, node.attributes.inode);
          return entryOf(node.attributes);
        }),
      }),
      unlink: async ({ message }) => ({
        message: this.#once(message.context, () => {
          const name = message.name.toString('latin1');
          const { attributes: parent, entries } = this.node(message.parent);
          const inode = entries.get(name);
          if (inode === undefined) throw new GfsError('NOT_FOUND', name);
          entries.delete(name);
          return { parent, removed: undefined, inode };
        }),
      }),
      setAttributes: async ({ message }) => ({
        message: this.#once(message.context, () => entryOf(this.#setAttributes(message).attributes)),
      }),
      open: async ({ message }) => ({
        message: this.#once(message.context, () => {
          const node = this.node(message.inode);
          if (message.truncate) this.#truncate(node, 0);
          return this.#open(node);
        }),
      }),
      close: async ({ message }) => {
        for (const openId of message.context?.closed ?? []) this.openFiles.delete(openId);
        if (message.inode === 0) return { message: NOTHING };
        this.openFiles.delete(message.openId);
        return { message: this.#commit(message.inode, message.commit) };
      },
      commitLength: async ({ message }) => {
        this.#check(message.context?.session ?? 0);
        return { message: this.#commit(message.inode, message.commit) };
      },
      findChunks: async ({ message }) => ({ message: this.#find(message) }),
      addChunk: async ({ message: { context, inode, fileOffset, sealedChunk, sealedLength } }) => {
        this.#check(context?.session ?? 0);
        const node = this.node(inode);
        const full = node.extents.find(({ chunk }) => chunk === sealedChunk);
        if (full !== undefined) Object.assign(full, { sealed: true, sealedLength });
        const found = node.extents.find(
          (extent) => extent.start <= fileOffset && fileOffset < this.#end(extent),
        );
        return { message: { extent: this.#location(found ?? this.#addExtent(node, fileOffset)) } };
      },
      dealWriters: async ({ message: { count } }) => {
        const first = this.#nextWriter;
        this.#nextWriter += count;
        return { message: { first } };
      },
      reportBadReplica: async ({ message }) => {
        this.badReplicas.push(message);
        return { message: {} };
      },
    };
  }

  #find(message: FindChunksRequest): FindChunksResponse {
    this.#check(message.session);
    const node = this.node(message.inode);
    const wanted = message.last
      ? node.extents.slice(-1)
      : node.extents.filter((extent) => this.#end(extent) > message.fileOffset).slice(0, message.count);
    const suspect = wanted[0] && this.#chunk(wanted[0].chunk);
    if (
      (message.forWrite || message.forSync) &&
      wanted[0] &&
      suspect &&
      suspect.version === message.suspectVersion
    ) {
      this.raise(wanted[0].chunk);
    }
    return {
      extents: wanted.map((extent) => this.#location(extent)),
      fileLength: node.attributes.length,
      truncations: node.attributes.truncations,
    };
  }

  #check(session: number): void {
    if (!this.sessions.has(session)) throw new GfsError('NO_SUCH_SESSION', `${session}`);
  }

  /** A command that was carried out answers the same again. */
  #once<T>(context: CommandContext | undefined, work: () => T): T {
    if (context === undefined) throw new GfsError('INVALID_ARGUMENT', 'no context');
    this.#check(context.session);
    const key = `${context.session}.${context.number}`;
    for (const openId of context.closed) this.openFiles.delete(openId);
    if (!this.#results.has(key)) this.#results.set(key, work());
    return this.#results.get(key) as T;
  }

  #make(type: FileType, inode = this.#nextId++, target: Uint8Array = NO_TARGET): FakeNode {
    const now = this.#now();
    const attributes: Attributes = {
      inode,
      type,
      mode: 0o644,
      linkCount: 1,
      uid: 0,
      gid: 0,
      length: 0,
      rdev: 0,
      atime: now,
      mtime: now,
      ctime: now,
      btime: now,
      goal: 3,
      truncations: 0,
      hasXattrs: false,
      holeBytes: 0,
    };
    const node: FakeNode = { attributes, extents: [], entries: new Map(), target: Buffer.from(target) };
    this.nodes.set(inode, node);
    return node;
  }

  #open(node: FakeNode) {
    const openId = this.#nextId++;
    this.openFiles.set(openId, node.attributes.inode);
    const extents = node.extents.slice(0, 2).map((extent) => this.#location(extent));
    return { attributes: node.attributes, openId, extents, beingWritten: false, parent: undefined };
  }

  #commit(inode: number, commit: LengthCommit | undefined): CommitLengthResponse {
    const node = this.node(inode);
    const previousCtime = node.attributes.ctime;
    if (commit !== undefined) {
      this.#touch(node, commit.mtime);
      node.attributes.length = Math.max(node.attributes.length, commit.length);
    }
    return { attributes: node.attributes, previousCtime, beingWritten: false };
  }

  #setAttributes(request: SetAttributesRequest): { attributes: Attributes } {
    const node = this.node(request.inode);
    if (request.length !== undefined) this.#truncate(node, request.length);
    this.#touch(node, request.mtime ?? node.attributes.mtime);
    if (request.mode !== undefined) node.attributes.mode = request.mode;
    return { attributes: node.attributes };
  }

  #truncate(node: FakeNode, length: number): void {
    if (length < node.attributes.length) {
      // Nobody may go on writing to what is dropped: a cached location is worth nothing any more.
      for (const { chunk } of node.extents.filter(({ start }) => start >= length)) {
        for (const { replicas } of this.#cluster.servers) replicas.delete(chunk);
      }
      node.extents = node.extents.filter(({ start }) => start < length);
      const last = node.extents.at(-1);
      if (last !== undefined && this.#end(last) > length) this.#cut(last, length - last.start);
    }
    this.#touch(node);
    node.attributes.length = length;
  }

  #cut(extent: FakeExtent, length: number): void {
    this.raise(extent.chunk);
    for (const { replicas } of this.#cluster.servers) {
      const replica = replicas.get(extent.chunk);
      if (!replica || replica.length <= length) continue;
      replica.data.fill(0, length);
      replica.length = length;
    }
    if (extent.sealed) extent.sealedLength = Math.min(extent.sealedLength, length);
  }

  #addExtent(node: FakeNode, fileOffset: number): FakeExtent {
    const size = this.#cluster.chunkSizeBytes;
    const before = node.extents.filter(({ start, sealed }) => sealed && start <= fileOffset).at(-1);
    const base = before === undefined ? 0 : before.start + before.sealedLength;
    const start = base + Math.floor((fileOffset - base) / size) * size;
    const chunk = this.#nextId++;
    const members = this.#cluster.place();
    this.chunks.set(chunk, { version: 1, members, primary: members[0] ?? 0 });
    const extent = { start, chunk, sealed: false, sealedLength: 0 };
    node.extents.push(extent);
    node.extents.sort((a, b) => a.start - b.start);
    return extent;
  }

  #end(extent: FakeExtent): number {
    return extent.start + (extent.sealed ? extent.sealedLength : this.#cluster.chunkSizeBytes);
  }

  #chunk(chunk: number): FakeChunk {
    const row = this.chunks.get(chunk);
    if (row === undefined) throw new GfsError('NO_SUCH_CHUNK', `${chunk}`);
    return row;
  }

  #location({ start, chunk, sealed, sealedLength }: FakeExtent): ExtentLocation {
    const { version, members, primary } = this.#chunk(chunk);
    const places = members.map((id) => this.#cluster.server(id).place);
    return {
      start,
      chunk,
      version,
      members: places,
      primary,
      sealed,
      sealedLength,
      frozen: false,
      firstVersion: 1,
    };
  }

  /** Changes times and replaces the attributes: answers given before stay as they were. */
  #touch(node: FakeNode, mtime: Time | undefined = this.#now()): void {
    node.attributes = { ...node.attributes, mtime, ctime: this.#now() };
  }

  #now(): Time {
    this.#cluster.tick += 1;
    return { seconds: 1_000_000, nanos: this.#cluster.tick };
  }
}

/** Nobody else ever writes here. */
function entryOf(attributes: Attributes) {
  return { attributes, beingWritten: false, tail: undefined, parent: undefined };
}
