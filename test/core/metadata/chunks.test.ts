import test from 'ava';
import { must } from '../../../src/base/assert.ts';
import type { ServerId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { cutFor } from '../../../src/core/metadata/chunk-rows.ts';
import type { CommandBodies } from '../../../src/core/metadata/commands.ts';
import type { Extent } from '../../../src/core/metadata/rows.ts';
import { zeroedExtents } from '../../../src/core/metadata/zeroed-extents.ts';
import { checkInvariants } from './invariants.ts';
import { ALICE, bytes, CHUNK_SIZE, codeOf, newWorld, ROOT, type World } from './world.ts';

type FileId = ReturnType<World['file']>;

function addChunk(world: World, inode: FileId, fileOffset: number): Extent {
  return unwrap(world.run('addChunk', { inode, fileOffset, chunk: world.newChunk() }));
}

function raiseOf(world: World, extent: Extent) {
  const { version } = unwrap({ ok: true, value: world.state.chunk(extent.chunk) ?? { version: 0 } });
  const chosen = { members: [1, 2] as ServerId[], primary: 2 as ServerId, loss: false };
  return { chunk: extent.chunk, version, ...chosen, recorded: 0, admitted: 0 as const };
}

test('P16: a new extent lies on the grid, and whoever comes second gets the same one', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const first = addChunk(world, inode, 2 * CHUNK_SIZE + 7);
  t.is(first.start, 2 * CHUNK_SIZE);
  t.deepEqual(addChunk(world, inode, 3 * CHUNK_SIZE - 1), first);
  t.is(addChunk(world, inode, 0).start, 0);
  t.is(addChunk(world, inode, 3 * CHUNK_SIZE).start, 3 * CHUNK_SIZE);
  t.deepEqual(
    world.state.extents(inode, CHUNK_SIZE, 10).map(({ start }) => start / CHUNK_SIZE),
    [2, 3],
    'asked for in a hole: those behind it',
  );
  t.deepEqual(
    world.state.extents(inode, 5, 2).map(({ start }) => start / CHUNK_SIZE),
    [0, 2],
  );
  t.is(world.state.extentAt(inode, CHUNK_SIZE), undefined);
  const row = world.state.chunk(first.chunk);
  t.deepEqual(row, {
    version: 1,
    members: [1, 2, 3] as ServerId[],
    primary: 1 as ServerId,
    cuts: [],
    loss: 0,
    referenceCount: 1,
    frozen: false,
    firstVersion: 1,
    goal: 3,
  });
  checkInvariants(world.state);
});

test('after a sealed extent the grid starts again at its end', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [first] = world.state.extents(inode, 0, 1) as [Extent];
  const seal = { inode, start: 0, chunk: first.chunk, length: 1000, version: 1 };
  t.is(unwrap(world.run('sealExtent', seal)).sealedLength, 1000);
  t.is(unwrap(world.run('sealExtent', seal)).sealedLength, 1000, 'told again');
  t.is(world.code('sealExtent', { ...seal, length: 2000 }), 'VERSION_MISMATCH', 'once and for all');
  t.is(world.attributes(inode).length, 1000);
  t.is(world.state.extentAt(inode, 999)?.start, 0);
  t.is(world.state.extentAt(inode, 1000), undefined);
  t.is(addChunk(world, inode, 1000 + CHUNK_SIZE).start, 1000 + CHUNK_SIZE);
  t.is(addChunk(world, inode, 1000 + CHUNK_SIZE - 1).start, 1000);
  t.deepEqual(
    world.state.extents(inode, 0, 10).map(({ start }) => start),
    [0, 1000, 1000 + CHUNK_SIZE],
  );
  t.is(world.code('sealExtent', { ...seal, start: 1000 }), 'NO_SUCH_CHUNK');
  checkInvariants(world.state);
});

