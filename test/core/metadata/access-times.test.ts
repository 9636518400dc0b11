import test from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { accessTimeOfRead } from '../../../src/core/metadata/access-times.ts';
import type { Time } from '../../../src/core/metadata/rows.ts';
import { ALICE, BOB, codeOf, newWorld, ROOT } from './world.ts';

const DAY = 24 * 3600;
const at = (seconds: number, nanos = 0): Time => ({ seconds, nanos });

test('a read counts after a change, and once a day', (t) => {
  const check = (times: { atime: Time; mtime: Time; ctime: Time }, now: Time, expected: Time | undefined) =>
    t.deepEqual(accessTimeOfRead(times, now), expected, JSON.stringify({ times, now }));
  check({ atime: at(5), mtime: at(5), ctime: at(5) }, at(9), at(9));
  check({ atime: at(6), mtime: at(5), ctime: at(5) }, at(9), undefined);
  check({ atime: at(5), mtime: at(5, 1), ctime: at(4) }, at(9), at(9));
  check({ atime: at(5, 2), mtime: at(5, 1), ctime: at(4) }, at(9), undefined);
  check({ atime: at(6), mtime: at(5), ctime: at(7) }, at(9), at(9));
  check({ atime: at(6), mtime: at(5), ctime: at(5) }, at(6 + DAY - 1), undefined);
  check({ atime: at(6), mtime: at(5), ctime: at(5) }, at(6 + DAY), at(6 + DAY));
  check({ atime: at(-DAY), mtime: at(-2 * DAY), ctime: at(-2 * DAY) }, at(1), at(1));
});

test('the time of a read comes behind the change, whatever the clocks say', (t) => {
  const changed = { atime: at(5), mtime: at(5), ctime: at(10, 999_999_999) };
  t.deepEqual(accessTimeOfRead(changed, at(7)), at(11), 'the reader is behind');
  t.is(
    accessTimeOfRead({ ...changed, atime: at(11) }, at(8)),
    undefined,
    'so the next read is not the first again',
  );
  const future = { atime: at(11), mtime: at(1000), ctime: at(10) };
  t.is(accessTimeOfRead(future, at(20)), undefined, 'nobody wrote in the future');
  t.deepEqual(accessTimeOfRead({ ...future, atime: at(9) }, at(20)), at(20));
  t.is(accessTimeOfRead({ atime: at(50), mtime: at(60), ctime: at(60) }, at(40))?.seconds, 60);
});

test('what is not known is not moved', (t) => {
  t.is(accessTimeOfRead({ atime: undefined, mtime: at(1), ctime: at(1) }, at(5)), undefined);
  t.is(accessTimeOfRead({ atime: at(1), mtime: undefined, ctime: at(1) }, at(5)), undefined);
});

test('reads are noted, of what is there and was not set meanwhile, and change nothing else', async (t) => {
  const world = await newWorld();
  const file = world.as(ALICE).file(ROOT, 'a', { mode: 0o600 });
  const set = world.as(ALICE).file(ROOT, 'b');
  const directory = world.directory(ROOT, 'd');
  const before = world.attributes(file);
  const reads = [file, set, directory, 99 as InodeId].map((inode) => ({
    inode,
    atime: at(2_000_000, 7),
    knownAtime: inode === 99 ? at(0) : world.attributes(inode).atime,
  }));
  unwrap(world.setAttributes(set, { atime: at(77) }));
  const read = world.as(BOB).run('setAccessTimes', { reads });
  t.deepEqual(unwrap(read), { inodes: [file, directory] }, 'the reader need not own it');
  t.deepEqual(world.attributes(file), { ...before, atime: at(2_000_000, 7) });
  t.deepEqual(world.attributes(set).atime, at(77));
  t.deepEqual(unwrap(world.run('setAccessTimes', { reads })), { inodes: [] }, 'nor a second time');
});

test('a time of access goes forward, and a second has so many nanoseconds', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const { atime: knownAtime } = world.attributes(inode);
  const read = (atime: Time | undefined) =>
    world.run('setAccessTimes', { reads: [{ inode, atime, knownAtime }] });
  t.deepEqual(unwrap(read(at(5))), { inodes: [] });
  t.deepEqual(unwrap(read(undefined)), { inodes: [] });
  t.is(codeOf(read(at(2_000_000, 1_000_000_000))), 'INVALID_ARGUMENT');
  t.deepEqual(world.attributes(inode).atime, knownAtime);
});

test('a repeated command answers what it answered first', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const context = { caller: ALICE, session: world.openSession(), number: 1, acknowledged: 0 };
  const reads = [{ inode, atime: at(2_000_000), knownAtime: world.attributes(inode).atime }];
  t.deepEqual(unwrap(world.run('setAccessTimes', { reads }, context)), { inodes: [inode] });
  t.deepEqual(unwrap(world.run('setAccessTimes', { reads }, context)), { inodes: [inode] });
});
