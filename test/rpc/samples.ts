import {
  type ChunkserverDefinition,
  FileType,
  LockKind,
  LockType,
  type MasterDefinition,
  MutationKind,
} from '../../src/rpc/messages.ts';

type Sample<M> = M extends {
  requestType: { create(base?: infer Req): unknown };
  responseType: { create(base?: infer Res): unknown };
}
  ? readonly [request: NonNullable<Req>, response: NonNullable<Res>]
  : never;
type Samples<D extends { methods: object }> = { readonly [K in keyof D['methods']]: Sample<D['methods'][K]> };

const caller = { uid: 1000, gid: 1001, groups: [1001, 27] };
const context = { caller, session: 12, number: 345, acknowledged: 344 };
/** Not UTF-8: names are bytes. */
const name = Buffer.from([0x66, 0xff, 0xfe, 0x00, 0x80]);
const time = { seconds: 1_700_000_000, nanos: 999_999_999 };
const attributes = {
  inode: 2 ** 53 - 1,
  type: FileType.FILE_TYPE_REGULAR,
  mode: 0o6755,
  linkCount: 2,
  uid: 4_294_967_295,
  gid: 1,
  length: 2 ** 53 - 1,
  rdev: 0x0801,
  atime: time,
  mtime: { seconds: -1, nanos: 0 },
  ctime: time,
  btime: time,
  goal: 3,
  holeBytes: 2 ** 40,
  truncations: 7,
  hasXattrs: true,
};
const replica = { server: 3, address: '127.0.0.1:7401', rack: 'r1' };
const extent = {
  start: 67_108_864,
  chunk: 99,
  version: 7,
  members: [replica],
  primary: 3,
  sealed: true,
  sealedLength: 5,
};
const record = {
  chunk: 99,
  version: 8,
  members: [replica],
  primary: 3,
  cutVersion: 6,
  cutLength: 0,
  loss: 2,
};
const entry = { writer: 5, number: 6, chunkOffset: 7, length: 8, checksum: 0xffff_ffff };
const state = {
  chunk: 99,
  version: 7,
  length: 10,
  sealed: true,
  reconciled: true,
  whole: true,
  deleted: false,
};
const report = { collectedAtMs: 1_700_000_000_000, cpuLoadPercent: 12.5, problems: ['disks: timed out'] };

const lock = {
  kind: LockKind.LOCK_KIND_RANGE,
  type: LockType.LOCK_TYPE_EXCLUSIVE,
  owner: 'ffffffffffffffff',
  start: 1,
  end: 2 ** 53 - 1,
  pid: 0xffff_ffff,
};

