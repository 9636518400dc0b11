// What a program sees of gfs.v1.Files when all goes well.
import test from 'ava';
import { inodeId } from '../../src/base/ids.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { readHandler } from '../../src/gateway/read.ts';
import { FilesWriteKind, FileType } from '../../src/rpc/messages.ts';
import { pattern } from '../client/world.ts';
import { ALICE, codeFrom, errorFrom, inFilesWorld, ROOT } from './world.ts';

const ATOMIC = FilesWriteKind.FILES_WRITE_KIND_ATOMIC;
const IN_PLACE = FilesWriteKind.FILES_WRITE_KIND_IN_PLACE;
const TRUNCATE = FilesWriteKind.FILES_WRITE_KIND_TRUNCATE;
const CALL = { caller: ROOT };

test('what is written is read again, whole and in ranges', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    const data = pattern(3 * MiB + 123);
    const pieces = [data.subarray(0, 100), data.subarray(100, 1 * MiB), data.subarray(1 * MiB)];
    const { attributes } = await program.write('/data', pieces, { length: data.length, sync: true });
    t.is(attributes?.length, data.length);
    t.is(attributes?.mode, 0o644);
    t.true((await program.read('/data')).equals(data));
    const middle = await program.read('/data', { offset: 200 * KiB + 1, length: 1 * MiB });
    t.true(middle.equals(data.subarray(200 * KiB + 1, 1 * MiB + 200 * KiB + 1)));
    const tail = await program.read('/data', { offset: data.length - 5, length: 1000 });
    t.true(tail.equals(data.subarray(-5)));
    t.is((await program.read('/data', { offset: data.length })).length, 0);
    t.is((await program.read('/data', { offset: 7, length: 0 })).length, 0);
    const { code, fields } = await errorFrom(program.read('/data', { offset: data.length + 1 }));
    t.is(code, 'INVALID_ARGUMENT');
    t.is(fields.length, String(data.length));
  }));

test('an atomic write shows the old file or the new one, and keeps its mode', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    const first = await program.write('/f', [pattern(1000)], { mode: 0o640 });
    const { client } = cluster;
    const old = await client.open(inodeId(first.attributes?.inode ?? 0), { read: true }, CALL);
    const second = await program.write('/f', [pattern(300 * KiB, 5)]);
    t.not(second.attributes?.inode, first.attributes?.inode);
    t.is(second.attributes?.mode, 0o640);
    t.is(second.attributes?.linkCount, 1);
    t.deepEqual(await program.read('/f'), pattern(300 * KiB, 5));
    t.deepEqual(Buffer.concat(await old.file.read(0, 2000)), pattern(1000));
    await old.file.close();
    t.is(await codeFrom(program.write('/f', [pattern(1)], { exclusive: true })), 'EXISTS');
    t.deepEqual((await program.list('/')).names, ['f']);
  }));

test('a Write says how many copies a new file has; one that replaces a file keeps to its number', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    const goalOf = async (path: string) => (await program.stat(path)).attributes?.goal;
    for (const kind of [ATOMIC, TRUNCATE]) {
      const path = `/f${kind}`;
      await program.write(path, [pattern(10)], { kind, goal: 2 });
      t.is(await goalOf(path), 2);
      await program.write(path, [pattern(20)], { kind });
      t.is(await goalOf(path), 2);
      for (const goal of [0, 10]) {
        t.is(await codeFrom(program.write(path, [pattern(10)], { kind, goal })), 'INVALID_ARGUMENT');
      }
      await program.write(`${path}.plain`, [pattern(10)], { kind });
      t.is(await goalOf(`${path}.plain`), 3);
    }
    await program.write(`/f${ATOMIC}`, [pattern(30)], { goal: 1 });
    t.is(await goalOf(`/f${ATOMIC}`), 1);
  }));

test('an atomic write that somebody else is done with first replaces what he wrote, or fails if it may not', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    for (const exclusive of [false, true]) {
      const path = `/f${exclusive}`;
      const stream = program.openWrite(path, { exclusive });
      await stream.send(pattern(1000));
      await program.write(path, [pattern(10, 3)]);
      t.is(await codeFrom(stream.finish()), exclusive ? 'EXISTS' : 'none');
      t.deepEqual(await program.read(path), exclusive ? pattern(10, 3) : pattern(1000));
    }
    t.deepEqual((await program.list('/')).names, ['ffalse', 'ftrue']);
  }));

