import test, { type ExecutionContext } from 'ava';
import type { InodeId, ServerId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import type { RaiseVersion } from '../../../src/core/metadata/commands.ts';
import type { Chunk, Extent } from '../../../src/core/metadata/rows.ts';
import { MetadataState } from '../../../src/core/metadata/state.ts';
import { memoryMetaStores } from '../../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../../src/storage/node-disk.ts';
import { checkInvariants } from './invariants.ts';
import { bytes, CHUNK_SIZE, codeOf, dump, newWorld, ROOT, type World } from './world.ts';

test('an extent that is shared is one chunk of two files, which nobody may change for one of them', async (t) => {
  const { world, source, target } = await twoFiles();
  const [first, second] = freeze(world, source);
  t.is(codeOf(share(world, source, target, 2 * CHUNK_SIZE)), 'OK');
  t.deepEqual(starts(world, target), [
    [0, first?.chunk],
    [CHUNK_SIZE, second?.chunk],
  ]);
  const { length, holeBytes, mtime } = world.attributes(target);
  t.deepEqual([length, holeBytes, mtime], [2 * CHUNK_SIZE, 0, { seconds: world.nowSeconds - 1, nanos: 5 }]);
  const row = chunkAt(world, target, 0);
  t.like(row, { referenceCount: 2, frozen: true, version: 2 });
  // A raise for whatever reason leaves it so; what only one file has is an ordinary chunk again.
  t.true(unwrap(world.run('raiseVersion', raiseOf(world, source, 0))).frozen);
  t.is(codeOf(world.run('unlink', { parent: ROOT, name: bytes('s') })), 'OK');
  t.is(codeOf(world.run('reap', { inodes: [source] })), 'OK');
  t.like(chunkAt(world, target, 0), { referenceCount: 1, frozen: true });
  t.false(unwrap(world.run('raiseVersion', raiseOf(world, target, 0))).frozen);
  t.deepEqual(world.state.garbage(0, 10), []);
  t.is(codeOf(world.setAttributes(target, { length: 0 })), 'OK');
  t.is(world.state.garbage(0, 10).length, 2);
  await end(t, world);
});

test('only chunks whose mutations are over are shared', async (t) => {
  const { world, source, target } = await twoFiles();
  t.is(codeOf(share(world, source, target, 2 * CHUNK_SIZE)), 'VERSION_MISMATCH', 'not frozen');
  freeze(world, source);
  const sharing = sharingOf(world, source, target, 2 * CHUNK_SIZE);
  world.run('raiseVersion', raiseOf(world, source, CHUNK_SIZE));
  t.is(codeOf(world.run('shareExtents', sharing)), 'VERSION_MISMATCH', 'somebody goes on writing');
  freeze(world, source);
  const old = { ...sharing, extents: sharing.extents.map((extent) => ({ ...extent, version: 2 })) };
  t.is(codeOf(world.run('shareExtents', old)), 'VERSION_MISMATCH', 'frozen since');
  t.is(codeOf(share(world, source, target, 2 * CHUNK_SIZE)), 'OK');
  const third = world.file(ROOT, 'u');
  world.run('raiseVersion', raiseOf(world, source, 0));
  const any = sharingOf(world, source, third, 2 * CHUNK_SIZE);
  const shared = { ...any, extents: any.extents.map((extent) => ({ ...extent, version: 0 })) };
  t.is(codeOf(world.run('shareExtents', shared)), 'OK', 'of what is shared any version will do');
  t.is(chunkAt(world, third, 0).referenceCount, 3);
  await end(t, world);
});

test('extents take places that the target has for them, or all behind its begin', async (t) => {
  const { world, source, target } = await twoFiles();
  freeze(world, source);
  const attempt = (change: Partial<ReturnType<typeof sharingOf>>) =>
    codeOf(world.run('shareExtents', { ...sharingOf(world, source, target, 2 * CHUNK_SIZE), ...change }));
  t.is(attempt({ targetStart: 1 }), 'INVALID_ARGUMENT', 'off the grid');
  t.is(attempt({ length: CHUNK_SIZE }), 'INVALID_ARGUMENT', 'an extent behind the range');
  t.is(attempt({ length: 2 * CHUNK_SIZE + 1 }), 'INVALID_ARGUMENT', 'a range behind the extents');
  t.is(attempt({ length: 2 * CHUNK_SIZE - 1 }), 'INVALID_ARGUMENT', 'a part, between others');
  t.is(attempt({ source: target }), 'VERSION_MISMATCH', 'not the extents of that file');
  t.is(attempt({ target: source, targetStart: CHUNK_SIZE }), 'INVALID_ARGUMENT', 'over itself');
  t.is(attempt({ sourceStart: CHUNK_SIZE, extents: [] }), 'INVALID_ARGUMENT', 'nothing');
  // Over a whole extent and a hole, before what stays.
  addChunk(world, target, CHUNK_SIZE);
  addChunk(world, target, 3 * CHUNK_SIZE);
  const stays = world.state.tables.extent(target, 3 * CHUNK_SIZE);
  t.is(attempt({ targetStart: CHUNK_SIZE }), 'OK');
  t.is(world.state.garbage(0, 10).length, 1, 'what it had there');
  t.deepEqual(
    starts(world, target).map(([start]) => start),
    [CHUNK_SIZE, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE],
  );
  t.deepEqual(world.state.tables.extent(target, 3 * CHUNK_SIZE), stays);
  // To the end of the file, all that it has goes; so nothing may lie behind.
  world.run('commitLength', { inode: target, length: 4 * CHUNK_SIZE, mtime: undefined });
  t.is(attempt({ toEnd: true, length: 2 * CHUNK_SIZE - 1 }), 'INVALID_ARGUMENT');
  t.is(codeOf(world.setAttributes(target, { length: 2 * CHUNK_SIZE })), 'OK');
  t.is(attempt({ toEnd: true, length: 2 * CHUNK_SIZE - 1 }), 'INVALID_ARGUMENT', 'a byte');
  t.is(attempt({ toEnd: true }), 'OK');
  t.deepEqual(
    starts(world, target).map(([start]) => start),
    [0, CHUNK_SIZE],
  );
  await end(t, world);
});

test('sealed extents and a last one that is not full are shared to the end of a file', async (t) => {
  const { world, source, target } = await twoFiles();
  const [, last] = world.state.extents(source, 0, 2);
  const seal = { inode: source, start: CHUNK_SIZE, chunk: chunkOf(last), length: 1000, version: 1 };
  t.is(codeOf(world.run('sealExtent', seal)), 'OK');
  addChunk(world, source, CHUNK_SIZE + 1000);
  world.run('commitLength', { inode: source, length: CHUNK_SIZE + 1010, mtime: undefined });
  freeze(world, source);
  const sharing = sharingOf(world, source, target, CHUNK_SIZE + 1010);
  t.is(codeOf(world.run('shareExtents', sharing)), 'INVALID_ARGUMENT', 'not before others');
  t.is(codeOf(world.run('shareExtents', { ...sharing, toEnd: true })), 'OK');
  t.deepEqual(world.state.extents(target, 0, 9), world.state.extents(source, 0, 9));
  t.is(world.attributes(target).length, CHUNK_SIZE + 1010);
  await end(t, world);
});

test('a clone takes the place of a shared chunk in one extent, at its version', async (t) => {
  const { world, source, target } = await twoFiles();
  freeze(world, source);
  unwrap(share(world, source, target, 2 * CHUNK_SIZE));
  const chunk = chunkOf(world.state.tables.extent(target, 0));
  const { chunk: clone } = world.newChunk();
  const members = [1, 2] as ServerId[];
  const body = { inode: target, start: 0, chunk, version: 2, clone, members, session: 0 } as const;
  t.is(codeOf(world.run('cloneExtent', body)), 'NO_SUCH_CHUNK', 'nobody was asked for it');
  t.is(codeOf(world.run('beginClone', { chunk: clone, members: [1, 2, 3] as ServerId[] })), 'OK');
  t.true(world.state.isGarbage(clone));
  t.is(
    codeOf(world.run('beginClone', { chunk: clone, members })),
    'INVALID_ARGUMENT',
    'a handle is dealt once',
  );
  t.is(codeOf(world.run('cloneExtent', { ...body, version: 1 })), 'VERSION_MISMATCH');
  t.is(codeOf(world.run('cloneExtent', { ...body, start: CHUNK_SIZE })), 'NO_SUCH_CHUNK');
  t.is(codeOf(world.run('cloneExtent', { ...body, members: [9] as ServerId[] })), 'INVALID_ARGUMENT');
  t.is(codeOf(world.run('cloneExtent', body)), 'OK');
  const own = { version: 2, members, primary: 0, frozen: false, referenceCount: 1, firstVersion: 2 };
  t.like(world.state.chunk(clone), own);
  t.like(world.state.chunk(chunk), { version: 2, frozen: true, referenceCount: 1 });
  t.false(world.state.isGarbage(clone));
  const again = { ...body, inode: source, clone: world.newChunk().chunk };
  world.run('beginClone', { chunk: again.clone, members });
  t.is(codeOf(world.run('cloneExtent', again)), 'VERSION_MISMATCH', 'shared no more');
  await end(t, world);
});

test('a shared chunk has the higher goal of its files, and a clone that of its own', async (t) => {
  const { world, source } = await twoFiles();
  freeze(world, source);
  for (const [name, goal, expected] of [
    ['fewer', 1, 3],
    ['more', 5, 5],
    ['fewer again', 2, 5],
  ] as const) {
    const target = world.file(ROOT, name, { goal });
    unwrap(share(world, source, target, 2 * CHUNK_SIZE));
    t.is(chunkAt(world, source, 0).goal, expected, name);
    const chunk = chunkOf(world.state.tables.extent(target, 0));
    const { chunk: clone } = world.newChunk();
    const members = [1, 2] as ServerId[];
    world.run('beginClone', { chunk: clone, members });
    const body = { inode: target, start: 0, chunk, version: 2, clone, members, session: 0 } as const;
    unwrap(world.run('cloneExtent', body));
    t.is(chunkAt(world, target, 0).goal, goal);
  }
  await end(t, world);
});

test('a shared chunk is not cut', async (t) => {
  const { world, source, target } = await twoFiles();
  freeze(world, source);
  unwrap(share(world, source, target, 2 * CHUNK_SIZE));
  const cut = raiseOf(world, target, 0);
  t.is(codeOf(world.setAttributes(target, { length: 10, cut })), 'VERSION_MISMATCH');
  const members = [1, 2, 3] as ServerId[];
  const { chunk: clone } = world.newChunk();
  const chunk = chunkOf(world.state.tables.extent(target, 0));
  world.run('beginClone', { chunk: clone, members });
  unwrap(
    world.run('cloneExtent', { inode: target, start: 0, chunk, version: 2, clone, members, session: 0 }),
  );
  t.is(codeOf(world.setAttributes(target, { length: 10, cut: raiseOf(world, target, 0) })), 'OK');
  t.deepEqual(chunkAt(world, target, 0).cuts, [{ version: 3, length: 10 }]);
  t.deepEqual(chunkAt(world, source, 0).cuts, []);
  t.is(chunkAt(world, source, CHUNK_SIZE).referenceCount, 1);
  await end(t, world);
});

/** A source of two whole chunks, and a target of nothing. */
async function twoFiles(): Promise<{ world: World; source: InodeId; target: InodeId }> {
  const world = await newWorld();
  const source = world.file(ROOT, 's', { firstChunk: world.newChunk() });
  addChunk(world, source, CHUNK_SIZE);
  world.run('commitLength', { inode: source, length: 2 * CHUNK_SIZE, mtime: undefined });
  return { world, source, target: world.file(ROOT, 't') };
}

function addChunk(world: World, inode: InodeId, fileOffset: number): void {
  unwrap(world.run('addChunk', { inode, fileOffset, chunk: world.newChunk() }));
}

function freeze(world: World, inode: InodeId): Extent[] {
  const extents = world.state.extents(inode, 0, 99);
  for (const { start } of extents)
    unwrap(world.run('raiseVersion', { ...raiseOf(world, inode, start), frozen: true }));
  return extents;
}

function raiseOf(world: World, inode: InodeId, start: number): RaiseVersion {
  const chunk = chunkOf(world.state.tables.extent(inode, start));
  const { version, members } = chunkAt(world, inode, start);
  return { chunk, version, members, primary: 1 as ServerId, loss: false, recorded: version, admitted: 0 };
}

function share(world: World, source: InodeId, target: InodeId, length: number) {
  return world.run('shareExtents', sharingOf(world, source, target, length));
}

/** All of the source, to the target's begin. */
function sharingOf(world: World, source: InodeId, target: InodeId, length: number) {
  const extents = world.state.extents(source, 0, 99).map(({ start, chunk }) => ({
    ...{ start, chunk },
    version: chunkAt(world, source, start).version,
  }));
  return { source, sourceStart: 0, target, targetStart: 0, length, extents, toEnd: false };
}

function chunkAt(world: World, inode: InodeId, start: number): Chunk {
  const row = world.state.chunk(chunkOf(world.state.tables.extent(inode, start)));
  if (row === undefined) throw new Error('an extent has a chunk');
  return row;
}

function chunkOf(extent: Extent | undefined) {
  if (extent === undefined) throw new Error('there is no extent');
  return extent.chunk;
}

function starts(world: World, inode: InodeId) {
  return world.state.extents(inode, 0, 99).map(({ start, chunk }) => [start, chunk]);
}

/** The tables agree with one another, and the log alone makes the same ones. */
async function end(t: ExecutionContext, world: World): Promise<void> {
  checkInvariants(world.state);
  const store = await memoryMetaStores(new NodeDisk())('', { kind: 'empty' });
  new MetadataState(store).apply(world.log, 1);
  t.deepEqual(dump(store), dump(world.store));
}
