// Requests are put together by hand, after <linux/fuse.h>, and not by an encoder that could be wrong in the same way.
import test from 'ava';
import fc from 'fast-check';
import { decodeHeader, decodeRequest, IN_HEADER_BYTES } from '../../../mount/wire/decode.ts';
import { OPCODE, OPEN } from '../../../mount/wire/numbers.ts';
import type { Request } from '../../../mount/wire/requests.ts';
import { GfsError } from '../../../src/base/errors.ts';

const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const u64 = (...values: (number | bigint)[]) => Buffer.from(BigUint64Array.from(values, BigInt).buffer);
const text = (...names: string[]) => Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');

function packet(opcode: number, node: number | bigint, ...body: Buffer[]): Buffer {
  const rest = Buffer.concat(body);
  return Buffer.concat([
    u32(IN_HEADER_BYTES + rest.length, opcode),
    u64(0x1122334455667788n, node),
    u32(1000, 100, 4242),
    u16(0),
    u16(0),
    rest,
  ]);
}

function decoded(bytes: Buffer): Request {
  return decodeRequest(decodeHeader(bytes), bytes);
}

test('a header tells who asks for what', (t) => {
  t.deepEqual(decodeHeader(packet(OPCODE.GETATTR, 7)), {
    ...{ opcode: OPCODE.GETATTR, unique: 0x1122334455667788n, node: 7, uid: 1000, gid: 100, pid: 4242 },
  });
});

