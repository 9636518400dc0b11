import { Buffer } from 'node:buffer';
import test from 'ava';
import fc from 'fast-check';
import type { InodeId, SessionId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { RowReader, RowWriter } from '../../../src/core/metadata/codec.ts';
import { readInode, readOrphan, writeInode, writeOrphan } from '../../../src/core/metadata/row-codecs.ts';
import { FileType, type Inode } from '../../../src/core/metadata/rows.ts';
import { bytes, dump, newWorld, ROOT } from './world.ts';

const id = fc.maxSafeNat();
const time = fc.record({ seconds: fc.maxSafeInteger(), nanos: fc.nat({ max: 999_999_999 }) });
const inodes: fc.Arbitrary<Inode> = fc
  .record({
    inode: id.map((value) => value as InodeId),
    type: fc.constantFrom(...Object.values(FileType)),
    mode: fc.nat({ max: 0o7777 }),
    linkCount: fc.nat(),
    uid: fc.nat({ max: 0xffff_ffff }),
    gid: fc.nat({ max: 0xffff_ffff }),
    length: id,
    rdev: fc.nat({ max: 0xffff_ffff }),
    btime: time,
    goal: fc.nat({ max: 255 }),
    truncations: fc.oneof(fc.constant(0), id),
    hasXattrs: fc.boolean(),
    holeBytes: fc.oneof(fc.constant(0), id),
    parent: id.map((value) => value as InodeId),
    differing: fc.subarray(['atime', 'mtime', 'ctime'] as const),
    other: time,
  })
  .map(({ differing, other, ...inode }) => {
    const { btime } = inode;
    const times = { atime: btime, mtime: btime, ctime: btime };
    for (const which of differing) times[which] = other;
    return { ...inode, ...times };
  });

test('an inode comes back from its row as it was, its parent too', (t) => {
  fc.assert(
    fc.property(inodes, (inode) => {
      const row = Buffer.from(writeInode(new RowWriter().begin(), inode).finish());
      const read = readInode(new RowReader().begin({ bytes: row, length: row.length }), inode.inode);
      t.deepEqual(read, inode);
    }),
  );
});

test('of a file without a name it is known whether it ever had one; rows of before are of those that had', (t) => {
  const unnamed = { linkable: true, session: (2 ** 50) as SessionId, number: 7 };
  for (const orphan of [{ unnamed: undefined }, { unnamed }, { unnamed: { ...unnamed, linkable: false } }]) {
    const row = Buffer.from(writeOrphan(new RowWriter().begin(), orphan).finish());
    t.deepEqual(readOrphan(new RowReader().begin({ bytes: row, length: row.length })), orphan);
  }
  const empty = { bytes: Buffer.alloc(0), length: 0 };
  t.deepEqual(readOrphan(new RowReader().begin(empty)), { unnamed: undefined });
});

test('a small file among millions costs four rows of 150 bytes in all, a further name two small ones', async (t) => {
  const world = await newWorld();
  const parent = (2 ** 31) as InodeId;
  unwrap(world.makeNode(ROOT, 'directory', { inode: parent }));
  const sizeOf = (rows: string[]) => rows.reduce((sum, row) => sum + (row.length - 1) / 2, 0);
  const before = dump(world.store);
  const inode = world.file(parent, 'a-name-of-20-bytes.c', { firstChunk: world.newChunk() });
  const withFile = dump(world.store);
  t.is(withFile.length, before.length + 4);
  t.true(sizeOf(withFile) - sizeOf(before) <= 150, `${sizeOf(withFile) - sizeOf(before)} bytes`);
  unwrap(world.run('makeLink', { inode, parent, name: bytes('a-name-of-20-bytes.d'), replace: false }));
  const withLink = dump(world.store);
  t.is(withLink.length, withFile.length + 2);
  t.true(sizeOf(withLink) - sizeOf(withFile) <= 80, `${sizeOf(withLink) - sizeOf(withFile)} bytes`);
  unwrap(world.run('unlink', { parent, name: bytes('a-name-of-20-bytes.c') }));
  t.is(dump(world.store).length, withFile.length, 'nothing of the further name is left');
});