/** A request and an answer of every method, each with fields that a careless codec would lose. */
export const MASTER_SAMPLES: Samples<MasterDefinition> = {
  openSession: [
    { host: 'höst', program: 'mount /mnt/gfs', kernelWalksPaths: true },
    { session: 12, filesystemId: 'ab', chunkSizeBytes: 2 ** 26 },
  ],
  renewSession: [
    {
      session: 12,
      openFiles: [{ openId: 1, inode: 2, write: true, caller }],
      locks: [{ inode: 2, openId: 1, lock, number: 2 ** 40 }],
    },
    { sendOpenFiles: true, lostLocks: [2 ** 40, 7] },
  ],
  closeSession: [{ session: 12 }, {}],
  listen: [
    { session: 12 },
    {
      ...{ everything: true, inodes: [2 ** 40, 5], accessedInodes: [5, 2 ** 40] },
      names: [{ parent: 1, name, removedInode: 2 ** 40 }],
    },
  ],
  lookup: [
    { caller, parent: 1, name, session: 12 },
    { attributes, beingWritten: true, tail: extent },
  ],
  getAttributes: [
    { caller, inode: 5, session: 12, lengthBefore: 2 ** 40, suspectVersion: 3 },
    { attributes },
  ],
  readSymlink: [{ caller, inode: 5, session: 12 }, { target: name }],
  listDirectory: [
    { caller, inode: 1, after: name, limit: 100, withAttributes: true, session: 12 },
    { entries: [{ name, inode: 5, type: FileType.FILE_TYPE_FIFO, attributes }], end: true, parent: 1 },
  ],
  syncNames: [{}, {}],
  statFilesystem: [{}, { totalBytes: 2 ** 50, freeBytes: 1, nameLengthMax: 255 }],
  setAccessTimes: [
    { context, reads: [{ inode: 5, atime: time, knownAtime: time }, { inode: 2 ** 53 - 1 }] },
    { inodes: [5, 2 ** 53 - 1] },
  ],
  setAttributes: [{ context, inode: 5, mode: 0, length: 0, mtime: time, atimeNow: true }, { attributes }],
  getXattr: [{ caller, inode: 5, name, session: 12 }, { value: name }],
  listXattrs: [{ caller, inode: 5, session: 12 }, { names: [name, name] }],
  setXattr: [{ context, inode: 5, name, value: name, create: true, replace: true }, { attributes }],
  removeXattr: [{ context, inode: 5, name }, { attributes }],
  createFile: [
    { context, parent: 1, name, mode: 0o644, exclusive: true, reserveChunk: true, write: true },
    { attributes, openId: 9, extents: [extent], created: true },
  ],
  createUnnamed: [
    {
      ...{ context, directory: 1, mode: 0o644, umask: 0o22, linkable: true },
      ...{ reserveChunk: true, read: true, write: true },
    },
    { attributes, openId: 9, extents: [extent], created: true },
  ],
  makeNode: [
    { context, parent: 1, name, type: FileType.FILE_TYPE_SYMLINK, symlinkTarget: name },
    { attributes },
  ],
  makeLink: [{ context, inode: 5, parent: 1, name }, { attributes }],
  unlink: [{ context, parent: 1, name }, {}],
  removeDirectory: [{ context, parent: 1, name }, {}],
  removeTree: [
    { context, parent: 1, name },
    { inode: 5, longCommand: 2 ** 40, count: 2 ** 40 },
  ],
  getLongCommand: [{ id: 2 ** 40 }, { progress: { doneCount: 7, count: 2 ** 40 } }],
  rename: [{ context, parent: 1, name, newParent: 2, newName: name, exchange: true }, {}],
  open: [
    { context, inode: 5, read: true, append: true },
    { attributes, openId: 9, extents: [extent] },
  ],
  openAhead: [
    { caller, session: 7, directory: 3, after: Buffer.from('b'), limit: 512, firstOpenId: 10 },
    { files: [{ name: Buffer.from('c'), attributes, openId: 10, extents: [extent] }] },
  ],
  close: [
    { context, inode: 5, openId: 9, commit: { length: 10, mtime: time, truncations: 0, writtenBytes: 0 } },
    { attributes },
  ],
  commitLength: [{ context, inode: 5, commit: { length: 10 } }, { attributes }],
  allocate: [
    { context, inode: 5, length: 2 ** 40, start: 9, end: 2 ** 40, holeSince: time, dropExtents: true },
    { attributes, previousCtime: time },
  ],
  shareRange: [
    {
      ...{ context, source: 5, sourceOpenId: 9, sourceStart: 2 ** 40, inode: 6, openId: 10 },
      ...{ start: 2 ** 41, length: 2 ** 30 },
    },
    { length: 2 ** 30, attributes, previousCtime: time, beingWritten: true, extents: [extent] },
  ],
  findChunks: [
    { caller, inode: 5, fileOffset: 1, count: 8, forWrite: true, session: 12, suspectVersion: 7 },
    { extents: [extent, extent], fileLength: 2 ** 40 },
  ],
  addChunk: [{ context, inode: 5, fileOffset: 2 ** 40, openId: 9 }, { extent }],
  dealWriters: [{ count: 3 }, { first: 2 ** 52 }],
  nameAppender: [
    { context, inode: 5, openId: 9, appender: Buffer.from('a\0'), from: 2 ** 40, truncations: 3, highest: 9 },
    { writer: 2 ** 52, from: 2 ** 40, truncations: 3, truncated: true, highest: 9 },
  ],
  setLock: [
    { session: 12, number: 7, unanswered: [3, 5], inode: 5, openId: 9, lock, wait: true, ownerWaits: true },
    { attributes, beingWritten: true, changed: true },
  ],
  cancelLock: [{ session: 12, number: 7, kept: [{ inode: 5, openId: 9, lock, number: 3 }] }, { lost: true }],
  getLock: [{ session: 12, inode: 5, openId: 9, lock }, { conflict: lock }],
  reportBadReplica: [{ chunk: 99, version: 7, server: 3, reason: 'CHECKSUM_MISMATCH' }, {}],
  register: [
    { server: 3, address: '127.0.0.1:1', incarnation: 'x', pid: 77 },
    { server: 3, heartbeatIntervalMs: 100 },
  ],
  heartbeat: [
    { server: 3, sequence: 1, load: 0.5, leases: [{ chunk: 99, version: 7, active: true }], report },
    { sequence: 1, extensions: [{ chunk: 99, version: 7, durationMs: 60_000 }], sendFullReport: true },
  ],
  chunkReport: [{ server: 3, incarnation: 'x', full: true, reportId: 2, last: true, chunks: [state] }, {}],
  admit: [{ server: 1, incarnation: 'i', chunk: 99, version: 7, learner: 4 }, { version: 8 }],
  evict: [
    { server: 3, incarnation: 'x', chunk: 7, version: 2, accused: 4, code: 'UNAVAILABLE' },
    { version: 3 },
  ],
  status: [
    {},
    {
      ...{ filesystemId: 'ab', startedAtMs: 1_700_000_000_000, sessions: [{ session: 12, host: 'h' }] },
      traffic: { readBytesPerSecond: 1.5, mutateMs: 0.25 },
    },
  ],
  listServers: [
    {},
    {
      servers: [
        { server: 3, alive: true, space: { totalBytes: 5 }, report, traffic: { writtenBytesPerSecond: 7 } },
      ],
    },
  ],
};