test('what is left of the place of an extent that is sealed between others takes extents that fit', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [first] = world.state.extents(inode, 0, 1) as [Extent];
  const far = addChunk(world, inode, 2 * CHUNK_SIZE + 5);
  const seal = (extent: Extent, length: number) =>
    world.run('sealExtent', { inode, start: extent.start, chunk: extent.chunk, length, version: 1 });
  t.is(unwrap(seal(first, 1000)).sealedLength, 1000);
  t.is(world.attributes(inode).length, 1000);
  // The grid begins at the end of the sealed one, as far as there is room.
  const last = addChunk(world, inode, 2 * CHUNK_SIZE - 1);
  t.like(last, { start: 1000 + CHUNK_SIZE, sealedLength: CHUNK_SIZE - 1000 });
  t.like(addChunk(world, inode, 1000), { start: 1000, sealedLength: undefined });
  t.deepEqual(addChunk(world, inode, last.start), last, 'whoever comes second gets the same one');
  // Its chunk may be sealed sooner, never later.
  t.is(codeOf(seal(last, CHUNK_SIZE)), 'VERSION_MISMATCH');
  t.is(unwrap(seal(last, 50)).sealedLength, 50);
  t.like(addChunk(world, inode, last.start + 50), {
    start: last.start + 50,
    sealedLength: CHUNK_SIZE - 1050,
  });
  t.deepEqual(
    world.state.extents(inode, 0, 9).map(({ start }) => start),
    [0, 1000, last.start, last.start + 50, far.start],
  );
  checkInvariants(world.state);
  const cut = { length: last.start + 70, cut: raiseOf(world, addChunk(world, inode, last.start + 50)) };
  world.run('commitLength', { inode, length: far.start + 9, mtime: undefined });
  t.is(codeOf(world.setAttributes(inode, cut)), 'OK');
  t.is(world.state.extents(inode, 0, 9).at(-1)?.sealedLength, 20);
  t.like(addChunk(world, inode, last.start + 80), { start: last.start + 70, sealedLength: undefined });
  checkInvariants(world.state);
});

test('P2, P3: a version is raised by compare-and-set, to members that were some before', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [{ chunk }] = world.state.extents(inode, 0, 1) as [Extent];
  const chosen = { members: [3, 1] as ServerId[], primary: 3 as ServerId, loss: false };
  const raise = { chunk, version: 1, ...chosen, recorded: 1, admitted: 0 as const };
  t.is(world.code('raiseVersion', { ...raise, primary: 2 as ServerId }), 'INVALID_ARGUMENT');
  t.is(world.code('raiseVersion', { ...raise, members: [] }), 'TOO_FEW_REPLICAS');
  t.is(world.code('raiseVersion', { ...raise, members: [1, 4] as ServerId[] }), 'INVALID_ARGUMENT');
  for (const admitted of [1, 4] as ServerId[]) {
    t.is(world.code('raiseVersion', { ...raise, admitted }), 'INVALID_ARGUMENT', "a member, and nobody's");
  }
  const raised = unwrap(world.run('raiseVersion', raise));
  t.like(raised, { version: 2, members: [3, 1], primary: 3, loss: 0 });
  const late = world.run('raiseVersion', raise);
  t.is(codeOf(late), 'VERSION_MISMATCH');
  t.is(late.ok ? '' : late.error.fields?.version, '2');
  t.is(
    world.code('raiseVersion', { ...raise, version: 2, members: [2, 3] as ServerId[] }),
    'INVALID_ARGUMENT',
  );
  const lost = unwrap(world.run('raiseVersion', { ...raise, version: 2, primary: 0, loss: true }));
  t.like(lost, { version: 3, loss: 3, primary: 0 });
  t.is(unwrap(world.run('raiseVersion', { ...raise, version: 3 })).loss, 3, 'a loss is remembered');
  const five = 5 as ServerId;
  const admission = { ...raise, version: 4, members: [3, 5] as ServerId[], admitted: five };
  t.is(world.code('raiseVersion', { ...admission, admitted: 0 }), 'INVALID_ARGUMENT');
  t.like(unwrap(world.run('raiseVersion', admission)), { version: 5, members: [3, 5] }, 'P9');
  t.is(world.code('raiseVersion', { ...raise, chunk: 99 as typeof chunk }), 'NO_SUCH_CHUNK');
});

test('a shorter file: extents behind the end go, the one at the end is cut under a higher version', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const extents = [0, 1, 2].map((index) => addChunk(world, inode, index * CHUNK_SIZE));
  world.run('commitLength', { inode, length: 3 * CHUNK_SIZE, mtime: undefined });
  const [first, second, third] = extents as [Extent, Extent, Extent];
  const length = CHUNK_SIZE + 100;
  t.is(codeOf(world.setAttributes(inode, { length })), 'VERSION_MISMATCH', 'not without a cut');
  t.is(codeOf(world.setAttributes(inode, { length, cut: raiseOf(world, first) })), 'VERSION_MISMATCH');
  const old = { ...raiseOf(world, second), version: 7 };
  t.is(codeOf(world.setAttributes(inode, { length, cut: old })), 'VERSION_MISMATCH');
  t.is(world.attributes(inode).length, 3 * CHUNK_SIZE);
  t.is(unwrap(world.setAttributes(inode, { length, cut: raiseOf(world, second) })).length, length);
  t.deepEqual(world.state.extents(inode, 0, 9), [first, second]);
  t.deepEqual(
    world.state.garbage(0, 9).map(({ chunk }) => chunk),
    [third.chunk],
  );
  t.like(world.state.chunk(second.chunk), {
    version: 2,
    members: [1, 2],
    primary: 2,
    cuts: [{ version: 2, length: 100 }],
  });
  const next = unwrap(world.run('raiseVersion', { ...raiseOf(world, second), members: [2] as ServerId[] }));
  t.deepEqual(next.cuts, [{ version: 2, length: 100 }], 'later raises repeat it');

  t.is(
    codeOf(world.setAttributes(inode, { length: CHUNK_SIZE })),
    'OK',
    'at an extent boundary nothing is cut',
  );
  t.is(codeOf(world.setAttributes(inode, { length: 9 * CHUNK_SIZE })), 'OK', 'a longer file needs no cut');
  t.deepEqual(world.state.extents(inode, 0, 9), [first]);
  checkInvariants(world.state);
});

