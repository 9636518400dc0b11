// Bob at the doors of Alice's private directory.
import test from 'ava';
import { inodeId } from '../../src/base/ids.ts';
import { FilesWriteKind } from '../../src/rpc/messages.ts';
import { pattern } from '../client/world.ts';
import { ALICE, BOB, codeFrom, inFilesWorld, type Program, ROOT } from './world.ts';

test('Bob gets nowhere in a private directory of Alice, by any call, whatever names he knows', (t) =>
  inFilesWorld(async ({ as }) => {
    const admin = await as(ROOT);
    const alice = await as(ALICE);
    const bob = await as(BOB);
    await admin.mkdir('/home', { mode: 0o1777 });
    await alice.mkdir('/home/alice', { mode: 0o700 });
    await alice.mkdir('/home/alice/open', { mode: 0o777 });
    await alice.write('/home/alice/secret', [pattern(1000)], { mode: 0o666 });
    await alice.write('/home/alice/open/file', [pattern(10)], { mode: 0o666 });
    await bob.write('/home/mine', [pattern(5)]);
    await alice.append('/home/alice/log', 1, pattern(7), { mode: 0o666 });
    const appending = alice.openAppend('/home/alice/log');
    await appending.send(2, [pattern(7)]);
    // What Alice does at this very moment opens no door either.
    const writing = alice.openWrite('/home/alice/secret', { kind: FilesWriteKind.FILES_WRITE_KIND_IN_PLACE });
    await writing.send(pattern(10));

    const calls = (program: Program): readonly (() => Promise<unknown>)[] => [
      () => program.list('/home/alice'),
      () => program.list('/home/alice', { recursive: true, withAttributes: true }),
      ...['secret', 'open/file', 'log', 'not-there', '..']
        .map((name) => `/home/alice/${name}`)
        .flatMap((path) => [
          () => program.stat(path),
          () => program.stat(path, { noFollow: true }),
          () => program.list(path),
          () => program.read(path),
          () => program.write(path, [pattern(1)]),
          () => program.write(path, [pattern(1)], { exclusive: true }),
          () => program.write(path, [pattern(1)], { kind: FilesWriteKind.FILES_WRITE_KIND_TRUNCATE }),
          () => program.write(path, [pattern(1)], { kind: FilesWriteKind.FILES_WRITE_KIND_IN_PLACE }),
          () => program.append(path, 1, pattern(1)),
          () => program.append(path, 1, pattern(1), { create: false }),
          () => program.openAppend(path).finish(),
          () => program.mkdir(`${path}/x`),
          () => program.mkdir(`${path}/x/y`, { parents: true }),
          () => program.remove(path),
          () => program.remove(path, { recursive: true }),
          () => program.rename(path, '/home/stolen'),
          () => program.rename('/home/mine', path),
          () => program.rename('/home/mine', path, { exchange: true }),
        ]),
      () => program.list('/home/alice/open'),
    ];
    for (const [index, call] of calls(bob).entries()) {
      t.is(await codeFrom(call()), 'PERMISSION_DENIED', `call ${index}`);
    }
    // In a sticky directory nobody takes away what is not his.
    t.is(await codeFrom(bob.rename('/home/alice', '/home/stolen')), 'NOT_PERMITTED');
    t.is(await codeFrom(bob.remove('/home/alice')), 'NOT_PERMITTED');
    t.is(await codeFrom(bob.remove('/home/alice', { recursive: true })), 'NOT_PERMITTED');

    await writing.finish();
    await appending.send(3, [pattern(7)]);
    await appending.finish();
    t.is((await alice.stat('/home/alice/log')).attributes?.length, 21);
    const { names, failures } = await bob.list('/home', { recursive: true });
    t.deepEqual(names, ['alice', 'mine']);
    t.deepEqual(
      failures.map(({ path, error }) => [path.toString(), error?.code]),
      [['alice', 'PERMISSION_DENIED']],
    );
    const everything = ['alice', 'alice/log', 'alice/open', 'alice/open/file', 'alice/secret', 'mine'];
    for (const program of [alice, admin]) {
      t.deepEqual((await program.list('/home', { recursive: true })).names, everything);
    }
    t.deepEqual(await alice.read('/home/alice/open/file'), pattern(10));
    const expected = pattern(1000);
    pattern(10).copy(expected);
    t.deepEqual(await alice.read('/home/alice/secret'), expected);
  }));