export const CHUNKSERVER_SAMPLES: Samples<ChunkserverDefinition> = {
  read: [
    { chunk: 99, version: 7, chunkOffset: 1, length: 2 },
    { chunkLength: 3, checksums: [0, 0xffff_ffff] },
  ],
  findData: [
    { chunk: 99, version: 7, chunkOffset: 1 },
    { dataStart: 5, dataEnd: 2 ** 40, chunkLength: 2 ** 41 },
  ],
  push: [
    {
      header: { pushId: { writer: 5, number: 6 }, chunk: 99, version: 7, length: 10, chain: [replica] },
      checksums: [1],
    },
    {},
  ],
  pushRange: [
    {
      ...{ chunk: 98, version: 6, chunkOffset: 2 ** 40 },
      header: { pushId: { writer: 5, number: 6 }, chunk: 99, version: 7, length: 10, chain: [replica] },
    },
    { checksums: [0, 0xffff_ffff] },
  ],
  mutate: [
    { chunk: 99, version: 1, writer: 5, number: 6, kind: MutationKind.MUTATION_KIND_APPEND, first: record },
    { chunkOffset: 4, chunkLength: 8, sealed: true, version: 2 },
  ],
  chunkLength: [
    { chunk: 99, version: 7 },
    { length: 10, sealed: true },
  ],
  recall: [
    { chunk: 99, version: 7, writer: 5 },
    { entry: { ...entry, records: [{ chunkOffset: 2 ** 40, length: 8 }] }, sealed: true, length: 10 },
  ],
  sync: [{ chunk: 99, version: 7, replicaOnly: true, acknowledgedVersion: 6 }, { serial: 3 }],
  apply: [
    {
      chunk: 99,
      version: 7,
      orders: [{ serial: 3, pushId: { writer: 5, number: 6 }, checksums: [7], recordChecksum: 8 }],
      committedSerial: 2,
    },
    { chunkLength: 8 },
  ],
  blockChecksums: [
    { chunk: 99, version: 7 },
    { length: 10, streamVersion: 7, nextSerial: 4, checksums: [1, 2], table: [entry] },
  ],
  readBlock: [{ chunk: 99, version: 7, blockIndex: 3 }, {}],
  reconcile: [{ chunk: 99, version: 7, step: { $case: 'block', value: { blockIndex: 3, checksum: 9 } } }, {}],
  create: [{ record }, {}],
  setVersion: [
    { incarnation: 'x', records: [record] },
    { results: [{ chunk: 99, code: 'VERSION_MISMATCH', state }] },
  ],
  learn: [
    {
      ...{ chunk: 99, server: 4, lesson: 'l', serial: 12 },
      step: { $case: 'blocks', value: { firstBlock: 3, checksums: [9] } },
    },
    { checksums: [1, 0xffff_ffff] },
  ],
  deleteStrays: [{ copies: [{ chunk: 99, version: 6 }] }, {}],
  teach: [{ chunk: 99, version: 7, learner: replica }, {}],
  checkVersion: [{ chunks: [1, 2, 2 ** 53 - 1] }, { chunks: [state] }],
  clone: [{ record, source: replica }, { length: 10 }],
  cloneHere: [{ incarnation: 'x', record, source: 98 }, {}],
  delete: [{ chunks: [1, 2] }, {}],
  systemReport: [{}, { report }],
};
