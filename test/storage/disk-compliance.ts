// What every `Disk` does, whichever it is. What differs between them (power cuts, faults) has tests of its own.
import type { ExecutionContext, TestFn } from 'ava';
import type { Disk, DiskFile } from '../../src/base/disk.ts';
import { codeOf } from '../../src/base/errors.ts';

/** Runs `body` with a fresh disk and an empty directory on it; a simulated disk also turns the clock meanwhile. */
export type WithDisk = (
  t: ExecutionContext,
  body: (disk: Disk, directory: string) => Promise<void>,
) => Promise<void>;

export function diskCompliance(test: TestFn, name: string, withDisk: WithDisk): void {
  const check = (behaviour: string, body: (t: ExecutionContext, disk: Disk, at: string) => Promise<void>) => {
    test(`${name}: ${behaviour}`, (t) => withDisk(t, (disk, directory) => body(t, disk, directory)));
  };

  check('what was written is read back, from any position', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    await file.write([Buffer.from('hello '), Buffer.from(''), Buffer.from('world')], 3);
    t.is(await file.size(), 14);
    t.is((await contents(file)).toString('latin1'), '\0\0\0hello world');
    const part = Buffer.alloc(5);
    t.is(await file.read(part, 9), 5);
    t.is(part.toString(), 'world');
    await file.close();
  });

  check('a read ends where the file ends', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    await file.write([Buffer.from('abc')], 0);
    t.is(await file.read(Buffer.alloc(10), 1), 2);
    t.is(await file.read(Buffer.alloc(10), 3), 0);
    t.is(await file.read(Buffer.alloc(10), 100), 0);
    t.is(await file.read(Buffer.alloc(0), 0), 0);
    await file.close();
  });

  check('a write of nothing changes nothing', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    await file.write([], 10);
    await file.write([Buffer.alloc(0)], 10);
    t.is(await file.size(), 0);
    await file.close();
  });

  check('many large buffers arrive in order', async (t, disk, at) => {
    const buffers = Array.from({ length: 1100 }, (_, index) => Buffer.alloc(1000 + (index % 7), index % 251));
    const file = await disk.open(`${at}/a`, 'create');
    await file.write(buffers, 5);
    const found = (await contents(file)).subarray(5);
    t.true(found.equals(Buffer.concat(buffers)));
    await file.close();
  });

  check('a copy holds the same, and is a file of its own', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    const bytes = Buffer.alloc(300_000, 'abcdefg');
    await file.write([bytes], 0);
    await disk.copy(`${at}/a`, `${at}/b`);
    await file.write([Buffer.from('later')], 0);
    const copy = await disk.open(`${at}/b`, 'existing');
    t.true((await contents(copy)).equals(bytes));
    await copy.write([Buffer.from('other')], 0);
    t.is((await contents(file)).toString('latin1', 0, 5), 'later');
    t.is(await codeFrom(disk.copy(`${at}/a`, `${at}/b`)), 'EXISTS');
    t.is(await codeFrom(disk.copy(`${at}/none`, `${at}/c`)), 'NOT_FOUND');
    await Promise.all([file.close(), copy.close()]);
  });

  check('truncating cuts, and lengthens with zeros', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    await file.write([Buffer.from('abcdef')], 0);
    await file.truncate(3);
    await file.truncate(5);
    t.is((await contents(file)).toString('latin1'), 'abc\0\0');
    await file.dataSync();
    await file.close();
  });

  check('a punched range reads as zeros, and the file stays as long', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    const data = Buffer.alloc(300_000, 1);
    await file.write([data], 0);
    await file.punch(70_000, 100_000);
    await file.punch(299_000, 5000);
    data.fill(0, 70_000, 170_000);
    data.fill(0, 299_000);
    t.true((await contents(file)).equals(data));
    await file.dataSync();
    await file.close();
    const reader = await disk.open(`${at}/a`, 'read');
    t.is(await codeFrom(reader.punch(0, 1)), 'IO_ERROR');
    await reader.close();
  });

  check('each open mode wants what it says', async (t, disk, at) => {
    t.is(await codeFrom(disk.open(`${at}/a`, 'read')), 'NOT_FOUND');
    t.is(await codeFrom(disk.open(`${at}/a`, 'existing')), 'NOT_FOUND');
    t.is(await codeFrom(disk.open(`${at}/none/a`, 'create')), 'NOT_FOUND');
    await (await disk.open(`${at}/a`, 'exclusive')).close();
    t.is(await codeFrom(disk.open(`${at}/a`, 'exclusive')), 'EXISTS');
    const again = await disk.open(`${at}/a`, 'create');
    await again.write([Buffer.from('kept')], 0);
    await again.close();
    const existing = await disk.open(`${at}/a`, 'existing');
    t.is((await contents(existing)).toString(), 'kept');
    await existing.close();
    const reader = await disk.open(`${at}/a`, 'read');
    t.is((await contents(reader)).toString(), 'kept');
    t.is(await codeFrom(reader.write([Buffer.from('x')], 0)), 'IO_ERROR');
    await reader.close();
  });

  check('a rename takes the place of what was there, and open files follow', async (t, disk, at) => {
    await writeFile(disk, `${at}/old`, 'old');
    await writeFile(disk, `${at}/new`, 'new');
    const open = await disk.open(`${at}/new`, 'existing');
    await disk.rename(`${at}/new`, `${at}/old`);
    await open.write([Buffer.from('N')], 0);
    t.deepEqual(await disk.list(at), ['old']);
    t.is((await contents(open)).toString(), 'New');
    await open.close();
    t.is(await readFile(disk, `${at}/old`), 'New');
    t.is(await codeFrom(disk.rename(`${at}/none`, `${at}/x`)), 'NOT_FOUND');
    t.is(await codeFrom(disk.rename(`${at}/old`, `${at}/none/x`)), 'NOT_FOUND');
    await disk.syncDirectory(at);
  });

  check('a directory moves with all that is in it', async (t, disk, at) => {
    await disk.makeDirectory(`${at}/a/b`);
    await writeFile(disk, `${at}/a/b/c`, 'inside');
    await disk.rename(`${at}/a`, `${at}/z`);
    t.is(await readFile(disk, `${at}/z/b/c`), 'inside');
    t.deepEqual(await disk.list(at), ['z']);
  });

  check('a removed file stays readable where it is open', async (t, disk, at) => {
    await writeFile(disk, `${at}/a`, 'still here');
    const open = await disk.open(`${at}/a`, 'read');
    await disk.remove(`${at}/a`);
    await disk.remove(`${at}/a`);
    t.false(await disk.exists(`${at}/a`));
    t.is((await contents(open)).toString(), 'still here');
    await open.close();
  });

  check('directories are made with parents, listed sorted, removed when empty', async (t, disk, at) => {
    await disk.makeDirectory(`${at}/d/e`);
    await disk.makeDirectory(`${at}/d/e`);
    t.true(await disk.exists(`${at}/d/e`));
    for (const name of ['b', 'B', 'a', '10', '9']) await writeFile(disk, `${at}/d/${name}`, name);
    t.deepEqual(await disk.list(`${at}/d`), ['10', '9', 'B', 'a', 'b', 'e']);
    t.is(await codeFrom(disk.list(`${at}/none`)), 'NOT_FOUND');
    t.is(await codeFrom(disk.removeDirectory(`${at}/d`)), 'IO_ERROR');
    t.is(await codeFrom(disk.removeDirectory(`${at}/none`)), 'NOT_FOUND');
    await disk.removeDirectory(`${at}/d/e`);
    t.false(await disk.exists(`${at}/d/e`));
    await disk.syncDirectory(`${at}/d`);
    t.is(await codeFrom(disk.syncDirectory(`${at}/none`)), 'NOT_FOUND');
  });

  check('a lock has one holder, and goes when it is closed', async (t, disk, at) => {
    const lock = await disk.lock(`${at}/lock`);
    t.is(await codeFrom(disk.lock(`${at}/lock`)), 'ALREADY_RUNNING');
    await lock.close();
    await lock.close();
    const next = await disk.lock(`${at}/lock`);
    await next.close();
  });

  check('close lets work in flight finish, and may be called twice', async (t, disk, at) => {
    const file = await disk.open(`${at}/a`, 'create');
    const data = Buffer.alloc(1 << 20, 7);
    const writing = file.write([data], 0);
    const closing = file.close();
    await t.throwsAsync(async () => await file.read(Buffer.alloc(1), 0), { message: /after close/ });
    await Promise.all([writing, closing, file.close()]);
    const reader = await disk.open(`${at}/a`, 'read');
    t.is(await reader.size(), data.length);
    await reader.close();
  });

  check('space and boot id are those of the machine', async (t, disk, at) => {
    const space = await disk.space(at);
    t.true(space.totalBytes > 0 && space.freeBytes >= 0 && space.freeBytes <= space.totalBytes);
    t.true(space.inodeCountFree <= space.inodeCount);
    const bootId = await disk.bootId();
    t.regex(bootId, /^[0-9a-f-]{32,36}$/);
    t.is(await disk.bootId(), bootId);
  });
}

export async function contents(file: DiskFile): Promise<Buffer> {
  const buffer = Buffer.alloc(await file.size());
  const count = await file.read(buffer, 0);
  return buffer.subarray(0, count);
}

export async function readFile(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, 'read');
  try {
    return (await contents(file)).toString('latin1');
  } finally {
    await file.close();
  }
}

export async function writeFile(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, 'create');
  try {
    await file.write([Buffer.from(text, 'latin1')], 0);
  } finally {
    await file.close();
  }
}

/** The code that the promise is rejected with. */
export async function codeFrom(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return codeOf(error);
  }
}