test('P19: a replica that missed several cuts makes up for all, one that recorded the first for the rest', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [extent] = world.state.extents(inode, 0, 1) as [Extent];
  const row = () => must(world.state.chunk(extent.chunk), 'it is there');
  // Bytes 50 to 80 were taken away, and then are zeros.
  for (const length of [50, 80]) {
    t.is(codeOf(world.setAttributes(inode, { length, cut: raiseOf(world, extent) })), 'OK');
  }
  t.deepEqual(cutFor(row().cuts, 1), { version: 3, length: 50 });
  t.deepEqual(cutFor(row().cuts, 2), { version: 3, length: 80 });
  t.deepEqual(cutFor(row().cuts, 3), { version: 3, length: 80 }, 'which it does not repeat');
  world.run('raiseVersion', { ...raiseOf(world, extent), recorded: 2 });
  t.deepEqual(row().cuts, [{ version: 3, length: 80 }], 'all members know of the first');
  world.run('raiseVersion', { ...raiseOf(world, extent), recorded: 4 });
  t.deepEqual(row().cuts, [{ version: 3, length: 80 }], 'the last stays');
  checkInvariants(world.state);
});

test('P19: cuts that do not reach all members are not piled up without end', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [extent] = world.state.extents(inode, 0, 1) as [Extent];
  const cut = (length: number, recorded: number) =>
    codeOf(world.setAttributes(inode, { length, cut: { ...raiseOf(world, extent), recorded } }));
  for (let length = 101; length <= 116; length += 1) t.is(cut(length, 1), 'OK');
  t.is(cut(117, 1), 'NOT_READY');
  t.is(world.attributes(inode).length, 116);
  t.is(cut(117, 2), 'OK', 'as soon as all have recorded one of them');
});

test('a sealed extent that is cut is shorter, and the next one starts at its new end', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [first] = world.state.extents(inode, 0, 1) as [Extent];
  world.run('sealExtent', { inode, start: 0, chunk: first.chunk, length: 1000, version: 1 });
  addChunk(world, inode, 1000);
  t.is(codeOf(world.setAttributes(inode, { length: 400, cut: raiseOf(world, first) })), 'OK');
  t.deepEqual(world.state.extents(inode, 0, 9), [{ ...first, sealedLength: 400 }]);
  t.is(addChunk(world, inode, 400).start, 400);
  checkInvariants(world.state);
});

test('a seal that was told before a truncation does not bring back what that took away (P16)', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  world.run('commitLength', { inode, length: 1000, mtime: undefined });
  const [first] = world.state.extents(inode, 0, 1) as [Extent];
  t.is(codeOf(world.setAttributes(inode, { length: 400, cut: raiseOf(world, first) })), 'OK');
  const seal = { inode, start: 0, chunk: first.chunk };
  t.is(world.code('sealExtent', { ...seal, length: 1000, version: 1 }), 'VERSION_MISMATCH');
  t.is(world.attributes(inode).length, 400);
  t.is(unwrap(world.run('sealExtent', { ...seal, length: 400, version: 2 })).sealedLength, 400);
  checkInvariants(world.state);
});