const seconds = 1_700_000_000;
const cases: readonly [string, Buffer, Request][] = [
  [
    'LOOKUP with a name that is not UTF-8',
    packet(OPCODE.LOOKUP, 5, text('caf\xe9')),
    { kind: 'lookup', parent: 5, name: Buffer.from('caf\xe9', 'latin1') },
  ],
  ['FORGET', packet(OPCODE.FORGET, 5, u64(3)), { kind: 'forget', nodes: [{ node: 5, count: 3 }] }],
  [
    'BATCH_FORGET',
    packet(OPCODE.BATCH_FORGET, 0, u32(2, 0), u64(8, 1, 9, 2)),
    {
      kind: 'forget',
      nodes: [
        { node: 8, count: 1 },
        { node: 9, count: 2 },
      ],
    },
  ],
  [
    'GETATTR of an open file',
    packet(OPCODE.GETATTR, 5, u32(1, 0), u64(77)),
    { kind: 'getAttributes', node: 5, openFile: 77 },
  ],
  [
    'GETATTR, where the open file means nothing without its flag',
    packet(OPCODE.GETATTR, 5, u32(0, 0), u64(77)),
    { kind: 'getAttributes', node: 5, openFile: undefined },
  ],
  [
    'SETATTR of all',
    packet(
      OPCODE.SETATTR,
      5,
      u32(0b1111111, 0),
      u64(77, 4096, 0, seconds, -2n & 0xffffffffffffffffn, 0),
      u32(11, 22, 33, 0o100640, 0, 10, 20, 0),
    ),
    {
      ...{ kind: 'setAttributes', node: 5, openFile: 77, size: 4096, mode: 0o100640, uid: 10, gid: 20 },
      ...{ atime: { seconds, nanos: 11 }, mtime: { seconds: -2, nanos: 22 } },
    },
  ],
  [
    'SETATTR of times to now, with rubbish in what is not meant',
    packet(
      OPCODE.SETATTR,
      5,
      u32(0b110110000, 0),
      u64(2n ** 63n, 2n ** 63n, 0, 2n ** 62n, 2n ** 62n, 0),
      u32(...Array<number>(8).fill(9)),
    ),
    {
      ...{ kind: 'setAttributes', node: 5, openFile: undefined, size: undefined, mode: undefined },
      ...{ uid: undefined, gid: undefined, atime: 'now', mtime: 'now' },
    },
  ],
  [
    'FALLOCATE',
    packet(OPCODE.FALLOCATE, 5, u64(77, 2 ** 40, 4096), u32(3, 0)),
    { kind: 'allocate', node: 5, openFile: 77, offset: 2 ** 40, length: 4096, mode: 3 },
  ],
  [
    'COPY_FILE_RANGE',
    packet(OPCODE.COPY_FILE_RANGE, 5, u64(77, 2 ** 40, 6, 78, 4096, 8192, 0)),
    {
      ...{ kind: 'copyRange', node: 5, openFile: 77, offset: 2 ** 40 },
      ...{ target: { node: 6, openFile: 78, offset: 4096 }, length: 8192 },
    },
  ],
  [
    'COPY_FILE_RANGE_64 of as much as there is',
    packet(OPCODE.COPY_FILE_RANGE_64, 5, u64(77, 0, 5, 77, 4096, 2n ** 64n - 1n, 0)),
    {
      ...{ kind: 'copyRange', node: 5, openFile: 77, offset: 0 },
      ...{ target: { node: 5, openFile: 77, offset: 4096 }, length: Number.MAX_SAFE_INTEGER },
    },
  ],
  [
    'LSEEK',
    packet(OPCODE.LSEEK, 5, u64(77, 2 ** 40), u32(3, 0)),
    { kind: 'seek', node: 5, openFile: 77, offset: 2 ** 40, whence: 3 },
  ],
  [
    'LSEEK to a negative offset',
    packet(OPCODE.LSEEK, 5, u64(77, -5n & 0xffffffffffffffffn), u32(4, 0)),
    { kind: 'seek', node: 5, openFile: 77, offset: Number.MAX_SAFE_INTEGER, whence: 4 },
  ],
  ['READLINK', packet(OPCODE.READLINK, 5), { kind: 'readSymlink', node: 5 }],
  [
    'SYMLINK',
    packet(OPCODE.SYMLINK, 5, text('name', '../target')),
    { kind: 'makeSymlink', parent: 5, name: Buffer.from('name'), target: Buffer.from('../target') },
  ],
  [
    'MKNOD',
    packet(OPCODE.MKNOD, 5, u32(0o20644, 0x103, 0o22, 0), text('null')),
    { kind: 'makeNode', parent: 5, mode: 0o20644, umask: 0o22, rdev: 0x103, name: Buffer.from('null') },
  ],
  [
    'MKDIR',
    packet(OPCODE.MKDIR, 5, u32(0o755, 0o22), text('d')),
    { kind: 'makeDirectory', parent: 5, mode: 0o755, umask: 0o22, name: Buffer.from('d') },
  ],
  [
    'RENAME2',
    packet(OPCODE.RENAME2, 5, u64(6), u32(2, 0), text('a', 'b')),
    {
      ...{ kind: 'rename', parent: 5, name: Buffer.from('a') },
      ...{ newParent: 6, newName: Buffer.from('b'), flags: 2 },
    },
  ],
  [
    'LINK',
    packet(OPCODE.LINK, 5, u64(9), text('b')),
    { kind: 'makeLink', node: 9, newParent: 5, newName: Buffer.from('b') },
  ],
  [
    'STATX of an open file',
    packet(OPCODE.STATX, 5, u32(1, 0), u64(3), u32(0, 0xfff)),
    { kind: 'getAttributes', node: 5, openFile: 3, extended: true },
  ],
  [
    'STATX of a node',
    packet(OPCODE.STATX, 5, u32(0, 0), u64(99), u32(0, 0xfff)),
    { kind: 'getAttributes', node: 5, openFile: undefined, extended: true },
  ],
  ['OPEN', packet(OPCODE.OPEN, 5, u32(0o2001, 0)), { kind: 'open', node: 5, flags: 0o2001 }],
  [
    'CREATE',
    packet(OPCODE.CREATE, 5, u32(0o101, 0o100644, 0o22, 0), text('f')),
    { kind: 'create', parent: 5, flags: 0o101, mode: 0o100644, umask: 0o22, name: Buffer.from('f') },
  ],
  [
    'TMPFILE',
    packet(OPCODE.TMPFILE, 5, u32(0o20200001, 0o100600, 0o22, 0), text('/')),
    { kind: 'createUnnamed', directory: 5, flags: 0o20200001, mode: 0o100600, umask: 0o22 },
  ],
  [
    'READ',
    packet(OPCODE.READ, 5, u64(3, 2 ** 40), u32(65536, 7), u64(8), u32(0o1000000, 0)),
    { kind: 'read', node: 5, openFile: 3, offset: 2 ** 40, size: 65536, flags: OPEN.NO_ATIME },
  ],
  [
    'WRITE',
    packet(OPCODE.WRITE, 5, u64(3, 10), u32(4, 0), u64(0), u32(0o2001, 0), Buffer.from('data')),
    {
      ...{ kind: 'write', node: 5, openFile: 3, offset: 10, flags: 0o2001, dropsSetIds: false },
      data: Buffer.from('data'),
    },
  ],
  [
    'WRITE that takes set-id bits away',
    packet(OPCODE.WRITE, 5, u64(3, 10), u32(1, 0b111), u64(0), u32(0, 0), Buffer.from('d')),
    {
      ...{ kind: 'write', node: 5, openFile: 3, offset: 10, flags: 0, dropsSetIds: true },
      data: Buffer.from('d'),
    },
  ],
  [
    'SETXATTR',
    packet(OPCODE.SETXATTR, 5, u32(3, 2), text('user.a'), Buffer.from('a\0b')),
    { kind: 'setXattr', node: 5, name: Buffer.from('user.a'), value: Buffer.from('a\0b'), flags: 2 },
  ],
  [
    'SETXATTR to nothing',
    packet(OPCODE.SETXATTR, 5, u32(0, 0), text('user.a')),
    { kind: 'setXattr', node: 5, name: Buffer.from('user.a'), value: Buffer.alloc(0), flags: 0 },
  ],
  [
    'GETXATTR',
    packet(OPCODE.GETXATTR, 5, u32(100, 0), text('user.a')),
    { kind: 'getXattr', node: 5, name: Buffer.from('user.a'), size: 100 },
  ],
  ['LISTXATTR', packet(OPCODE.LISTXATTR, 5, u32(0, 0)), { kind: 'listXattrs', node: 5, size: 0 }],
  [
    'REMOVEXATTR',
    packet(OPCODE.REMOVEXATTR, 5, text('user.a')),
    { kind: 'removeXattr', node: 5, name: Buffer.from('user.a') },
  ],
  [
    'FSYNC of the data',
    packet(OPCODE.FSYNC, 5, u64(3), u32(1, 0)),
    { kind: 'sync', node: 5, openFile: 3, dataOnly: true },
  ],
  [
    'FLUSH',
    packet(OPCODE.FLUSH, 5, u64(3), u32(0, 0), u64(2n ** 64n - 1n)),
    { kind: 'flush', node: 5, openFile: 3, lockOwner: 'ffffffffffffffff' },
  ],
  [
    'SETLKW of flock(2), up to the end of the file',
    packet(OPCODE.SETLKW, 5, u64(3, 0xabc, 0, 2n ** 63n - 1n), u32(1, 77, 1, 0)),
    {
      ...{ kind: 'setLock', node: 5, openFile: 3, wait: true },
      lock: { owner: 'abc', flock: true, start: 0, end: 2 ** 53 - 1, type: 'exclusive', pid: 77 },
    },
  ],
  [
    'SETLK that unlocks',
    packet(OPCODE.SETLK, 5, u64(3, 0xabc, 10, 19), u32(2, 0, 0, 0)),
    {
      ...{ kind: 'setLock', node: 5, openFile: 3, wait: false },
      lock: { owner: 'abc', flock: false, start: 10, end: 19, type: 'none', pid: 0 },
    },
  ],
  [
    'GETLK',
    packet(OPCODE.GETLK, 5, u64(3, 0xabc, 10, 10), u32(0, 77, 0, 0)),
    {
      ...{ kind: 'getLock', node: 5, openFile: 3 },
      lock: { owner: 'abc', flock: false, start: 10, end: 10, type: 'shared', pid: 77 },
    },
  ],
  [
    'READDIRPLUS',
    packet(OPCODE.READDIRPLUS, 5, u64(3, 100), u32(4096, 0), u64(0), u32(9, 0)),
    { kind: 'readDirectory', node: 5, openFile: 3, offset: 100, size: 4096, flags: 9, withAttributes: true },
  ],
  [
    'INTERRUPT',
    packet(OPCODE.INTERRUPT, 0, u64(2n ** 63n + 2n)),
    { kind: 'interrupt', unique: 2n ** 63n + 2n },
  ],
  [
    'INIT of a kernel before 7.36',
    packet(OPCODE.INIT, 0, u32(7, 31, 131072, 0xfffffff)),
    { kind: 'initialise', major: 7, minor: 31, readaheadBytesMax: 131072, flags: 0xfffffff, flags2: 0 },
  ],
  ['an opcode that nobody knows', packet(9999, 5), { kind: 'unsupported' }],
];
for (const [what, bytes, expected] of cases) {
  test(`decodes ${what}`, (t) => {
    t.deepEqual(decoded(bytes), expected);
  });
  test(`refuses ${what} cut short anywhere, and never reads past its end`, (t) => {
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = Buffer.from(bytes.subarray(0, length));
      if (length >= 4) cut.writeUInt32LE(length, 0);
      outcome(cut);
    }
    t.pass();
  });
}

