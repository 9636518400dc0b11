// The layout is read back field by field, after <linux/fuse.h>.
import test from 'ava';
import { writeDirectory } from '../../../mount/wire/directory.ts';
import { deletedEntry, dropPages, expireEntry, expireNode } from '../../../mount/wire/notifications.ts';
import { TYPE } from '../../../mount/wire/numbers.ts';
import {
  type Entry,
  writeAttributes,
  writeEntry,
  writeExtendedAttributes,
  writeHeader,
  writeInitialise,
  writeLock,
  writeOffset,
  writeOpen,
  writeStatistics,
} from '../../../mount/wire/replies.ts';

const entry: Entry = {
  entryTimeoutMs: 1500,
  attributeTimeoutMs: 250,
  attributes: {
    ...{ node: 2 ** 40 + 7, size: 2 ** 41 + 1, mode: TYPE.REGULAR | 0o4755, linkCount: 2, uid: 10, gid: 20 },
    ...{ rdev: 0x103, atime: { seconds: 1, nanos: 2 }, mtime: { seconds: -1, nanos: 999_999_999 } },
    ctime: { seconds: 2 ** 33, nanos: 5 },
    btime: { seconds: -2, nanos: 6 },
    holeBytes: 2 ** 30,
  },
};
const room = () => Buffer.alloc(4096, 0xff);
const u64 = (bytes: Buffer, at: number) => Number(bytes.readBigInt64LE(at));

test('a header has the length, the negative errno and the number of the request', (t) => {
  const out = room();
  writeHeader(out, 2n ** 63n + 5n, 2, 16);
  t.deepEqual([out.readUInt32LE(0), out.readInt32LE(4), out.readBigUInt64LE(8)], [16, -2, 2n ** 63n + 5n]);
});

test('an entry is a node, two time-outs and attributes', (t) => {
  const out = room();
  t.is(writeEntry(out, 16, entry), 16 + 128);
  t.deepEqual([u64(out, 16), u64(out, 24)], [2 ** 40 + 7, 0], 'node, generation');
  t.deepEqual([u64(out, 32), out.readUInt32LE(48)], [1, 500_000_000], 'time-out of the name');
  t.deepEqual([u64(out, 40), out.readUInt32LE(52)], [0, 250_000_000], 'time-out of the attributes');
  checkAttributes(out, 56);
});

test('an offset is one number', (t) => {
  const out = room();
  t.is(writeOffset(out, 16, 2 ** 40), 24);
  t.is(u64(out, 16), 2 ** 40);
});

test('attributes are a time-out and attributes', (t) => {
  const out = room();
  t.is(writeAttributes(out, 16, entry), 16 + 104);
  t.deepEqual([u64(out, 16), out.readUInt32LE(24), out.readUInt32LE(28)], [0, 250_000_000, 0]);
  checkAttributes(out, 32);
  t.pass();
});

test('extended attributes have the time of birth, and devices in two numbers', (t) => {
  const out = room();
  const device = { ...entry.attributes, rdev: 0x123a_bc45 };
  t.is(writeExtendedAttributes(out, 16, { ...entry, attributes: device }), 16 + 288);
  t.deepEqual([u64(out, 16), out.readUInt32LE(24), out.readUInt32LE(28)], [0, 250_000_000, 0]);
  const at = 48;
  t.deepEqual([out.readUInt32LE(at), out.readUInt32LE(at + 4), u64(out, at + 8)], [0xfff, 131072, 0]);
  t.deepEqual(
    [16, 20, 24].map((offset) => out.readUInt32LE(at + offset)),
    [2, 10, 20],
  );
  t.is(out.readUInt16LE(at + 28), 0o104755);
  t.deepEqual(
    [32, 40, 48].map((offset) => u64(out, at + offset)),
    [2 ** 40 + 7, 2 ** 41 + 1, 2 ** 32 - 2 ** 21 + 1],
  );
  const times = [64, 80, 96, 112].map((offset) => [u64(out, at + offset), out.readUInt32LE(at + offset + 8)]);
  t.deepEqual(times, [
    [1, 2],
    [-2, 6],
    [2 ** 33, 5],
    [-1, 999_999_999],
  ]);
  t.deepEqual(
    [128, 132].map((offset) => out.readUInt32LE(at + offset)),
    [0xabc, 0x12345],
  );
});

