import test from 'ava';
import { createContext, type GfsContext } from '../../../mount/gfs/context.ts';
import { DirectoryReader } from '../../../mount/gfs/directory-reader.ts';
import type { Env } from '../../../src/base/env.ts';
import { GfsError } from '../../../src/base/errors.ts';
import { inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { NodeEnv } from '../../../src/base/node-env.ts';
import type { GfsClient, ListOptions } from '../../../src/client/api.ts';
import { RecentChanges } from '../../../src/client/recent-changes.ts';
import { type DirectoryEntry, FileType } from '../../../src/rpc/messages.ts';

const PARENT = 77;
const inodeOf = (name: string) => 1000 + name.charCodeAt(0);

/** A directory that changes as the test says, listed as the master lists. */
class ChangingDirectory {
  readonly names: string[] = [];
  listCount = 0;
  /** So many answers are given; who asks for more hears that the master is away. */
  failsAfter = Number.POSITIVE_INFINITY;

  add(name: string): void {
    this.names.splice(this.#indexOf(name), 0, name);
  }

  remove(name: string): void {
    const index = this.#indexOf(name);
    if (this.names[index] === name) this.names.splice(index, 1);
  }

  /** Of the first name that is not before this one. */
  #indexOf(name: string): number {
    let low = 0;
    let high = this.names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async list(_: number, { after, limit, withAttributes = false }: ListOptions) {
    this.listCount += 1;
    if (this.listCount > this.failsAfter) throw new GfsError('UNAVAILABLE', 'no master');
    // What comes after a name is what is not before its smallest successor.
    const start = after === undefined ? 0 : this.#indexOf(`${Buffer.from(after).toString('latin1')}\0`);
    const entries: DirectoryEntry[] = this.names.slice(start, start + limit).map((name) => ({
      ...{ name: Buffer.from(name, 'latin1'), inode: inodeOf(name), type: FileType.FILE_TYPE_REGULAR },
      attributes: withAttributes ? this.#attributes(inodeOf(name)) : undefined,
    }));
    return { entries, end: start + limit >= this.names.length, parent: inodeId(PARENT) };
  }

  #attributes(inode: number) {
    const time = { seconds: 1, nanos: 0 };
    return {
      ...{ inode, type: FileType.FILE_TYPE_REGULAR, mode: 0o644, linkCount: 1, uid: 0, gid: 0, rdev: 0 },
      ...{ length: 5, atime: time, mtime: time, ctime: time, btime: time, goal: 3 },
      ...{ truncations: 0, hasXattrs: false, holeBytes: 0 },
    };
  }
}

function contextOf(directory: ChangingDirectory, env: Env = new NodeEnv(silentLogger)): GfsContext {
  const changes = new RecentChanges();
  changes.see();
  const client = { list: directory.list.bind(directory), changes } as unknown as GfsClient;
  const timeouts = { attributeTimeoutMs: 60_000, entryTimeoutMs: 60_000 };
  return createContext({ env, client, timeouts });
}

function readerOf(context: GfsContext): DirectoryReader {
  return new DirectoryReader(context, ROOT_INODE, { caller: { uid: 0, gid: 0, groups: [] } });
}

/** All names as a program sees them that reads `step` entries at a time; `between` runs after each step. */
async function namesOf(
  reader: DirectoryReader,
  { step = 7, from = 0, between }: { step?: number; from?: number; between?: () => void } = {},
): Promise<string[]> {
  const names: string[] = [];
  let offset = from;
  for (;;) {
    const items = (await reader.read(plain(offset))).slice(0, step);
    if (items.length === 0) return names;
    names.push(...items.map(({ name }) => Buffer.from(name).toString('latin1')));
    offset = items.at(-1)?.nextOffset ?? 0;
    between?.();
  }
}

const plain = (offset: number) => ({ offset, size: 2 ** 20, withAttributes: false });
const padded = (number: number) => String(number).padStart(6, '0');

test('a directory is listed in the order of names after itself and its parent', async (t) => {
  const directory = new ChangingDirectory();
  for (let index = 0; index < 2500; index += 1) directory.add(padded(index));
  const names = await namesOf(readerOf(contextOf(directory)));
  t.deepEqual(names, ['.', '..', ...directory.names]);
  t.is(directory.listCount, 4, 'pages that grow: 256, 512, 1024, 708');
});

/** A directory of 2,000 names, and a reader of it on a clock that stands still. */
async function begun() {
  const directory = new ChangingDirectory();
  for (let index = 0; index < 2000; index += 1) directory.add(padded(index));
  const clock = { nowMs: 0 };
  const reader = readerOf(contextOf(directory, { monotonicMs: () => clock.nowMs } as Env));
  /** Reads the directory from its start, `count` names of a page at a time, as far as this many. */
  const read = async (upTo: number, count: number) => {
    const names: string[] = [];
    let offset = 0;
    while (names.length < upTo) {
      const items = (await reader.read(plain(offset))).slice(0, count);
      names.push(...items.map(({ name }) => Buffer.from(name).toString('latin1')));
      offset = items.at(-1)?.nextOffset ?? 0;
    }
    return { names, readOn: async () => (await reader.read(plain(offset))).length };
  };
  return { directory, clock, read };
}

test('the next page is fetched while the one before is read on, and not for who looks at the first names', async (t) => {
  const { directory, read } = await begun();
  await read(100, 100);
  t.is(directory.listCount, 1);
  await read(200, 100);
  t.is(directory.listCount, 3, 'the first page, the first page again and the one behind it');
  directory.remove(padded(300));
  const { names } = await read(2000, 100);
  t.deepEqual(names, ['.', '..', ...directory.names], 'a rewind forgets what was fetched ahead');
});

test('a page that was fetched ahead is used once, and while it is young', async (t) => {
  const { directory, clock, read } = await begun();
  const young = await read(258, 129);
  t.is(directory.listCount, 2);
  t.is(await young.readOn(), 512);
  t.is(directory.listCount, 3, 'the one behind it');

  directory.listCount = 0;
  const old = await read(258, 129);
  t.is(directory.listCount, 2);
  clock.nowMs += 1001;
  directory.remove(padded(300));
  t.is(await old.readOn(), 512);
  t.is(directory.listCount, 4, 'it is asked for again, and the one behind it');
});

test('a page that could not be fetched ahead is asked for when it is wanted', async (t) => {
  const { directory, read } = await begun();
  directory.failsAfter = 1;
  const { readOn } = await read(258, 129);
  directory.failsAfter = Number.POSITIVE_INFINITY;
  t.is(await readOn(), 512);
});

test('an empty directory has two names', async (t) => {
  t.deepEqual(await namesOf(readerOf(contextOf(new ChangingDirectory()))), ['.', '..']);
});

test('100,000 names that stay are listed once each while others come and go', async (t) => {
  const directory = new ChangingDirectory();
  const staying = Array.from({ length: 100_000 }, (_, index) => padded(index));
  for (const name of staying) directory.add(name);
  let round = 0;
  const between = () => {
    round += 1;
    directory.add(`${padded((round * 7919) % 100_000)}-new-${round}`);
    directory.remove(`${padded(((round - 3) * 7919) % 100_000)}-new-${round - 3}`);
  };
  const names = await namesOf(readerOf(contextOf(directory)), { step: 500, between });
  t.deepEqual(
    names.filter((name) => !name.includes('-') && !name.startsWith('.')),
    staying,
  );
  t.is(new Set(names).size, names.length);
});

test('an offset keeps its meaning while names before it come and go, until a rewind', async (t) => {
  const directory = new ChangingDirectory();
  for (const name of ['b', 'd', 'f', 'h']) directory.add(name);
  const reader = readerOf(contextOf(directory));
  const items = await reader.read(plain(0));
  const afterD = items.find(({ name }) => Buffer.from(name).toString() === 'd')?.nextOffset ?? -1;
  await namesOf(reader, { from: items.at(-1)?.nextOffset ?? -1 });
  directory.add('a');
  directory.add('g');
  directory.remove('b');
  t.deepEqual(await namesOf(reader, { from: afterD }), ['f', 'h'], 'still in the page');
  t.deepEqual(await namesOf(reader), ['.', '..', 'a', 'd', 'f', 'g', 'h'], 'anew from the start');
});

test('an offset from before the last page is followed by what follows its name now', async (t) => {
  const directory = new ChangingDirectory();
  for (let index = 0; index < 2100; index += 1) directory.add(padded(index));
  const reader = readerOf(contextOf(directory));
  const early = (await reader.read(plain(0)))[10]?.nextOffset ?? -1;
  await namesOf(reader, { from: (await reader.read(plain(0))).at(-1)?.nextOffset ?? -1, step: 1000 });
  directory.remove(padded(9));
  const again = await namesOf(reader, { from: early, step: 1000 });
  t.is(again[0], padded(10));
  t.is(again.length, 2090);
  t.deepEqual(await namesOf(reader, { from: early, step: 1000 }), again, 'and once more');
  await t.throwsAsync(reader.read(plain(1_000_000)), { code: 'INVALID_ARGUMENT' });
});

test('what is listed once more has the offsets that it had, and what came meanwhile others', async (t) => {
  const directory = new ChangingDirectory();
  for (let index = 0; index < 2100; index += 1) directory.add(padded(index));
  const reader = readerOf(contextOf(directory));
  const offsets = async (from: number) => {
    const found = new Map<string, number>();
    for (let offset = from; ; ) {
      const items = await reader.read(plain(offset));
      if (items.length === 0) return found;
      for (const { name, nextOffset } of items) found.set(Buffer.from(name).toString('latin1'), nextOffset);
      offset = items.at(-1)?.nextOffset ?? 0;
    }
  };
  const first = await offsets(0);
  directory.remove(padded(50));
  directory.add(`${padded(60)}-new`);
  const from = first.get(padded(49)) ?? 0;
  const again = await offsets(from);
  t.deepEqual(await offsets(from), again);
  const added = again.get(`${padded(60)}-new`) ?? 0;
  again.delete(`${padded(60)}-new`);
  t.deepEqual(
    [...again],
    [...first].slice(52).filter(([name]) => name !== padded(50)),
  );
  t.false([...first.values()].includes(added));
  t.is((await reader.read(plain(added)))[0]?.nextOffset, first.get(padded(61)));
  t.is(
    (await reader.read(plain(first.get(padded(50)) ?? 0)))[0]?.nextOffset,
    first.get(padded(51)),
    'of a name that went',
  );
});

test('attributes of a file that was changed here since the page was fetched are withheld', async (t) => {
  const directory = new ChangingDirectory();
  directory.add('a');
  directory.add('b');
  const context = contextOf(directory);
  const reader = readerOf(context);
  const attributesOf = async (offset: number) =>
    (await reader.read({ offset, size: 4096, withAttributes: true })).map(({ name, entry }) => [
      Buffer.from(name).toString(),
      entry !== undefined,
    ]);
  t.deepEqual(await attributesOf(0), [
    ['.', false],
    ['..', false],
    ['a', true],
    ['b', true],
  ]);
  context.changes.note(inodeOf('a'));
  t.deepEqual(await attributesOf(2), [
    ['a', false],
    ['b', true],
  ]);
  t.deepEqual((await attributesOf(0)).slice(2), [
    ['a', true],
    ['b', true],
  ]);
});
