// A file system in a few maps, which does what the kernel asks: the server, the codec and the device are tried on it.

import type { Caller, FileSystem, WriteBuffer } from '../../mount/file-system.ts';
import type { DirectoryItem } from '../../mount/wire/directory.ts';
import { FALLOCATE, OPEN, ROOT_NODE, TYPE, XATTR_CREATE, XATTR_REPLACE } from '../../mount/wire/numbers.ts';
import type {
  Entry,
  FilesystemStatistics,
  LockReply,
  OpenReply,
  TimedAttributes,
} from '../../mount/wire/replies.ts';
import type * as requests from '../../mount/wire/requests.ts';
import { must } from '../../src/base/assert.ts';
import type { Bytes } from '../../src/base/bytes.ts';
import { GfsError } from '../../src/base/errors.ts';
import { inodeId, sessionId } from '../../src/base/ids.ts';
import { ok, type Refusal, type Result } from '../../src/base/result.ts';
import type { Lock } from '../../src/core/file-locks.ts';
import { LOCK_END } from '../../src/core/lock-ranges.ts';
import { LockTable } from '../../src/core/lock-table.ts';
import type { Time } from '../../src/rpc/messages.ts';

interface Node {
  readonly node: number;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  linkCount: number;
  data: Buffer;
  atime: Time;
  mtime: Time;
  ctime: Time;
  readonly btime: Time;
  readonly children: Map<string, number>;
  readonly xattrs: Map<string, Buffer>;
}

const now = (): Time => {
  const nowMs = performance.timeOrigin + performance.now();
  return { seconds: Math.floor(nowMs / 1000), nanos: Math.floor((nowMs % 1000) * 1e6) };
};
const SESSION = sessionId(1);
const lockOf = (node: number, openId: number, { flock, type, ...lock }: requests.LockRequest): Lock => ({
  ...{ ...lock, openId, session: SESSION, inode: inodeId(node) },
  ...{ kind: flock ? 'flock' : 'range', exclusive: type === 'exclusive' },
});
const decided = ({ code, message }: Refusal) => new GfsError(code, message);
const key = (name: Uint8Array) => Buffer.from(name).toString('latin1');

export class MemoryFileSystem implements FileSystem {
  readonly #nodes = new Map<number, Node>();
  readonly #timeoutMs: number;
  #lastNode = ROOT_NODE - 1;
  #lastOpenFile = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #locks = new LockTable();
  /** What was called, for tests that look at the traffic. */
  readonly calls: string[] = [];

  constructor({ timeoutMs = 1000 } = {}) {
    this.#timeoutMs = timeoutMs;
    this.#make(TYPE.DIRECTORY | 0o777, { uid: 0, gid: 0, pid: 0 });
  }

