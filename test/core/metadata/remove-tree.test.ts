import test from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { INTERNAL, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { MetadataState } from '../../../src/core/metadata/state.ts';
import { memoryMetaStores } from '../../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../../src/storage/node-disk.ts';
import { checkInvariants } from './invariants.ts';
import { BOB, bytes, codeOf, dump, newWorld, ROOT, type World } from './world.ts';

/** /top with two directories, one of them deep, and some of everything. */
function makeTree(world: World, directories = 3) {
  const top = world.directory(ROOT, 'top', 0o777);
  const files: InodeId[] = [];
  let at = top;
  for (let level = 0; level < directories; level += 1) {
    files.push(
      world.file(at, `file${level}`, { firstChunk: world.newChunk() }),
      world.file(at, `z${level}`, { firstChunk: world.newChunk() }),
    );
    unwrap(world.makeNode(at, `link${level}`, { type: FileType.SYMLINK, symlinkTarget: bytes('somewhere') }));
    at = world.directory(at, `inner${level}`);
  }
  return { top, files, deepest: at };
}

function removeTop(world: World): InodeId {
  const inode = unwrap(world.state.lookup(ROOT_CALLER, ROOT, bytes('top'))).inode;
  const { inode: removed } = unwrap(world.run('removeTree', { parent: ROOT, name: bytes('top'), inode }));
  return removed.inode;
}

/** How many steps it took. */
function finish(world: World, id: InodeId, count: number): number {
  for (let steps = 1; ; steps += 1) {
    const { ended } = unwrap(world.run('continueLong', { id, count }));
    checkInvariants(world.state);
    if (ended) return steps;
  }
}

test('a tree is out of sight at once, and goes in steps', async (t) => {
  const world = await newWorld();
  const inodesBefore = world.state.inodeCount;
  const { top, files, deepest } = makeTree(world);
  const linksBefore = world.attributes(ROOT).linkCount;
  const id = removeTop(world);
  t.is(id, top);
  t.deepEqual(world.names(ROOT), []);
  t.is(world.attributes(ROOT).linkCount, linksBefore - 1);
  checkInvariants(world.state);
  for (const directory of [top, deepest]) {
    t.is(codeOf(world.state.attributes(directory)), 'NOT_FOUND');
    t.is(codeOf(world.state.lookup(ROOT_CALLER, directory, bytes('file0'))), 'NOT_FOUND');
    t.is(codeOf(world.state.lookup(ROOT_CALLER, directory, bytes('..'))), 'NOT_FOUND');
    t.is(codeOf(world.create(directory, 'new')), 'NOT_FOUND');
    t.is(codeOf(world.makeNode(directory, 'new')), 'NOT_FOUND');
    t.is(codeOf(world.setAttributes(directory, { mode: 0o700 })), 'NOT_FOUND');
    t.is(codeOf(world.setXattr(directory, 'user.a', 'x')), 'NOT_FOUND');
    const body = { parent: directory, name: bytes('file0') };
    t.is(world.code('unlink', body), 'NOT_FOUND');
    t.is(world.code('removeTree', { ...body, inode: files[0] ?? 0 }), 'NOT_FOUND');
  }
  t.is(world.state.longCommands().length, 1);
  // 6 files, 3 links, 4 directories; and to come into 3 of those.
  t.is(finish(world, id, 4), 4);
  t.deepEqual(world.state.longCommands(), []);
  t.deepEqual(world.state.orphans(0, 100), files);
  world.run('reap', { inodes: files });
  t.is(world.state.inodeCount, inodesBefore);
  t.is(world.state.chunkCount, 0);
  t.is(world.state.garbage(0, 100).length, files.length);
  t.is(world.code('continueLong', { id, count: 1 }), 'OK', 'one that ended is passed over');
});

test('open files of the tree stay as unlinked ones do, and get no new name', async (t) => {
  const world = await newWorld();
  const { files } = makeTree(world);
  const [file] = files as [InodeId];
  const id = removeTop(world);
  t.is(world.attributes(file).linkCount, 0);
  t.is(codeOf(world.setAttributes(file, { mode: 0o600 })), 'OK');
  t.is(
    world.code('makeLink', { inode: file, parent: ROOT, name: bytes('again'), replace: false }),
    'NOT_FOUND',
  );
  finish(world, id, 3);
  t.is(world.attributes(file).linkCount, 0);
  t.is(world.attributes(file).mode, 0o600);
});

test('links from outside keep their file, and count those in the tree no more', async (t) => {
  const world = await newWorld();
  const { top, files } = makeTree(world);
  const [file] = files as [InodeId];
  const outside = world.directory(ROOT, 'outside');
  unwrap(world.run('makeLink', { inode: file, parent: outside, name: bytes('kept'), replace: false }));
  unwrap(world.run('makeLink', { inode: file, parent: top, name: bytes('second'), replace: false }));
  t.is(world.attributes(file).linkCount, 3);
  const id = removeTop(world);
  t.is(world.attributes(file).linkCount, 1);
  t.is(unwrap(world.state.lookup(ROOT_CALLER, outside, bytes('kept'))).linkCount, 1);
  t.is(world.state.unreachable(BOB, file), undefined);
  unwrap(world.run('makeLink', { inode: file, parent: outside, name: bytes('more'), replace: false }));
  t.is(world.attributes(file).linkCount, 2);
  finish(world, id, 2);
  t.is(world.attributes(file).linkCount, 2);
  t.false(world.state.orphans(0, 100).includes(file));
});

test('a step does as much as it may and no more, however deep and wide the tree is', async (t) => {
  const world = await newWorld();
  const { top } = makeTree(world, 50);
  for (let index = 0; index < 50; index += 1) world.directory(top, `empty${index}`);
  const id = removeTop(world);
  const total = world.state.inodeCount - 1;
  let last = 0;
  for (;;) {
    const { ended } = unwrap(world.run('continueLong', { id, count: 10 }));
    if (ended) break;
    const done = world.state.longCommand(id)?.doneCount ?? 0;
    t.true(done >= last && done <= last + 10);
    last = done;
  }
  t.true(last >= total - 10);
});

test('whoever starts with the rows goes on where they are, and comes to the same', async (t) => {
  const world = await newWorld();
  makeTree(world);
  const id = removeTop(world);
  for (let step = 0; step < 3; step += 1) unwrap(world.run('continueLong', { id, count: 2 }));
  t.deepEqual(await replayed(world), dump(world.store));
  finish(world, id, 2);
  t.deepEqual(await replayed(world), dump(world.store));
});

/** The world's log in another store, with a state made from its rows before each command. */
async function replayed({ log }: World): Promise<string[]> {
  const store = await memoryMetaStores(new NodeDisk())('', { kind: 'empty' });
  for (const [index, command] of log.entries()) new MetadataState(store).apply([command], index + 1);
  return dump(store);
}

test('anything but a full directory goes with the command itself', async (t) => {
  const world = await newWorld();
  const file = world.file(ROOT, 'file');
  const empty = world.directory(ROOT, 'empty');
  t.is(world.code('removeTree', { parent: ROOT, name: bytes('file'), inode: file }), 'OK');
  t.is(world.code('removeTree', { parent: ROOT, name: bytes('empty'), inode: empty }), 'OK');
  t.is(world.code('removeTree', { parent: ROOT, name: bytes('empty'), inode: empty }), 'NOT_FOUND');
  t.deepEqual(world.state.longCommands(), []);
  checkInvariants(world.state);
});

test('a name that means something else by now is left alone', async (t) => {
  const world = await newWorld();
  const { top } = makeTree(world);
  const body = { parent: ROOT, name: bytes('top') };
  t.is(world.code('removeTree', { ...body, inode: 0 }), 'VERSION_MISMATCH');
  t.is(world.code('removeTree', { ...body, inode: (top + 1) as InodeId }), 'VERSION_MISMATCH');
  t.deepEqual(world.names(ROOT), ['top']);
});

test('a command that is sent again gets its first answer, also when the tree has gone', async (t) => {
  const world = await newWorld();
  const { top } = makeTree(world);
  const session = world.openSession();
  const context = { ...INTERNAL, session, number: 1 };
  const body = { parent: ROOT, name: bytes('top'), inode: top };
  const first = unwrap(world.run('removeTree', body, context));
  finish(world, top, 5);
  t.deepEqual(unwrap(world.run('removeTree', { ...body, inode: 0 }, context)), first);
});

test('the parent decides whether the caller may take the name', async (t) => {
  const world = await newWorld();
  unwrap(world.setAttributes(ROOT, { mode: 0o1777 }));
  const { top } = makeTree(world);
  const body = { parent: ROOT, name: bytes('top'), inode: top };
  t.is(world.as(BOB).code('removeTree', body), 'NOT_PERMITTED');
  unwrap(world.as(ROOT_CALLER).setAttributes(ROOT, { mode: 0o755 }));
  t.is(world.as(BOB).code('removeTree', body), 'PERMISSION_DENIED');
});
