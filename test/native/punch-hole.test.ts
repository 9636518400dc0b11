import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { punchHole } from '../../native/index.ts';

test('a hole gives its room back, and the file stays as long', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-punch-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const fd = openSync(join(directory, 'file'), 'w+');
  writeSync(fd, Buffer.alloc(1_000_000, 1));
  const { blocks } = fstatSync(fd);
  await punchHole(fd, 100, 900_000);
  const after = fstatSync(fd);
  t.is(after.size, 1_000_000);
  t.true(after.blocks < blocks / 4, `${after.blocks} of ${blocks} blocks`);
  closeSync(fd);
});

test('what is no range of a file is refused', async (t) => {
  for (const [start, length] of [
    [-1, 5],
    [0, 0],
    [0, -5],
    [0.5, 5],
    [2 ** 53, 5],
    [Number.NaN, 5],
  ] as const) {
    t.throws(() => punchHole(0, start, length), { code: 'INVALID_ARGUMENT' }, `${start} ${length}`);
  }
  t.throws(() => punchHole(-1, 0, 5), { code: 'INVALID_ARGUMENT' });
  await t.throwsAsync(punchHole(1_000_000, 0, 5), { code: 'EBADF' });
});