test('a directory that may be read and not searched shows names, and nothing of what they mean', (t) =>
  inFilesWorld(async ({ as }) => {
    const admin = await as(ROOT);
    const bob = await as(BOB);
    await admin.mkdir('/d', { mode: 0o744 });
    await admin.mkdir('/d/sub', { mode: 0o777 });
    await admin.write('/d/f', [pattern(10)]);
    const { entries, failures } = await bob.list('/d', { recursive: true, withAttributes: true });
    t.deepEqual(
      entries.map(({ path, attributes }) => [path.toString(), attributes]),
      [
        ['f', undefined],
        ['sub', undefined],
      ],
    );
    t.deepEqual(
      failures.map(({ path }) => path.toString()),
      ['sub'],
    );
  }));

test('a tree goes as a whole, or says by its path what keeps it', (t) =>
  inFilesWorld(async ({ as }) => {
    const alice = await as(ALICE);
    const bob = await as(BOB);
    await (await as(ROOT)).mkdir('/pub', { mode: 0o777 });
    await alice.mkdir('/pub/tree', { mode: 0o777 });
    await alice.write('/pub/tree/file', [pattern(10)]);
    await bob.mkdir('/pub/tree/bobs', { mode: 0o755 });
    await bob.mkdir('/pub/tree/bobs/inner');
    const error = await t.throwsAsync(alice.remove('/pub/tree', { recursive: true }));
    t.is(await codeFrom(Promise.reject(error)), 'PERMISSION_DENIED');
    t.regex(error?.message ?? '', /^\/pub\/tree\/bobs: /);
    t.deepEqual((await alice.list('/pub/tree')).names, ['bobs', 'file']);
    t.is(await bob.remove('/pub/tree/bobs/inner', { recursive: true }), 1);
    t.is(await alice.remove('/pub/tree', { recursive: true }), 3, 'what is empty is anybody’s');
    t.deepEqual((await alice.list('/pub')).names, []);
  }));

test('what Bob makes is his, and a read-only file of somebody else stays as it is', (t) =>
  inFilesWorld(async ({ as }) => {
    const admin = await as(ROOT);
    const bob = await as(BOB);
    await admin.mkdir('/pub', { mode: 0o777 });
    await admin.write('/pub/f', [pattern(10)], { mode: 0o644 });
    const { FILES_WRITE_KIND_IN_PLACE, FILES_WRITE_KIND_TRUNCATE } = FilesWriteKind;
    for (const kind of [FILES_WRITE_KIND_IN_PLACE, FILES_WRITE_KIND_TRUNCATE]) {
      t.is(await codeFrom(bob.write('/pub/f', [pattern(1)], { kind })), 'PERMISSION_DENIED');
    }
    t.is(await codeFrom(bob.append('/pub/f', 1, pattern(1))), 'PERMISSION_DENIED');
    t.deepEqual(await bob.read('/pub/f'), pattern(10));
    await bob.append('/pub/log', 1, pattern(1));
    t.is((await bob.stat('/pub/log')).attributes?.uid, BOB.uid);
    const { attributes } = await bob.write('/pub/f', [pattern(1)]);
    t.is(attributes?.uid, BOB.uid, 'who may change the directory may put another file there');
    t.is((await bob.mkdir('/pub/d')).attributes?.gid, BOB.gid);
  }));

test('all groups of a caller count', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const admin = await as(ROOT);
    const { attributes } = await admin.write('/team', [pattern(10)], { mode: 0o640 });
    await cluster.client.setAttributes(inodeId(attributes?.inode ?? 0), { gid: 50 }, { caller: ROOT });
    const member = await as({ ...BOB, groups: [40, 50] });
    t.deepEqual(await member.read('/team'), pattern(10));
    t.is(await codeFrom((await as(BOB)).read('/team')), 'PERMISSION_DENIED');
  }));