test('in place, bytes change where they are; truncated, the file is begun anew', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    t.is(await codeFrom(program.write('/f', [pattern(1)], { kind: IN_PLACE })), 'NOT_FOUND');
    const { attributes } = await program.write('/f', [pattern(1000)], { kind: TRUNCATE, mode: 0o600 });
    t.is(attributes?.mode, 0o600);
    await program.write('/f', [Buffer.from('abc')], { kind: IN_PLACE, offset: 10 });
    const far = await program.write('/f', [Buffer.from('end')], { kind: IN_PLACE, offset: 2000, sync: true });
    t.is(far.attributes?.length, 2003);
    t.is(far.attributes?.inode, attributes?.inode);
    const expected = Buffer.concat([pattern(1000), Buffer.alloc(1000), Buffer.from('end')]);
    expected.write('abc', 10);
    t.deepEqual(await program.read('/f'), expected);
    const again = await program.write('/f', [Buffer.from('new')], { kind: TRUNCATE });
    t.is(again.attributes?.inode, attributes?.inode);
    t.is((await program.read('/f')).toString(), 'new');
    t.is(await codeFrom(program.write('/f', [], { kind: TRUNCATE, exclusive: true })), 'EXISTS');
    t.is((await program.read('/f')).toString(), 'new');
  }));

test('symbolic links are followed, unless that is not wanted', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const { client } = cluster;
    const program = await as(ROOT);
    await program.mkdir('/d');
    const link = (name: string, target: string) =>
      client.makeNode(
        client.rootInode,
        Buffer.from(name),
        { type: FileType.FILE_TYPE_SYMLINK, mode: 0o777, symlinkTarget: Buffer.from(target) },
        CALL,
      );
    await link('to-f', 'd/f');
    await link('to-d', '/d');
    await link('loop', 'loop');
    await program.write('/to-f', [Buffer.from('one')]);
    t.is((await program.read('/d/f')).toString(), 'one');
    t.is((await program.stat('/to-f')).attributes?.type, FileType.FILE_TYPE_REGULAR);
    const itself = await program.stat('/to-f', { noFollow: true });
    t.is(itself.attributes?.type, FileType.FILE_TYPE_SYMLINK);
    t.is(itself.symlinkTarget.toString(), 'd/f');
    t.deepEqual((await program.list('/to-d')).names, ['f']);
    t.is(await codeFrom(program.list('/to-d', { noFollow: true })), 'NOT_DIRECTORY');
    t.is(await codeFrom(program.read('/to-f', { noFollow: true })), 'INVALID_ARGUMENT');
    t.is(await codeFrom(program.read('/loop')), 'LOOP');
    t.is(await codeFrom(program.write('/to-f', [], { noFollow: true, kind: IN_PLACE })), 'INVALID_ARGUMENT');
    t.is(await codeFrom(program.remove('/to-d/', { recursive: true })), 'NOT_DIRECTORY');
    await program.write('/to-f', [Buffer.from('two')], { noFollow: true });
    t.is((await program.read('/d/f')).toString(), 'one');
    t.is((await program.read('/to-f')).toString(), 'two');
    t.is(await program.remove('/to-d', { recursive: true }), 1);
    t.is((await program.read('/d/f')).toString(), 'one');
  }));

