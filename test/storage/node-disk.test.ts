import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { codeFrom, diskCompliance, type WithDisk } from './disk-compliance.ts';

const withNodeDisk: WithDisk = async (_, body) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-disk-'));
  try {
    await body(new NodeDisk(), directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

diskCompliance(test, 'NodeDisk', withNodeDisk);

test('errors name the operation and the path, and keep their cause', (t) =>
  withNodeDisk(t, async (disk, at) => {
    const error = await t.throwsAsync(disk.open(`${at}/none`, 'read'), { instanceOf: GfsError });
    t.regex(error.message, /^open .*\/none: ENOENT/);
    t.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT');
    t.is(await codeFrom(disk.open(`${at}/none/below`, 'create')), 'NOT_FOUND');
  }));

test('a full disk is NO_SPACE', async (t) => {
  const file = await new NodeDisk().open('/dev/full', 'existing');
  t.is(await codeFrom(file.write([Buffer.from('x')], 0)), 'NO_SPACE');
  await file.close();
});

test('a lock of another process is seen, and ends with that process, however it ends', (t) =>
  withNodeDisk(t, async (disk, at) => {
    const module = join(import.meta.dirname, '../../src/storage/node-disk.js');
    const program = `
      const { NodeDisk } = await import(${JSON.stringify(module)});
      await new NodeDisk().lock(${JSON.stringify(`${at}/lock`)});
      console.error('locked');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const exited = once(child, 'exit');
    await once(child.stderr, 'data');
    t.is(await codeFrom(disk.lock(`${at}/lock`)), 'ALREADY_RUNNING');
    child.kill('SIGKILL');
    await exited;
    await (await disk.lock(`${at}/lock`)).close();
  }));