  /** A look-up of "wait" is answered after one of "go". */
  async lookup({ parent, name }: requests.Lookup): Promise<Entry> {
    this.calls.push('lookup');
    if (key(name) === 'wait') await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (key(name) === 'go') for (const resolve of this.#waiting.splice(0)) resolve();
    return this.#entry(this.#child(parent, name));
  }

  forgotten(node: number): void {
    this.calls.push(`forgotten ${node}`);
  }

  async getAttributes({ node }: requests.GetAttributes): Promise<TimedAttributes> {
    this.calls.push('getAttributes');
    return this.#entry(this.#node(node));
  }

  async setAttributes(changes: requests.SetAttributes): Promise<TimedAttributes> {
    const node = this.#node(changes.node);
    if (changes.mode !== undefined) node.mode = (node.mode & TYPE.MASK) | (changes.mode & 0o7777);
    if (changes.uid !== undefined) node.uid = changes.uid;
    if (changes.gid !== undefined) node.gid = changes.gid;
    if (changes.size !== undefined) this.#resize(node, changes.size);
    if (changes.atime !== undefined) node.atime = changes.atime === 'now' ? now() : changes.atime;
    if (changes.mtime !== undefined) node.mtime = changes.mtime === 'now' ? now() : changes.mtime;
    node.ctime = now();
    return this.#entry(node);
  }

  async readSymlink({ node }: requests.ReadSymlink): Promise<Uint8Array> {
    return this.#node(node).data;
  }

  async makeSymlink({ parent, name, target }: requests.MakeSymlink, caller: Caller): Promise<Entry> {
    const node = this.#add(parent, name, TYPE.SYMLINK | 0o777, caller);
    node.data = Buffer.from(target);
    return this.#entry(node);
  }

  async makeNode({ parent, name, mode, umask, rdev }: requests.MakeNode, caller: Caller): Promise<Entry> {
    const node = this.#add(parent, name, mode & ~umask, caller);
    node.rdev = rdev;
    return this.#entry(node);
  }

  async makeDirectory({ parent, name, mode, umask }: requests.MakeDirectory, caller: Caller): Promise<Entry> {
    return this.#entry(this.#add(parent, name, TYPE.DIRECTORY | (mode & ~umask), caller));
  }

  async unlink({ parent, name }: requests.Unlink): Promise<void> {
    this.#child(parent, name).linkCount -= 1;
    this.#node(parent).children.delete(key(name));
  }

  async removeDirectory({ parent, name }: requests.RemoveDirectory): Promise<void> {
    if (this.#child(parent, name).children.size > 0) throw new GfsError('NOT_EMPTY', key(name));
    this.#node(parent).children.delete(key(name));
  }

  async rename({ parent, name, newParent, newName }: requests.Rename): Promise<void> {
    const { node } = this.#child(parent, name);
    this.#node(parent).children.delete(key(name));
    this.#node(newParent).children.set(key(newName), node);
  }

  async makeLink({ node, newParent, newName }: requests.MakeLink): Promise<Entry> {
    const linked = this.#node(node);
    linked.linkCount += 1;
    this.#node(newParent).children.set(key(newName), node);
    return this.#entry(linked);
  }

  absentXattr(): undefined {
    return undefined;
  }

  async getXattr({ node, name }: requests.GetXattr): Promise<Uint8Array> {
    this.calls.push(`getXattr ${key(name)}`);
    const value = this.#node(node).xattrs.get(key(name));
    if (value === undefined) throw new GfsError('NO_DATA', key(name));
    return value;
  }

  async listXattrs({ node }: requests.ListXattrs): Promise<Uint8Array> {
    return Buffer.from([...this.#node(node).xattrs.keys()].map((name) => `${name}\0`).join(''), 'latin1');
  }

  async setXattr({ node, name, value, flags }: requests.SetXattr): Promise<void> {
    const { xattrs } = this.#node(node);
    if (flags & XATTR_CREATE && xattrs.has(key(name))) throw new GfsError('EXISTS', key(name));
    if (flags & XATTR_REPLACE && !xattrs.has(key(name))) throw new GfsError('NO_DATA', key(name));
    xattrs.set(key(name), value);
  }

  async removeXattr({ node, name }: requests.RemoveXattr): Promise<void> {
    if (!this.#node(node).xattrs.delete(key(name))) throw new GfsError('NO_DATA', key(name));
  }

  async statFilesystem(): Promise<FilesystemStatistics> {
    const totalBytes = 3 * 2 ** 40;
    return {
      ...{ totalBytes, freeBytes: totalBytes / 2, availableBytes: totalBytes / 4 },
      ...{ nodeCount: 1000, nodeCountFree: 900, nameBytesMax: 255 },
    };
  }

  async create({ parent, name, mode, umask }: requests.Create, caller: Caller): Promise<Entry & OpenReply> {
    const node = this.#add(parent, name, TYPE.REGULAR | (mode & ~umask), caller);
    return { ...this.#entry(node), ...this.#opened() };
  }

  async createUnnamed({ mode, umask }: requests.CreateUnnamed, caller: Caller): Promise<Entry & OpenReply> {
    const node = this.#make(TYPE.REGULAR | (mode & ~umask), caller);
    node.linkCount = 0;
    return { ...this.#entry(node), ...this.#opened() };
  }

  async open({ node, flags }: requests.Open): Promise<OpenReply> {
    if (flags & OPEN.TRUNCATE) this.#resize(this.#node(node), 0);
    return { ...this.#opened(), isReadOnly: (flags & OPEN.ACCESS_MODE) === 0 };
  }

  async read({ node, offset, size }: requests.Read): Promise<Bytes> {
    const { data } = this.#node(node);
    // In pieces, as a cluster would give it.
    const middle = offset + Math.floor(size / 3);
    return [data.subarray(offset, middle), data.subarray(middle, offset + size)];
  }

  async write({ node, offset, flags, data }: requests.Write, buffer: WriteBuffer): Promise<number> {
    const target = this.#node(node);
    const at = flags & OPEN.APPEND ? target.data.length : offset;
    if (target.data.length < at + data.length) this.#resize(target, at + data.length);
    const release = buffer.keep();
    target.data.set(data, at);
    release?.();
    target.mtime = now();
    return data.length;
  }

  isSettled(): boolean {
    return false;
  }

  async flush({ node, openFile, lockOwner }: requests.Flush): Promise<void> {
    const range = { owner: lockOwner, flock: false, start: 0, end: LOCK_END, type: 'none', pid: 0 } as const;
    this.#locks.unlock(lockOf(node, openFile, range), 0);
    this.calls.push('flush');
  }

  async sync(): Promise<void> {
    this.calls.push('sync');
  }

  async seek({ offset }: requests.Seek): Promise<number> {
    return offset;
  }

  async allocate({ node, offset, length, mode }: requests.Allocate): Promise<void> {
    const target = this.#node(node);
    const end = offset + length;
    if ((mode & FALLOCATE.KEEP_SIZE) === 0 && end > target.data.length) this.#resize(target, end);
    if ((mode & ~FALLOCATE.KEEP_SIZE) !== 0) target.data.fill(0, offset, Math.min(end, target.data.length));
  }

  async copyRange({ node, offset, target, length }: requests.CopyRange): Promise<number> {
    const data = Buffer.from(this.#node(node).data.subarray(offset, offset + length));
    const to = this.#node(target.node);
    if (to.data.length < target.offset + data.length) this.#resize(to, target.offset + data.length);
    to.data.set(data, target.offset);
    return data.length;
  }

  async getLock({ node, openFile, lock }: requests.GetLock): Promise<LockReply | undefined> {
    return this.#locks.conflict(lockOf(node, openFile, lock));
  }

  async setLock(
    { node, openFile, lock, wait }: requests.SetLock,
    _caller: Caller,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = lockOf(node, openFile, lock);
    if (lock.type === 'none') return this.#locks.unlock(wanted, 0);
    await new Promise<void>((resolve, reject) => {
      const onDecided = (decision: Result<void>) =>
        decision.ok ? resolve() : reject(decided(decision.error));
      const waiter = this.#locks.lock(wanted, { wait, ownerWaits: !lock.flock, onDecided }, 0);
      if (!waiter.ok || waiter.value === undefined) {
        onDecided(waiter.ok ? ok(undefined) : waiter);
        return;
      }
      const { value } = waiter;
      signal.addEventListener('abort', () => {
        this.#locks.leave(value, 0);
        reject(new GfsError('CANCELLED', 'not wanted any more'));
      });
    });
  }

  async release({ node, openFile }: requests.Release): Promise<void> {
    this.#locks.closed(SESSION, inodeId(node), openFile, 0);
    this.calls.push('release');
  }

  async openDirectory(): Promise<OpenReply> {
    return this.#opened();
  }

  async readDirectory({
    node,
    offset,
    withAttributes,
  }: requests.ReadDirectory): Promise<readonly DirectoryItem[]> {
    return [...this.#node(node).children].slice(offset).map(([name, child], index) => ({
      name: Buffer.from(name, 'latin1'),
      node: child,
      type: this.#node(child).mode & TYPE.MASK,
      nextOffset: offset + index + 1,
      entry: withAttributes ? this.#entry(this.#node(child)) : undefined,
    }));
  }

  async syncDirectory(): Promise<void> {}
  async releaseDirectory(): Promise<void> {}

  #opened(): OpenReply {
    this.#lastOpenFile += 1;
    return { openFile: this.#lastOpenFile, flags: 0 };
  }

  #node(node: number): Node {
    return must(this.#nodes.get(node), `node ${node} is known`);
  }

  #child(parent: number, name: Uint8Array): Node {
    const node = this.#node(parent).children.get(key(name));
    if (node === undefined) throw new GfsError('NOT_FOUND', key(name));
    return this.#node(node);
  }

  #add(parent: number, name: Uint8Array, mode: number, caller: Caller): Node {
    const { children } = this.#node(parent);
    if (children.has(key(name))) throw new GfsError('EXISTS', key(name));
    const node = this.#make(mode, caller);
    children.set(key(name), node.node);
    return node;
  }

  #make(mode: number, { uid, gid }: Caller): Node {
    this.#lastNode += 1;
    const time = now();
    const node: Node = {
      ...{ node: this.#lastNode, mode, uid, gid, rdev: 0, linkCount: 1, data: Buffer.alloc(0) },
      ...{ atime: time, mtime: time, ctime: time, btime: time, children: new Map(), xattrs: new Map() },
    };
    this.#nodes.set(node.node, node);
    return node;
  }

  #resize(node: Node, size: number): void {
    const data = Buffer.alloc(size);
    node.data.copy(data);
    node.data = data;
    node.mtime = now();
  }

  #entry(node: Node): Entry {
    return {
      attributes: { ...node, size: node.data.length, holeBytes: 0 },
      attributeTimeoutMs: this.#timeoutMs,
      entryTimeoutMs: this.#timeoutMs,
    };
  }
}