test('directories are made, listed page by page, moved and removed', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    const made = await program.mkdir('/a/b/c/', { parents: true, mode: 0o700 });
    t.is(made.attributes?.mode, 0o700);
    t.is((await program.stat('/a/b')).attributes?.mode, 0o755);
    t.is((await program.mkdir('/a/b/c', { parents: true })).attributes?.inode, made.attributes?.inode);
    t.is(await codeFrom(program.mkdir('/a/b')), 'EXISTS');
    const c = inodeId(made.attributes?.inode ?? 0);
    const names = Array.from({ length: 2500 }, (_, n) => `f${String(n).padStart(4, '0')}`);
    const { client } = cluster;
    const fifo = { type: FileType.FILE_TYPE_FIFO, mode: 0o644 };
    for (const name of names.slice(2)) await client.makeNode(c, Buffer.from(name), fifo, CALL);
    await program.write('/a/b/c/f0000', []);
    await program.write('/a/b/c/f0001', [pattern(10)]);
    t.deepEqual((await program.list('/a/b/c')).names, names);
    const { entries, failures } = await program.list('/a', { recursive: true, withAttributes: true });
    t.deepEqual(failures, []);
    t.deepEqual(
      entries.map((entry) => entry.path.toString()),
      ['b', 'b/c', ...names.map((name) => `b/c/${name}`)],
    );
    t.is(entries.find((entry) => entry.path.equals(Buffer.from('b/c/f0001')))?.attributes?.length, 10);
    t.true(entries.every((entry) => entry.attributes?.type === entry.type));

    await program.rename('/a/b/c/f0000', '/moved');
    t.is(await codeFrom(program.rename('/a/b/c/f0001', '/moved', { noReplace: true })), 'EXISTS');
    await program.rename('/a/b/c/f0001', '/moved', { exchange: true });
    t.is((await program.read('/moved')).length, 10);
    t.is((await program.read('/a/b/c/f0001')).length, 0);
    t.is(await codeFrom(program.rename('/a', '/a/b/a')), 'INVALID_ARGUMENT');
    t.is(await codeFrom(program.remove('/a')), 'NOT_EMPTY');
    t.is(await program.remove('/a', { recursive: true }), names.length - 1 + 3);
    t.deepEqual((await program.list('/')).names, ['moved']);
    t.is(await program.remove('/moved'), 1);
  }));

test('a file that is being written is listed with the length that it has by now', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    const { file } = await cluster.client.create(
      cluster.client.rootInode,
      Buffer.from('f'),
      { mode: 0o644, write: true, append: true },
      CALL,
    );
    await file.append([pattern(1000)]);
    const { entries } = await program.list('/', { withAttributes: true });
    t.is(entries[0]?.attributes?.length, 1000);
    t.is((await program.stat('/f')).attributes?.length, 1000);
    t.is((await program.read('/f')).length, 1000);
    await file.close();
  }));

test('names are bytes, whatever they mean as text', (t) =>
  inFilesWorld(async ({ as }) => {
    await (await as(ROOT)).mkdir('/d', { mode: 0o777 });
    const program = await as(ALICE);
    const path = Buffer.concat([Buffer.from('/d/'), Buffer.from([0xff, 0x0a, 0x80])]);
    const { attributes } = await program.write(path, [pattern(5)]);
    t.is(attributes?.uid, ALICE.uid);
    const [entry] = (await program.list('/d')).entries;
    t.deepEqual(entry?.path, Buffer.from([0xff, 0x0a, 0x80]));
  }));

test('a caller who takes nothing has two pieces read for him, and no more', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    const data = pattern(8 * MiB);
    await program.write('/big', [data.subarray(0, 4 * MiB), data.subarray(4 * MiB)]);
    const reads: number[] = [];
    const { client } = cluster;
    const open = client.open.bind(client);
    client.open = async (...args) => {
      const opened = await open(...args);
      const { file } = opened;
      const read = file.read.bind(file);
      file.read = (offset, length, waiting) => {
        reads.push(offset);
        return read(offset, length, waiting);
      };
      return opened;
    };
    const taken: (() => void)[] = [];
    const request = { path: Buffer.from('/big'), noFollow: false, offset: 0, length: undefined };
    const handler = readHandler({ env: cluster.envOf(client), client, callers: ROOT });
    const { signal } = new AbortController();
    const context = { requestId: '', signal, deadlineMs: undefined, peer: '', metadata: () => undefined };
    const done = handler(
      {
        requests: only({ message: request, payload: [] }),
        send: () => new Promise<void>((resolve) => taken.push(resolve)),
      },
      context,
    );
    await cluster.sleep(1000);
    t.deepEqual(reads, [], 'it waits until its first message is taken');
    taken[0]?.();
    await cluster.sleep(10_000);
    t.deepEqual(reads, [0, 1 * MiB]);
    taken[1]?.();
    await cluster.sleep(1000);
    t.deepEqual(reads, [0, 1 * MiB, 2 * MiB]);
    for (let count = 2; count < 9; count += 1) {
      taken[count]?.();
      await cluster.sleep(1000);
    }
    await done;
    t.is(taken.length, 9);
  }));

async function* only<T>(item: T): AsyncGenerator<T> {
  yield item;
}
