// What libfuse asks for, on a file system in memory: no mount, no library.
import { constants } from 'node:os';
import test from 'ava';
import { ErrnoError, ESTALE } from '../../../mount/errno.ts';
import type { NativeOperations, NativeStat } from '../../../mount/fuse-native/package.ts';
import { linuxXattrFlags } from '../../../mount/fuse-native/path-xattrs.ts';
import { NativeServer } from '../../../mount/fuse-native/server.ts';
import { deletedEntry, expireEntry, expireNode } from '../../../mount/wire/notifications.ts';
import { OPEN, ROOT_NODE, TYPE, XATTR_CREATE, XATTR_REPLACE } from '../../../mount/wire/numbers.ts';
import type { TimedAttributes } from '../../../mount/wire/replies.ts';
import type * as requests from '../../../mount/wire/requests.ts';
import type { Env } from '../../../src/base/env.ts';
import { GfsError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { NodeEnv } from '../../../src/base/node-env.ts';
import { Monitor } from '../../../src/rpc/monitor.ts';
import { complaintsAbout, figureIn, scrape } from '../../rpc/prometheus-text.ts';
import { MemoryFileSystem } from '../memory-file-system.ts';

const { EEXIST, EINVAL, ENODATA, ENOENT, EILSEQ, EOPNOTSUPP, ERANGE } = constants.errno;
const REGULAR = TYPE.REGULAR | 0o644;
const HIDDEN = '/d/.fuse_hidden0000000200000001';

/** Says of some nodes that they are gone, and may lose what is closed. */
class FailingFileSystem extends MemoryFileSystem {
  readonly gone = new Set<number>();
  override getAttributes(operation: requests.GetAttributes): Promise<TimedAttributes> {
    if (this.gone.has(operation.node)) throw new ErrnoError(ESTALE, 'gone');
    return super.getAttributes(operation);
  }
  releaseFails = false;
  override async release(operation: requests.Release): Promise<void> {
    await super.release(operation);
    if (this.releaseFails) throw new GfsError('IO_ERROR', 'not at the cluster');
  }
}

function world() {
  const fileSystem = new FailingFileSystem({ timeoutMs: 1_000_000 });
  const timers: (() => void)[] = [];
  const real: Env = new NodeEnv(silentLogger);
  const env: Env = {
    ...{ nowMs: () => 0, nowMicros: () => 0, monotonicMs: () => 0, random: () => 0 },
    ...{ uniqueId: () => '', newRequestId: () => '' },
    log: silentLogger,
    sleep: (delayMs) => real.sleep(delayMs),
    setTimer: (_, task) => {
      timers.push(task);
      return { cancel: () => timers.splice(timers.indexOf(task), 1) };
    },
  };
  const fatal: unknown[] = [];
  const onFatal = (error: unknown) => fatal.push(error);
  const server = new NativeServer({ env, fileSystem, log: silentLogger, onFatal });
  /** Asks as the binding does; resolves to the result, and to what came with it. */
  const ask = <K extends keyof NativeOperations>(name: K, ...args: unknown[]) =>
    new Promise<{ result: number; value: unknown }>((resolve) => {
      const operation = server.operations[name] as (...args: unknown[]) => void;
      operation(...args, (result: number, value: unknown) => resolve({ result, value }));
    });
  const result = async <K extends keyof NativeOperations>(name: K, ...args: unknown[]) =>
    (await ask(name, ...args)).result;
  const open = async (path: string, flags: number) => (await ask('open', path, flags)).value as number;
  const stat = async (path: string) => (await ask('getattr', path)).value as NativeStat;
  const lookups = () => fileSystem.calls.filter((call) => call === 'lookup').length;
  return { env, fileSystem, server, timers, fatal, ask, result, open, stat, lookups };
}

test('names are looked up once, until the file system says that they mean something else', async (t) => {
  const { fileSystem, server, result, stat, lookups } = world();
  await result('mkdir', '/d', 0o755);
  await result('mknod', '/d/f', REGULAR, 0);
  const before = lookups();
  const { ino } = await stat('/d/f');
  await stat('/d/f');
  t.is(lookups(), before, 'what was made here is known');
  const d = (await stat('/d')).ino;
  for (const [message, more] of [
    [expireNode(ino), 0],
    [expireEntry(d, Buffer.from('f')), 1],
    [deletedEntry(ROOT_NODE, d, Buffer.from('d')), 1],
  ] as const) {
    const sofar = lookups();
    t.true(server.notified(message));
    await stat('/d/f');
    t.is(lookups(), sofar + more);
  }
  await fileSystem.unlink({ kind: 'unlink', parent: d, name: Buffer.from('f') });
  server.notified(deletedEntry(d, ino, Buffer.from('f')));
  t.is(await result('getattr', '/d/f'), -ENOENT);
});

test('own removals and renames are known at once', async (t) => {
  const { result, stat } = world();
  await result('mkdir', '/d', 0o755);
  await result('mknod', '/d/f', REGULAR, 0);
  const { ino } = await stat('/d/f');
  t.is(await result('rename', '/d', '/e'), 0);
  t.is(await result('getattr', '/d/f'), -ENOENT);
  t.is((await stat('/e/f')).ino, ino);
  t.is(await result('unlink', '/e/f'), 0);
  t.is(await result('getattr', '/e/f'), -ENOENT);
  t.is(await result('rmdir', '/e'), 0);
  t.is(await result('getattr', '/e'), -ENOENT);
});

test('a node that is gone has its name looked up anew, once', async (t) => {
  const { fileSystem, result, stat } = world();
  await result('mknod', '/old', REGULAR, 0);
  await result('mknod', '/new', REGULAR, 0);
  const old = (await stat('/old')).ino;
  const [name, newName] = [Buffer.from('new'), Buffer.from('old')];
  await fileSystem.rename({ kind: 'rename', parent: 1, name, newParent: 1, newName, flags: 0 });
  fileSystem.gone.add(old);
  t.not((await stat('/old')).ino, old);
  fileSystem.gone.add((await stat('/old')).ino);
  t.is(await result('getattr', '/old'), -ENOENT);
});

test('what libfuse hides is removed for everybody, and stays for who has it open', async (t) => {
  const { ask, result, open, stat } = world();
  await result('mkdir', '/d', 0o755);
  await result('mknod', '/d/f', REGULAR, 0);
  const file = await open('/d/f', OPEN.READ_WRITE);
  t.is(await result('write', '/d/f', file, Buffer.from('data'), 4, 0), 4);
  t.is(await result('rename', '/d/f', HIDDEN), 0);
  t.deepEqual((await ask('readdir', '/d')).value, []);
  t.is((await stat(HIDDEN)).size, 4);
  await result('rename', '/d', '/e');
  t.is((await stat(HIDDEN.replace('/d/', '/e/'))).size, 4, 'its directory may be renamed');
  const into = Buffer.alloc(10);
  t.is(await result('read', HIDDEN, file, into, 10, 0), 4);
  t.is(into.toString('utf8', 0, 4), 'data');
  t.is(await result('release', HIDDEN, file), 0);
  t.is(await result('getattr', HIDDEN.replace('/d/', '/e/')), -ENOENT);
});

test('what is made stays open for who made it, with its flags, and otherwise not for long', async (t) => {
  const { fileSystem, server, timers, fatal, result, open, stat } = world();
  await result('mknod', '/log', REGULAR, 0);
  const one = await open('/log', OPEN.WRITE_ONLY | OPEN.APPEND);
  t.is(timers.length, 0, 'taken over');
  const two = await open('/log', OPEN.WRITE_ONLY | OPEN.APPEND);
  // The kernel believes that both are at the start.
  await result('write', '/log', one, Buffer.from('one '), 4, 0);
  await result('write', '/log', two, Buffer.from('two '), 4, 0);
  await result('write', '/log', one, Buffer.from('three'), 5, 0);
  t.is((await stat('/log')).size, 13);
  await result('mknod', '/node', REGULAR, 0);
  const released = () => fileSystem.calls.filter((call) => call === 'release').length;
  t.is(released(), 0);
  fileSystem.releaseFails = true;
  for (const timer of timers) timer();
  await server.drain();
  t.is(released(), 1);
  t.deepEqual(fatal, [], 'nobody waits for it');
});

test('names that are not UTF-8, and times that cannot be read, are refused rather than mistaken', async (t) => {
  const { result } = world();
  t.is(await result('mkdir', '/caf\ufffd', 0o755), -EILSEQ);
  t.is(await result('symlink', 'to \ufffd', '/s'), -EILSEQ);
  t.is(await result('mkdir', '/café', 0o755), 0);
  t.is(await result('utimens', '/café', Number.NaN, Number.NaN), -EOPNOTSUPP);
});

test('owners that are not named stay, both times are set', async (t) => {
  const { result, stat } = world();
  await result('mknod', '/f', REGULAR, 0);
  await result('chown', '/f', 7, 8);
  await result('chown', '/f', 0xffffffff, 9);
  await result('utimens', '/f', 1_000_250, 2_000_500);
  const { uid, gid, atime, mtime } = await stat('/f');
  t.deepEqual([uid, gid, atime, mtime], [7, 9, 1_000_250, 2_000_500]);
});

test('an extended attribute is put where there is room for all of it', async (t) => {
  const { result } = world();
  await result('mknod', '/f', REGULAR, 0);
  const borrowed = Buffer.from('value');
  t.is(await result('setxattr', '/f', 'user.a', borrowed, 0, 0), 0);
  borrowed.fill(0);
  t.is(await result('setxattr', '/f', 'user.empty', Buffer.alloc(0), 0, 0), 0);
  t.is(await result('setxattr', '/f', 'user.a', borrowed, 0, XATTR_CREATE), -EEXIST);
  t.is(await result('setxattr', '/f', 'user.b', borrowed, 0, XATTR_REPLACE), -ENODATA);
  t.is(await result('setxattr', '/f', 'user.a', borrowed, 5, 0), -EINVAL, 'the rest of it would be lost');
  t.is(await result('getxattr', '/f', 'user.a', Buffer.alloc(0)), 5);
  const small = Buffer.alloc(4);
  t.is(await result('getxattr', '/f', 'user.a', small), -ERANGE);
  t.is(small.toString(), '\0\0\0\0');
  const into = Buffer.alloc(8);
  t.is(await result('getxattr', '/f', 'user.a', into), 5);
  t.is(into.toString(), 'value\0\0\0');
  t.is(await result('getxattr', '/f', 'user.empty', into), 0);
  t.is(await result('getxattr', '/f', 'user.none', into), -ENODATA);
  const names = Buffer.alloc(100);
  t.is(await result('listxattr', '/f', Buffer.alloc(0)), 18);
  t.is(await result('listxattr', '/f', Buffer.alloc(17)), -ERANGE);
  t.is(await result('listxattr', '/f', names), 18);
  t.is(names.toString('utf8', 0, 18), 'user.a\0user.empty\0');
  t.is(await result('removexattr', '/f', 'user.a'), 0);
  t.is(await result('removexattr', '/f', 'user.a'), -ENODATA);
  t.is(await result('getxattr', '/f', 'user.\ufffd', into), -EILSEQ);
  t.deepEqual([linuxXattrFlags(2, 'darwin'), linuxXattrFlags(4, 'darwin')], [XATTR_CREATE, XATTR_REPLACE]);
});

test('what is asked for is counted as the kernel driver counts it', async (t) => {
  const { env, server, result, open } = world();
  const monitor = new Monitor({ env, version: 'test' });
  monitor.add(server.figures());
  await result('mknod', '/f', REGULAR, 0);
  const file = await open('/f', 2);
  t.is(await result('write', '/f', file, Buffer.from('hello'), 5, 0), 5);
  t.is(await result('read', '/f', file, Buffer.alloc(100), 100, 1), 4);
  t.is(await result('getattr', '/none'), -ENOENT);
  const inFlight = server.figures().find(({ name }) => name === 'gfs_fuse_requests_in_flight');
  const waiting = result('release', '/f', file);
  t.is(inFlight?.type === 'gauge' && inFlight.read(), 1);
  await waiting;
  const families = await scrape(monitor);
  const figure = (name: string, labels = {}) => figureIn(families, `gfs_fuse_${name}`, labels);
  t.is(figure('written_bytes_total'), 5);
  t.is(figure('read_bytes_total'), 4);
  t.is(figure('requests_in_flight'), 0);
  t.is(figure('errors_total', { operation: 'getAttributes', errno: 'ENOENT' }), 1);
  for (const operation of ['makeNode', 'open', 'write', 'read', 'getAttributes', 'release']) {
    t.is(figure('requests_total', { operation }), 1, operation);
    t.is(figure('operation_duration_seconds_count', { operation }), 1, operation);
  }
  t.deepEqual(complaintsAbout(families), []);
});