test('offsets beyond 2^53 are too large a file, ids beyond it make no sense', (t) => {
  const read = (openFile: bigint, offset: bigint) =>
    packet(OPCODE.READ, 5, u64(openFile, offset), u32(1, 0), u64(0), u32(0, 0));
  t.throws(() => decoded(read(3n, 2n ** 53n)), { code: 'FILE_TOO_LARGE' });
  t.throws(() => decoded(read(2n ** 53n, 0n)), { code: 'INVALID_ARGUMENT' });
});

test('a lock of no type, of no byte or from beyond 2^53 is refused', (t) => {
  const lock = (start: bigint, end: bigint, type: number) =>
    packet(OPCODE.SETLK, 5, u64(3, 1, start, end), u32(type, 0, 0, 0));
  t.throws(() => decoded(lock(0n, 0n, 3)), { code: 'INVALID_ARGUMENT' });
  t.throws(() => decoded(lock(2n, 1n, 0)), { code: 'INVALID_ARGUMENT' });
  t.throws(() => decoded(lock(2n ** 53n, 2n ** 63n - 1n, 0)), { code: 'FILE_TOO_LARGE' });
});

test('a write that says it has more data than came is refused', (t) => {
  const bytes = packet(OPCODE.WRITE, 5, u64(3, 10), u32(5, 0), u64(0), u32(0, 0), Buffer.from('data'));
  t.throws(() => decoded(bytes), { code: 'INVALID_ARGUMENT' });
});

test('an attribute that says it is longer than what came is refused', (t) => {
  const bytes = packet(OPCODE.SETXATTR, 5, u32(4, 0), text('user.a'), Buffer.from('abc'));
  t.throws(() => decoded(bytes), { code: 'INVALID_ARGUMENT' });
});

test('a batch of more forgets than came is refused before room is made for them', (t) => {
  t.throws(() => decoded(packet(OPCODE.BATCH_FORGET, 0, u32(0xffffffff, 0))), { code: 'INVALID_ARGUMENT' });
});

test('random bytes are a request or a typed error', (t) => {
  const opcode = fc.constantFrom(...Object.values(OPCODE));
  fc.assert(
    fc.property(opcode, fc.uint8Array({ maxLength: 200 }), (code, body) => {
      outcome(packet(code, 5, Buffer.from(body)));
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => outcome(Buffer.from(bytes))));
  t.pass();
});

/** Decodes, or throws one of the two errors that say why not; anything else fails the test. */
function outcome(bytes: Buffer): void {
  try {
    decoded(bytes);
  } catch (error) {
    const typed = error instanceof GfsError && ['INVALID_ARGUMENT', 'FILE_TOO_LARGE'].includes(error.code);
    if (!typed) throw error;
  }
}
