import test from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { type Result, unwrap } from '../../../src/base/result.ts';
import { APPENDERS_MAX } from '../../../src/core/metadata/apply-appenders.ts';
import type { NamedAppender } from '../../../src/core/metadata/commands.ts';
import { checkInvariants } from './invariants.ts';
import { bytes, CHUNK_SIZE, codeOf, newWorld, ROOT, type World } from './world.ts';

const DAY_SECONDS = 24 * 3600;

function name(
  world: World,
  inode: InodeId,
  appender: string,
  told: { writer?: number; from?: number; truncations?: number; highest?: number } = {},
): Result<NamedAppender> {
  const nothing = { writer: 0, from: undefined, truncations: 0, highest: 0 };
  return world.run('nameAppender', { inode, appender: bytes(appender), ...nothing, ...told });
}

test('whoever names an appender of a file gets the same writer', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'log');
  const other = world.file(ROOT, 'other');
  unwrap(world.run('commitLength', { inode, length: 1000, mtime: undefined }));
  const first = { writer: 100, from: 1000, highest: 0, truncations: 0, truncated: false };
  t.deepEqual(unwrap(name(world, inode, 'a', { writer: 100 })), first);
  t.deepEqual(unwrap(name(world, inode, 'a', { writer: 101 })), first, 'one that was dealt in vain');
  t.deepEqual(unwrap(name(world, inode, 'a')), first);
  t.is(unwrap(name(world, inode, 'a\0', { writer: 102 })).writer, 102);
  t.like(unwrap(name(world, other, 'a', { writer: 103 })), { writer: 103, from: 0 });
  t.is(codeOf(name(world, other, 'b')), 'NOT_READY');
  t.is(codeOf(name(world, inode, '', { writer: 104 })), 'INVALID_ARGUMENT');
  t.is(codeOf(name(world, inode, 'x'.repeat(65), { writer: 104 })), 'INVALID_ARGUMENT');
  t.is(codeOf(name(world, inode, 'x'.repeat(64), { writer: 104 })), 'OK');
  t.is(codeOf(name(world, ROOT, 'a', { writer: 105 })), 'IS_DIRECTORY');
  t.is(codeOf(name(world, 999 as InodeId, 'a', { writer: 105 })), 'NOT_FOUND');
});

test('where its records begin only rises, unless the file is truncated', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'log');
  unwrap(name(world, inode, 'a', { writer: 100 }));
  unwrap(name(world, inode, 'b', { writer: 101 }));
  t.like(unwrap(name(world, inode, 'a', { from: 600_000, highest: 7 })), { from: 600_000, truncated: false });
  t.like(unwrap(name(world, inode, 'a', { from: 4000, highest: 6 })), { from: 600_000, highest: 7 });
  for (const index of [0, 1, 2]) {
    unwrap(world.run('addChunk', { inode, fileOffset: index * CHUNK_SIZE, chunk: world.newChunk() }));
  }
  unwrap(world.setAttributes(inode, { length: 2 * CHUNK_SIZE }));
  const cut = { from: CHUNK_SIZE, highest: 7, truncations: 1, truncated: true };
  t.like(unwrap(name(world, inode, 'a')), cut, 'the extent that is the last now has some of them, perhaps');
  const old = name(world, inode, 'a', { from: 600_000, highest: 9 });
  t.like(unwrap(old), { from: CHUNK_SIZE, highest: 9, truncated: true }, 'of before');
  const told = { from: CHUNK_SIZE + 3, highest: 7, truncations: 1 };
  t.like(unwrap(name(world, inode, 'a', told)), { from: CHUNK_SIZE + 3, highest: 9, truncated: false });
  unwrap(world.setAttributes(inode, { length: 0 }));
  t.like(unwrap(name(world, inode, 'a')), { from: 0, highest: 9, truncations: 2, truncated: true });
  t.like(unwrap(name(world, inode, 'b')), { from: 0, highest: 0 });
});

test('a file has so many; one that was not used for a day gives its place to another', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'log');
  const make = (index: number, usedSeconds: number) =>
    world.store.transaction(() =>
      world.state.tables.putAppender(inode, bytes(`a${index}`), {
        ...{ writer: index, from: 0, highest: 0, truncations: 0 },
        usedAt: { seconds: usedSeconds, nanos: 0 },
      }),
    );
  for (let index = 1; index <= APPENDERS_MAX; index += 1) make(index, world.nowSeconds);
  t.is(codeOf(name(world, inode, 'new', { writer: 9999 })), 'NO_SPACE');
  t.is(codeOf(name(world, inode, 'a7')), 'OK');
  make(12, world.nowSeconds - DAY_SECONDS + 10);
  t.is(codeOf(name(world, inode, 'new', { writer: 9999 })), 'NO_SPACE', 'not quite a day');
  make(13, world.nowSeconds - DAY_SECONDS - 100);
  make(14, world.nowSeconds - DAY_SECONDS - 50);
  t.is(unwrap(name(world, inode, 'new', { writer: 9999 })).writer, 9999);
  t.is(codeOf(name(world, inode, 'a13')), 'NOT_READY');
  t.is(codeOf(name(world, inode, 'a14')), 'OK');
  t.is(world.state.tables.appenders(inode).length, APPENDERS_MAX);
});

test('appenders go with their file', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'log');
  const kept = world.file(ROOT, 'kept');
  unwrap(name(world, inode, 'a', { writer: 100 }));
  unwrap(name(world, inode, 'b', { writer: 101 }));
  unwrap(name(world, kept, 'a', { writer: 102 }));
  unwrap(world.run('unlink', { parent: ROOT, name: bytes('log') }));
  t.is(unwrap(name(world, inode, 'a')).writer, 100, 'it is open somewhere');
  unwrap(world.run('reap', { inodes: [inode] }));
  t.deepEqual(world.state.tables.appenders(inode), []);
  t.is(world.state.tables.appenders(kept).length, 1);
  checkInvariants(world.state);
});
