import test from 'ava';
import { createContext } from '../../../mount/gfs/context.ts';
import type { AccessTimeRules } from '../../../mount/gfs/counted-reads.ts';
import { GfsFiles } from '../../../mount/gfs/files.ts';
import { NOBODY } from '../../../mount/gfs/kernel-belief.ts';
import { dropPages } from '../../../mount/wire/notifications.ts';
import { FOPEN, OPEN } from '../../../mount/wire/numbers.ts';
import type { LockRequest } from '../../../mount/wire/requests.ts';
import { lengthOf } from '../../../src/base/bytes.ts';
import { GfsError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { NodeEnv } from '../../../src/base/node-env.ts';
import type { ConflictingLock, GfsClient, OpenMode } from '../../../src/client/api.ts';
import { RecentChanges } from '../../../src/client/recent-changes.ts';

const NODE = 7;
const ROOT = { uid: 0, gid: 0, pid: 1 };
/** What the kernel asked for has a name, which goes on to the client. */
const ASKED = { requestId: 'test-1' };

/** Files on a client that only writes down what it is asked. */
interface Recorded {
  readonly unchanged?: boolean;
  readonly beingWritten?: boolean;
  readonly lockChanged?: boolean;
  readonly conflicting?: ConflictingLock;
  readonly accessTimes?: AccessTimeRules;
  /** What was read before: further reads move nothing. */
  readonly read?: boolean;
  readonly length?: number;
}

function recorded({
  unchanged = false,
  beingWritten = false,
  lockChanged = false,
  conflicting,
  accessTimes,
  read = false,
  length = 1,
}: Recorded = {}) {
  const changes = new RecentChanges();
  changes.see();
  const calls: unknown[][] = [];
  let failing = Number.POSITIVE_INFINITY;
  /** The call of this number, counted from 1 on, is the first that fails. */
  const failAt = (number: number) => {
    failing = number;
  };
  const record =
    (name: string, answer?: unknown) =>
    async (...args: unknown[]) => {
      calls.push([name, ...args]);
      if (calls.length >= failing) throw new GfsError('NO_SPACE', 'full');
      return answer;
    };
  const file = {
    read: record('read', []),
    write: record('write'),
    writeTaken: async (offset: number, bytes: Uint8Array[], release: () => void) => {
      calls.push(['writeTaken', offset, bytes]);
      release();
    },
    ...{
      append: record('append', 1000),
      copyFrom: async (_source: unknown, range: { length: number }) => {
        calls.push(['copyFrom', range]);
        return range.length;
      },
      dropSetIds: record('dropSetIds'),
      flush: record('flush'),
      sync: record('sync'),
      close: record('close'),
      unlock: record('unlock'),
      conflictingLock: record('conflictingLock', conflicting),
      lock: record('lock', { changed: lockChanged }),
    },
  };
  const client = {
    chunkSizeBytes: 2 ** 20,
    changes,
    onChange: () => undefined,
    noteRead: (inode: number) => {
      calls.push(['noteRead', inode]);
      return !read;
    },
    wouldMoveAccessTime: () => !read,
    open: async (inode: number, mode: OpenMode) => {
      if (inode !== NODE) throw new GfsError('NOT_FOUND', 'gone');
      calls.push(['open', mode]);
      return { file, attributes: { mode: 0o644, length }, unchanged, beingWritten };
    },
  } as unknown as GfsClient;
  const timeouts = { attributeTimeoutMs: 1000, entryTimeoutMs: 1000 };
  const context = createContext({
    ...{ env: new NodeEnv(silentLogger), client, timeouts },
    ...(accessTimes === undefined ? {} : { accessTimes }),
  });
  context.belief.attach({
    ...NOBODY,
    notify: ({ bytes }) => {
      calls.push(['notify', bytes.toString()]);
      return true;
    },
    notified: () => {
      calls.push(['notified']);
      return undefined;
    },
  });
  return { files: new GfsFiles(context), calls, failAt };
}

async function openFlags(
  flags: number,
  options: { unchanged?: boolean; beingWritten?: boolean } = {},
): Promise<number> {
  const { files } = recorded(options);
  return (await files.open({ kind: 'open', node: NODE, flags }, ROOT)).flags;
}

test('how a file is opened decides what the kernel keeps and asks', async (t) => {
  t.is(await openFlags(OPEN.READ_ONLY), 0);
  t.is(await openFlags(OPEN.READ_ONLY, { unchanged: true }), FOPEN.KEEP_CACHE);
  t.is(await openFlags(OPEN.READ_WRITE), 0);
  t.is(await openFlags(OPEN.WRITE_ONLY, { unchanged: true }), FOPEN.KEEP_CACHE);
  t.is(await openFlags(OPEN.WRITE_ONLY | OPEN.APPEND, { unchanged: true }), FOPEN.DIRECT_IO);
  t.is(await openFlags(OPEN.READ_ONLY, { beingWritten: true }), FOPEN.DIRECT_IO);
  t.is(await openFlags(OPEN.READ_WRITE, { beingWritten: true }), 0);
  t.is(await openFlags(OPEN.READ_ONLY | OPEN.APPEND), 0, 'who only reads appends nothing');
});

test('what this mount appended to is opened without pages, until the kernel has forgotten it', async (t) => {
  const { files } = recorded({ unchanged: true });
  const open = async (flags: number) => (await files.open({ kind: 'open', node: NODE, flags }, ROOT)).flags;
  t.is(await open(OPEN.READ_ONLY), FOPEN.KEEP_CACHE);
  await open(OPEN.WRITE_ONLY | OPEN.APPEND);
  t.is(await open(OPEN.READ_ONLY), FOPEN.DIRECT_IO);
  files.forgotten(NODE);
  t.is(await open(OPEN.READ_ONLY), FOPEN.KEEP_CACHE);
});

test('a file that is gone is stale: the kernel looks its name up anew', async (t) => {
  const { files } = recorded();
  const error = await t.throwsAsync(files.open({ kind: 'open', node: 8, flags: 0 }, ROOT));
  t.is(error?.name, 'ErrnoError');
});

test('an append ignores the offset, large writes keep the buffer while there are buffers, small ones copy', async (t) => {
  const { files, calls } = recorded();
  const { openFile } = await files.open({ kind: 'open', node: NODE, flags: OPEN.WRITE_ONLY }, ROOT);
  calls.length = 0;
  let released = 0;
  const release = () => {
    released += 1;
  };
  const buffer = { keep: () => release };
  const scarce = { keep: () => undefined };
  const [small, large] = [Buffer.alloc(4096), Buffer.alloc(2 ** 20)];
  const write = { kind: 'write', node: NODE, openFile, offset: 5, dropsSetIds: false } as const;
  t.is(await files.write({ ...write, flags: OPEN.APPEND, data: small }, buffer), small.length);
  t.is(await files.write({ ...write, flags: 0, data: small }, buffer), small.length);
  t.is(await files.write({ ...write, flags: 0, data: large }, buffer), large.length);
  t.is(await files.write({ ...write, flags: 0, data: large }, scarce), large.length);
  t.deepEqual(
    calls.map((call) => call.slice(0, 2)),
    [
      ['append', [small]],
      ['write', 5],
      ['writeTaken', 5],
      ['write', 5],
    ],
  );
  t.is(released, 1);
});

test('an append that is longer than a record goes in several, and tells how far it came', async (t) => {
  const { files, calls, failAt } = recorded();
  const { openFile } = await files.open(
    { kind: 'open', node: NODE, flags: OPEN.WRITE_ONLY | OPEN.APPEND },
    ROOT,
  );
  const data = Buffer.alloc(600_000);
  const where = { node: NODE, openFile, offset: 5, dropsSetIds: false };
  const write = { kind: 'write', ...where, flags: OPEN.APPEND, data } as const;
  const buffer = { keep: () => undefined };
  calls.length = 0;
  t.is(await files.write(write, buffer), data.length);
  t.deepEqual(
    calls.map(([, bytes]) => lengthOf(bytes as Buffer[])),
    [262_144, 262_144, 75_712],
  );
  failAt(calls.length + 2);
  t.is(await files.write(write, buffer), 262_144, 'the rest is tried again by the caller, and fails then');
  failAt(calls.length + 1);
  await t.throwsAsync(files.write(write, buffer), { code: 'NO_SPACE' });
});

test('closing flushes for who writes, gives locks back for everybody, and fsync always asks', async (t) => {
  const { files, calls } = recorded();
  const node = NODE;
  const lockOwner = 'f00';
  const reader = (await files.open({ kind: 'open', node, flags: OPEN.READ_ONLY }, ROOT)).openFile;
  const writer = (await files.open({ kind: 'open', node, flags: OPEN.READ_WRITE }, ROOT)).openFile;
  calls.length = 0;
  await files.flush({ kind: 'flush', node, openFile: reader, lockOwner }, ASKED);
  await files.sync({ kind: 'sync', node, openFile: reader, dataOnly: false }, ASKED);
  await files.flush({ kind: 'flush', node, openFile: writer, lockOwner }, ASKED);
  await files.release({ kind: 'release', node, openFile: writer }, ASKED);
  const unlock = ['unlock', { kind: 'range', owner: lockOwner }, ASKED];
  t.deepEqual(calls, [unlock, ['sync', ASKED], ['flush', ASKED], unlock, ['close', ASKED]]);
});

test('a descriptor whose flush fails gives its locks back all the same', async (t) => {
  const { files, calls, failAt } = recorded();
  const { openFile } = await files.open({ kind: 'open', node: NODE, flags: OPEN.READ_WRITE }, ROOT);
  calls.length = 0;
  failAt(1);
  await t.throwsAsync(files.flush({ kind: 'flush', node: NODE, openFile, lockOwner: 'f00' }), {
    code: 'NO_SPACE',
  });
  t.deepEqual(
    calls.map(([name]) => name),
    ['flush', 'unlock'],
  );
});

const lock = { owner: 'f00', flock: false, start: 5, end: 9, type: 'exclusive', pid: 77 } as const;
const { signal } = new AbortController();

test('who gets a lock is answered when the kernel has heard all, and has dropped the pages that are old', async (t) => {
  for (const lockChanged of [false, true]) {
    const { files, calls } = recorded({ lockChanged });
    const { openFile } = await files.open({ kind: 'open', node: NODE, flags: OPEN.READ_WRITE }, ROOT);
    calls.length = 0;
    const caller = { ...ROOT, ...ASKED };
    await files.setLock({ kind: 'setLock', node: NODE, openFile, lock, wait: false }, caller, signal);
    const asked = { kind: 'range', owner: 'f00', start: 5, end: 9, exclusive: true, pid: 77 };
    t.deepEqual(calls[0], ['lock', { ...asked, wait: false, ownerWaits: false }, { signal, ...ASKED }]);
    const told = lockChanged ? [['notify', dropPages(NODE).bytes.toString()], ['notified']] : [['notified']];
    t.deepEqual(calls.slice(1), told);
  }
});

test('byte ranges of processes count for deadlocks, locks of whole files do not; an unlock only unlocks', async (t) => {
  const { files, calls } = recorded();
  const { openFile } = await files.open({ kind: 'open', node: NODE, flags: OPEN.READ_WRITE }, ROOT);
  const set = (changes: Partial<LockRequest>, wait: boolean) =>
    files.setLock(
      { kind: 'setLock', node: NODE, openFile, lock: { ...lock, ...changes }, wait },
      ROOT,
      signal,
    );
  calls.length = 0;
  await set({}, true);
  await set({ flock: true }, true);
  await set({ type: 'none' }, false);
  const asked = calls.filter(([name]) => name === 'lock' || name === 'unlock');
  t.like(asked[0]?.[1], { kind: 'range', ownerWaits: true });
  t.like(asked[1]?.[1], { kind: 'flock', ownerWaits: false });
  t.is(asked[2]?.[0], 'unlock');
});

test('the lock in the way is told as it is', async (t) => {
  const conflicting = { exclusive: true, start: 1, end: 2, pid: 3 };
  const { files } = recorded({ conflicting });
  const { openFile } = await files.open({ kind: 'open', node: NODE, flags: OPEN.READ_WRITE }, ROOT);
  t.deepEqual(await files.getLock({ kind: 'getLock', node: NODE, openFile, lock }), conflicting);
});

test('set-id bits go before the bytes of who may not leave them come', async (t) => {
  const { files, calls } = recorded();
  const flags = OPEN.WRITE_ONLY | OPEN.APPEND;
  const { openFile } = await files.open({ kind: 'open', node: NODE, flags }, ROOT);
  calls.length = 0;
  const write = { kind: 'write', node: NODE, openFile, offset: 0, flags, data: Buffer.alloc(10) } as const;
  const buffer = { keep: () => undefined };
  await files.write({ ...write, dropsSetIds: true }, buffer);
  await files.write({ ...write, dropsSetIds: false }, buffer);
  t.deepEqual(
    calls.map(([call]) => call),
    ['dropSetIds', 'notify', 'append', 'append'],
  );
});

const NOTED = ['noteRead', NODE];
const opening = (flags: number) => ({ kind: 'open', node: NODE, flags }) as const;
const reading = (openFile: number, flags = 0) =>
  ({ kind: 'read', node: NODE, openFile, offset: 0, size: 4096, flags }) as const;
const notedIn = (calls: unknown[][]) => calls.filter(([name]) => name === 'noteRead').length;

test('each read that the kernel asks for is noted, but of who asked for O_NOATIME, and on mounts without', async (t) => {
  const { files, calls } = recorded();
  const { openFile } = await files.open(opening(OPEN.READ_ONLY), ROOT);
  calls.length = 0;
  await files.read(reading(openFile), ASKED);
  t.deepEqual(calls, [['read', 0, 4096, ASKED], NOTED]);
  await files.read(reading(openFile, OPEN.NO_ATIME));
  t.is(notedIn(calls), 1);
  const without = recorded({ accessTimes: { ofFiles: false, ofDirectories: false } });
  await without.files.read(reading((await without.files.open(opening(OPEN.READ_ONLY), ROOT)).openFile));
  t.is(notedIn(without.calls), 0);
});

test('who copies from a file has read it, but for O_NOATIME, and where there was nothing to copy', async (t) => {
  const { files, calls } = recorded();
  const opened = async (flags: number) => (await files.open(opening(flags), ROOT)).openFile;
  const target = { node: NODE, openFile: await opened(OPEN.WRITE_ONLY), offset: 0 };
  const copyFrom = async (openFile: number, length: number) => {
    calls.length = 0;
    t.is(
      await files.copyRange({ kind: 'copyRange', node: NODE, openFile, offset: 0, target, length }),
      length,
    );
    return calls.slice(1);
  };
  t.deepEqual(await copyFrom(await opened(OPEN.READ_ONLY), 10), [NOTED]);
  t.deepEqual(await copyFrom(await opened(OPEN.READ_ONLY), 0), []);
  t.deepEqual(await copyFrom(await opened(OPEN.READ_ONLY | OPEN.NO_ATIME), 10), []);
});

test('who opens what the kernel has pages of is seen to read: small files it gets anew, of large ones opening counts', async (t) => {
  for (const length of [128 * 1024, 128 * 1024 + 1]) {
    const isLarge = length > 128 * 1024;
    const { files, calls } = recorded({ unchanged: true, length });
    const { openFile } = await files.open(opening(OPEN.READ_WRITE), ROOT);
    const open = async (flags: number) => {
      calls.length = 0;
      const reply = await files.open(opening(flags), ROOT);
      return [reply.flags, ...calls.slice(1)];
    };
    const seen = isLarge ? [FOPEN.KEEP_CACHE, NOTED] : [0];
    const unseen = [FOPEN.KEEP_CACHE];
    t.deepEqual(await open(OPEN.READ_ONLY), unseen, 'it has none');
    const write = { kind: 'write', node: NODE, openFile, dropsSetIds: false, flags: 0 } as const;
    const buffer = { keep: () => undefined };
    await files.write({ ...write, offset: 10, data: Buffer.alloc(8181) }, buffer);
    t.deepEqual(await open(OPEN.READ_ONLY), unseen, 'it keeps no part of a page');
    await files.write({ ...write, offset: 10, data: Buffer.alloc(8182) }, buffer);
    t.deepEqual(await open(OPEN.READ_WRITE), unseen, 'to write, perhaps');
    t.deepEqual(await open(OPEN.READ_ONLY | OPEN.NO_ATIME), unseen);
    t.deepEqual(await open(OPEN.READ_ONLY), seen);
    files.forgotten(NODE);
    t.deepEqual(await open(OPEN.READ_ONLY), unseen);
    await files.read(reading(openFile));
    t.deepEqual(await open(OPEN.READ_ONLY), seen);
  }
});

test('what was read before is opened with its pages', async (t) => {
  const { files } = recorded({ unchanged: true, read: true });
  const { openFile } = await files.open(opening(OPEN.READ_ONLY), ROOT);
  await files.read(reading(openFile));
  t.is((await files.open(opening(OPEN.READ_ONLY), ROOT)).flags, FOPEN.KEEP_CACHE);
});

test('a changed file is read anew: opening it is not reading', async (t) => {
  const { files, calls } = recorded();
  await files.read(reading((await files.open(opening(OPEN.READ_ONLY), ROOT)).openFile));
  calls.length = 0;
  await files.open(opening(OPEN.READ_ONLY), ROOT);
  t.is(notedIn(calls), 0);
});