test('a file truncated to nothing begins with a new chunk, by open or by create', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk(), mode: 0o666 });
  world.run('commitLength', { inode, length: 50, mtime: undefined });
  const second = world.newChunk();
  t.is(unwrap(world.setAttributes(inode, { length: 0, firstChunk: second })).length, 0);
  t.is(world.state.extentAt(inode, 0)?.chunk, second.chunk);
  world.run('commitLength', { inode, length: 50, mtime: undefined });
  const third = world.newChunk();
  const opened = unwrap(
    world.as(ALICE).create(ROOT, 'a', { exclusive: false, truncate: true, firstChunk: third }),
  );
  t.like(opened, { created: false, attributes: { inode, length: 0 } });
  t.is(world.state.extentAt(inode, 0)?.chunk, third.chunk);
  t.is(world.state.garbage(0, 9).length, 2);
  const unused = world.newChunk();
  t.false(unwrap(world.create(ROOT, 'a', { exclusive: false, firstChunk: unused })).created);
  t.is(world.state.chunk(unused.chunk), undefined);
  t.true(world.newChunk().chunk > unused.chunk, 'and its handle is not dealt again');
  t.is(codeOf(world.create(ROOT, 'b', { firstChunk: third })), 'INVALID_ARGUMENT', 'nor taken again');
  checkInvariants(world.state);
});

test('what was allocated counts as data, what was made a hole since does not, if nobody changed the file meanwhile', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const allocated = (body: Partial<CommandBodies['allocate']>) =>
    unwrap(
      world.run('allocate', {
        inode,
        length: 0,
        start: 0,
        end: 0,
        holeSince: undefined,
        dropped: [],
        ...body,
      }),
    ).attributes;
  t.like(allocated({ length: 100 }), { length: 100, holeBytes: 100 });
  t.is(allocated({ start: 20, end: 50 }).holeBytes, 70);
  const full = allocated({ start: 0, end: 500 });
  t.like(full, { length: 100, holeBytes: 0 });
  const punched = allocated({ start: 90, end: 500, holeSince: full.ctime });
  t.is(punched.holeBytes, 10);
  t.is(allocated({ start: 0, end: 90, holeSince: full.ctime }).holeBytes, 10, 'somebody changed it');
  const { ctime } = world.attributes(inode);
  t.is(allocated({ start: 30, end: 35, holeSince: ctime }).holeBytes, 10, 'no fewer than before');
  t.is(allocated({ length: 200, start: 150, end: 200 }).holeBytes, 60);
  t.is(allocated({ start: 300, end: 400 }).holeBytes, 60, 'behind the end');
});

test('extents in a range of zeros go, if they are whole chunks below the length, and as they were listed', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const extents = [0, 1, 2, 3, 4].map((index) => addChunk(world, inode, index * CHUNK_SIZE));
  const length = 5 * CHUNK_SIZE - 1;
  unwrap(world.run('commitLength', { inode, length, mtime: undefined }));
  const startsIn = (start: number, end: number) =>
    zeroedExtents(world.state, inode, { start, end }).map((one) => one.start / CHUNK_SIZE);
  t.deepEqual(startsIn(0, 9 * CHUNK_SIZE), [0, 1, 2, 3]);
  t.deepEqual(startsIn(1, 3 * CHUNK_SIZE - 1), [1]);
  t.deepEqual(zeroedExtents(world.state, world.file(ROOT, 'empty'), { start: 0, end: 1e9 }), []);
  const all = zeroedExtents(world.state, inode, { start: 0, end: length });
  const allocate = (end: number, dropped: CommandBodies['allocate']['dropped']) =>
    unwrap(world.run('allocate', { inode, length: 0, start: 0, end, holeSince: undefined, dropped }));
  const left = () => world.state.extents(inode, 0, 9).map(({ start }) => start / CHUNK_SIZE);
  // Another range than it was listed for, another version, another chunk; twice the same.
  unwrap(world.run('raiseVersion', raiseOf(world, must(extents[0], 'it was added'))));
  const [first, second, third] = all;
  t.like(first, { version: 1 });
  allocate(2 * CHUNK_SIZE - 1, all);
  t.deepEqual(left(), [0, 1, 2, 3, 4]);
  const others = [must(second, 'it is listed'), { ...must(third, 'it is listed'), chunk: 77 as never }];
  allocate(4 * CHUNK_SIZE, [...others, ...others]);
  t.deepEqual(left(), [0, 2, 3, 4]);
  t.deepEqual(
    world.state.garbage(0, 9).map(({ chunk }) => chunk),
    [extents[1]?.chunk],
  );
  t.is(world.attributes(inode).length, length);
  t.is(addChunk(world, inode, 2 * CHUNK_SIZE - 1).start, CHUNK_SIZE);
  checkInvariants(world.state);
});

