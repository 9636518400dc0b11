import test from 'ava';
import { isAllowed } from '../../../mount/fuse-native/access.ts';
import { millisecondsOf, shortInode, statfsOf, statOf } from '../../../mount/fuse-native/conversions.ts';
import { withBothTimes } from '../../../mount/fuse-native/mended-times.ts';
import { whyNotLoaded } from '../../../mount/fuse-native/package.ts';
import { TYPE } from '../../../mount/wire/numbers.ts';
import { timeOf } from '../../../src/core/metadata/times.ts';

const time = { seconds: 1, nanos: 2_999_999 };
const attributes = {
  ...{ node: 5, size: 513, mode: TYPE.REGULAR | 0o640, linkCount: 0, uid: 1, gid: 2, rdev: 0 },
  ...{ atime: time, mtime: time, ctime: { seconds: -5, nanos: 0 }, btime: time, holeBytes: 0 },
};

test('a stat fits what the package makes of it', (t) => {
  const { nlink, blocks, mtime, ctime } = statOf(attributes);
  // It writes each into 32 bits, after "|| 1".
  t.is(Uint32Array.of(nlink || 1)[0], 0);
  t.deepEqual([blocks, mtime, ctime], [2, 1002, 0]);
  for (const inode of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 33, 2 ** 53 - 1]) {
    const short = shortInode(inode);
    t.true(short > 0 && short < 2 ** 32, `${inode}`);
  }
});

test('times are rounded down to the millisecond, also before 1970', (t) => {
  t.deepEqual(timeOf(1002), { seconds: 1, nanos: 2_000_000 });
  t.deepEqual(timeOf(-1), { seconds: -1, nanos: 999_000_000 });
  t.is(millisecondsOf(timeOf(981_173_106_789)), 981_173_106_789);
});

test('blocks of statfs are as large as it takes', (t) => {
  const count = { nodeCount: 2 ** 40, nodeCountFree: 3, nameBytesMax: 255 };
  const small = statfsOf({ totalBytes: 2 ** 40, freeBytes: 2 ** 39, availableBytes: 2 ** 38, ...count });
  t.deepEqual([small.frsize, small.blocks, small.files, small.ffree], [4096, 2 ** 28, 2 ** 32 - 1, 3]);
  const large = statfsOf({ totalBytes: 2 ** 50, freeBytes: 2 ** 49, availableBytes: 0, ...count });
  t.is(large.frsize * large.blocks, 2 ** 50);
  t.is(large.frsize * large.bfree, 2 ** 49);
  t.true(large.blocks < 2 ** 32);
});

test('the time of the last change is read where the binding has it', (t) => {
  const given: unknown[] = [];
  const handler = withBothTimes((_record, _operation, ...numbers) => given.push(numbers));
  const record = Buffer.alloc(360);
  const at = process.platform === 'darwin' ? 96 : 104;
  record.writeBigInt64LE(-1500n, at);
  record.writeBigInt64LE(981_173_106_789n, at + 8);
  handler(record, 12, '/f', 2 ** 32 - 1500, 2 ** 32 - 1, 2 ** 32 - 1500, 2 ** 32 - 1);
  handler(record, 12, '/f', 1, 0, 1, 0);
  t.deepEqual(given, [
    ['/f', -1500, 0, 981_173_106_789, 0],
    ['/f', Number.NaN, 0, Number.NaN, 0],
  ]);
});

test('access(2) goes by owner, group and others, and root may execute what somebody may', (t) => {
  const may = (uid: number, gid: number, mask: number, mode = attributes.mode) =>
    isAllowed({ ...attributes, mode }, mask, { uid, groups: [gid] });
  t.deepEqual(
    [may(1, 9, 6), may(1, 9, 1), may(9, 2, 4), may(9, 2, 2), may(9, 9, 4)],
    [true, false, true, false, false],
  );
  t.deepEqual(
    [may(0, 0, 6), may(0, 0, 1), may(0, 0, 1, 0o001), may(0, 0, 1, TYPE.DIRECTORY)],
    [true, false, true, true],
  );
});

test('what is missing is told with what to do', (t) => {
  const error = (message: string, code?: string) => Object.assign(new Error(message), { code });
  t.regex(
    whyNotLoaded(error('libfuse.so.2: cannot open shared object file', 'ERR_DLOPEN_FAILED')),
    /^libfuse 2 is missing .*apt install libfuse2/,
  );
  t.regex(
    whyNotLoaded(error("Cannot find module 'fuse-native'\nRequire stack:", 'MODULE_NOT_FOUND')),
    /^the npm package "fuse-native" is not installed[^\n]*npm ci/,
  );
  t.regex(whyNotLoaded(error('No native build was found')), /has no binary .*-.*\(No native build/);
});