function checkAttributes(out: Buffer, at: number): void {
  const longs = [0, 8, 16, 24, 32, 40].map((offset) => u64(out, at + offset));
  const words = [48, 52, 56, 60, 64, 68, 72, 76, 80, 84].map((offset) => out.readUInt32LE(at + offset));
  const blocks = 2 ** 32 - 2 ** 21 + 1;
  const expected = [
    [2 ** 40 + 7, 2 ** 41 + 1, blocks, 1, -1, 2 ** 33],
    [2, 999_999_999, 5, 0o104755, 2, 10, 20, 0x103, 131072, 0],
  ];
  if (JSON.stringify([longs, words]) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify([longs, words])} is not ${JSON.stringify(expected)}`);
  }
}

test('open, statistics and INIT have their sizes, and no bytes of earlier replies in the padding', (t) => {
  const out = room();
  t.is(writeOpen(out, 16, { openFile: 9, flags: 3 }), 32);
  t.deepEqual([u64(out, 16), out.readUInt32LE(24), out.readUInt32LE(28)], [9, 3, 0]);
  const statistics = {
    totalBytes: 8192,
    freeBytes: 4096,
    availableBytes: 4095,
    nodeCount: 5,
    nodeCountFree: 4,
  };
  t.is(writeStatistics(out, 16, { ...statistics, nameBytesMax: 255 }), 96);
  t.deepEqual(
    [0, 8, 16, 24, 32].map((offset) => u64(out, 16 + offset)),
    [2, 1, 0, 5, 4],
  );
  t.deepEqual(
    [40, 44, 48, 52, 76].map((offset) => out.readUInt32LE(16 + offset)),
    [4096, 255, 4096, 0, 0],
  );
  const end = writeInitialise(out, 16, {
    ...{ major: 7, minor: 39, readaheadBytesMax: 1, flags: 2, flags2: 3, backgroundCountMax: 4 },
    ...{ congestionThreshold: 5, writeBytesMax: 6, timeGranularityNs: 7, pageCountMax: 8 },
  });
  t.is(end, 16 + 64);
  t.deepEqual(
    [0, 4, 8, 12, 20, 24, 32, 60].map((offset) => out.readUInt32LE(16 + offset)),
    [7, 39, 1, 2, 6, 7, 3, 0],
  );
  t.deepEqual(
    [16, 18, 28, 30].map((offset) => out.readUInt16LE(16 + offset)),
    [4, 5, 8, 0],
  );
});

test('a listing takes what fits, each item padded to eight bytes', (t) => {
  const item = (name: string, nextOffset: number) => ({
    ...{ name: Buffer.from(name), node: 5, type: TYPE.DIRECTORY, nextOffset },
  });
  const items = [item('12345678', 1), item('123456789', 2), item('x', 3)];
  const out = room();
  // 24 + 8, 24 + 9 padded to 40, and 24 + 1 padded to 32, which does not fit.
  t.deepEqual(writeDirectory(out, 16, 16 + 32 + 40 + 31, items, false), { end: 16 + 32 + 40, taken: 2 });
  t.deepEqual([u64(out, 48), u64(out, 56), out.readUInt32LE(64), out.readUInt32LE(68)], [5, 2, 9, 4]);
  t.is(out.toString('latin1', 72, 88), '123456789\0\0\0\0\0\0\0');
  t.deepEqual(writeDirectory(out, 16, 16 + 31, items, false), { end: 16, taken: 0 });
  const withEntry = [{ ...item('12345678', 1), entry }, item('x', 2)];
  t.deepEqual(writeDirectory(out, 16, 4096, withEntry, true), { end: 16 + 160 + 160, taken: 2 });
  t.deepEqual([u64(out, 16), u64(out, 16 + 128)], [2 ** 40 + 7, 5]);
  t.is(u64(out, 16 + 160), 0, 'an item without attributes has an entry that says so');
});

test('a lock in the way is told with its bytes, and none as none', (t) => {
  const out = room();
  t.is(writeLock(out, 16, { exclusive: true, start: 2 ** 40, end: 2 ** 40 + 1, pid: 77 }), 16 + 24);
  t.deepEqual(
    [u64(out, 16), u64(out, 24), out.readUInt32LE(32), out.readUInt32LE(36)],
    [2 ** 40, 2 ** 40 + 1, 1, 77],
  );
  writeLock(out, 16, { exclusive: false, start: 0, end: 2 ** 53 - 1, pid: 0 });
  t.is(out.readBigUInt64LE(24), 2n ** 63n - 1n, 'up to the end');
  t.is(out.readUInt32LE(32), 0);
  writeLock(out, 16, undefined);
  t.is(out.readUInt32LE(32), 2);
});

test('notifications carry their code where replies carry an error', (t) => {
  const { bytes: node } = expireNode(7);
  t.deepEqual([node.readUInt32LE(0), node.readInt32LE(4), u64(node, 8), u64(node, 16)], [40, 2, 0, 7]);
  t.is(node.readBigInt64LE(24), -1n, 'a negative offset: pages stay');
  t.is(dropPages(7).bytes.readBigInt64LE(24), 0n, 'from the first page on');
  const { bytes: name } = expireEntry(7, Buffer.from('abc'));
  t.deepEqual([name.length, name.readInt32LE(4), u64(name, 16), name.readUInt32LE(24)], [36, 3, 7, 3]);
  t.is(name.readUInt32LE(28), 1, 'it is looked up again, and whoever uses it goes on');
  t.is(name.toString('latin1', 32), 'abc\0');
  const { bytes: deleted } = deletedEntry(7, 8, Buffer.from('abc'));
  t.deepEqual(
    [deleted.length, deleted.readInt32LE(4), u64(deleted, 16), u64(deleted, 24), deleted.readUInt32LE(32)],
    [44, 6, 7, 8, 3],
  );
  t.is(deleted.toString('latin1', 40), 'abc\0');
});