test('a committed length never shortens a file', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const mtime = { seconds: 77, nanos: 8 };
  const first = unwrap(world.run('commitLength', { inode, length: 100, mtime }));
  t.like(first.attributes, { length: 100, mtime });
  const second = unwrap(world.run('commitLength', { inode, length: 60, mtime: undefined }));
  t.is(second.attributes.length, 100);
  t.deepEqual(second.previousCtime, first.attributes.ctime);
  const range = { start: 0, end: 0, holeSince: undefined, dropped: [] };
  const third = unwrap(world.run('allocate', { inode, length: 50, ...range }));
  t.deepEqual(third.previousCtime, second.attributes.ctime);
  t.is(third.attributes.length, 100, 'a file does not get shorter');
  t.deepEqual(third.attributes.mtime, third.attributes.ctime);
  t.is(unwrap(world.run('allocate', { inode, length: 150, ...range })).attributes.length, 150);
  t.is(world.code('allocate', { inode, length: 2 ** 53 - 1, ...range }), 'FILE_TOO_LARGE');
  t.is(world.code('allocate', { inode: ROOT, length: 1, ...range }), 'IS_DIRECTORY');
  t.is(world.code('commitLength', { inode, length: 2 ** 53 - 1, mtime: undefined }), 'FILE_TOO_LARGE');
  t.is(world.code('commitLength', { inode: ROOT, length: 1, mtime: undefined }), 'IS_DIRECTORY');
});

test('bytes that became zeros are holes, but for one while there may be data', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const range = { start: 0, end: 0, holeSince: undefined, dropped: [] };
  const zeros = (zeroedBytes: number | undefined, length = 0) =>
    unwrap(world.run('allocate', { inode, length, ...range, zeroedBytes })).attributes.holeBytes;
  t.is(zeros(undefined, 100), 100);
  t.is(zeros(50), 100, 'there is no data');
  unwrap(world.run('commitLength', { inode, length: 100, mtime: undefined, writtenBytes: 30 }));
  t.is(zeros(10), 80);
  t.is(zeros(5, 200), 185);
  t.is(zeros(15), 199);
  t.is(zeros(2 ** 53 - 1), 199);
});

test('a length from before a truncation is not believed after it', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const commit = (truncations: number | undefined) =>
    world.code('commitLength', { inode, length: 100, mtime: undefined, truncations });
  t.is(commit(0), 'OK');
  t.is(codeOf(world.setAttributes(inode, { length: 10 })), 'OK');
  t.is(commit(0), 'TRUNCATED');
  t.like(world.attributes(inode), { length: 10, truncations: 1 });
  t.is(codeOf(world.setAttributes(inode, { mode: 0o600 })), 'OK');
  t.is(commit(1), 'OK', 'a mode is no length');
  unwrap(world.create(ROOT, 'a', { exclusive: false, truncate: true }));
  t.is(commit(1), 'TRUNCATED');
  t.like(world.attributes(inode), { length: 0, truncations: 2 });
  t.is(commit(undefined), 'OK', 'without a number it is');
});

test('thousands of extents go at once', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  for (let index = 0; index < 1000; index += 1) addChunk(world, inode, index * CHUNK_SIZE);
  world.run('unlink', { parent: ROOT, name: bytes('a') });
  world.run('reap', { inodes: [inode] });
  t.is(world.state.garbage(0, 2000).length, 1000);
  checkInvariants(world.state);
});

test('P23: a chunk that nobody wrote gives its place to another, compared by its handle', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const first = addChunk(world, inode, 0);
  const { chunkCount } = world.state;
  const replace = () =>
    unwrap(
      world.run('addChunk', { inode, fileOffset: 5, chunk: world.newChunk(), replaced: first.chunk }),
    ) as Extent;
  const second = replace();
  t.not(second.chunk, first.chunk);
  t.is(second.start, 0);
  t.true(world.state.isGarbage(first.chunk));
  t.is(replace().chunk, second.chunk, 'whoever comes second gets the same one');
  t.is(world.state.chunkCount, chunkCount);
  checkInvariants(world.state);
  t.pass();
});

test('P23: also one that has room for less than a whole chunk, but none that was sealed', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a', { firstChunk: world.newChunk() });
  const [sealed] = world.state.extents(inode, 0, 1) as [Extent];
  addChunk(world, inode, CHUNK_SIZE);
  const { start, chunk } = sealed;
  unwrap(world.run('sealExtent', { inode, start, chunk, length: 1000, version: 1 }));
  const replace = (replaced: Extent) =>
    unwrap(
      world.run('addChunk', {
        ...{ inode, fileOffset: replaced.start, chunk: world.newChunk() },
        replaced: replaced.chunk,
      }),
    ) as Extent;
  t.is(replace(sealed).chunk, chunk);
  const small = addChunk(world, inode, 1000);
  const other = replace(small);
  t.not(other.chunk, small.chunk);
  t.like(other, { start: 1000, sealedLength: CHUNK_SIZE - 1000 });
  checkInvariants(world.state);
});
