import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { flock } from '../../native/index.ts';

const INDEX = join(import.meta.dirname, '../../native/index.js');

test('a locked file cannot be locked by another open file or process until it is closed', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-flock-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'lock');
  const first = openSync(path, 'w');
  const second = openSync(path, 'w');
  t.true(flock(first));
  t.true(flock(first), 'taking it again with the same open file is fine');
  t.false(flock(second));
  t.is(lockInChild(path), 'false');
  closeSync(first);
  t.is(lockInChild(path), 'true');
  t.true(flock(second), 'the lock of a process that ended is free');
  closeSync(second);
});

test('what is not a descriptor is refused', (t) => {
  t.throws(() => flock(-1), { code: 'INVALID_ARGUMENT' });
  t.throws(() => flock(1.5), { code: 'INVALID_ARGUMENT' });
  t.throws(() => flock(2 ** 31), { code: 'INVALID_ARGUMENT' });
  t.throws(() => flock(1_000_000), { code: 'EBADF' });
});

function lockInChild(path: string): string {
  const script = `
    import { openSync } from 'node:fs';
    import { flock } from ${JSON.stringify(INDEX)};
    process.stdout.write(String(flock(openSync(${JSON.stringify(path)}, 'w'))));`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout;
}
