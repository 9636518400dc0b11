import { Buffer } from 'node:buffer';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { DiskFile, OpenMode } from '../../src/base/disk.ts';
import { GfsError } from '../../src/base/errors.ts';
import { type InodeId, ROOT_INODE, type SessionId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { unwrap } from '../../src/base/result.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { type CommandContext, INTERNAL, ROOT_CALLER } from '../../src/core/metadata/commands.ts';
import { FileType } from '../../src/core/metadata/rows.ts';
import { MetadataEngine, type MetadataEngineOptions } from '../../src/master/metadata-engine.ts';
import { lmdbMetaStores } from '../../src/storage/meta-store-lmdb.ts';
import { memoryMetaStores } from '../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';

const env = new NodeEnv(silentLogger);
const disk = new NodeDisk();

/** A data directory, and engines started in it one after another. */
class Place {
  readonly directory: string;
  readonly #engines: MetadataEngine[] = [];

  constructor(t: ExecutionContext) {
    this.directory = mkdtempSync(join(tmpdir(), 'gfs-engine-'));
    t.teardown(async () => {
      for (const engine of this.#engines) await engine.close();
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  async start(options: Partial<MetadataEngineOptions> = {}): Promise<MetadataEngine> {
    const engine = await MetadataEngine.start({
      env,
      disk,
      directory: join(this.directory, 'data'),
      openStore: lmdbMetaStores(disk),
      onFatal: (error) => {
        throw error;
      },
      ...options,
    });
    this.#engines.push(engine);
    return engine;
  }

  path(...parts: string[]): string {
    return join(this.directory, 'data', ...parts);
  }
}

async function makeDirectory(
  engine: MetadataEngine,
  name: string,
  context: CommandContext = INTERNAL,
): Promise<number> {
  const body = {
    parent: ROOT_INODE,
    name: Buffer.from(name),
    inode: engine.dealInode(),
    type: FileType.DIRECTORY,
    mode: 0o755,
    rdev: 0,
    symlinkTarget: Buffer.alloc(0),
  };
  return unwrap(await engine.execute(context, 'makeNode', body)).inode;
}

function names(engine: MetadataEngine): string[] {
  const page = engine.state.list(ROOT_CALLER, ROOT_INODE, {
    after: Buffer.alloc(0),
    limit: 1000,
    withAttributes: false,
  });
  return unwrap(page).entries.map(({ name }) => name.toString());
}

test('what was answered is there after a restart, and ids go on', async (t) => {
  const place = new Place(t);
  const first = await place.start();
  const inode = await makeDirectory(first, 'a');
  const writer = await first.dealWriters(10);
  t.is(Number(await first.dealWriters(1)), writer + 10);
  const { id } = first.filesystem;
  await first.close();
  const second = await place.start();
  t.deepEqual(names(second), ['a']);
  t.is(second.filesystem.id, id);
  t.true(second.dealInode() > inode);
  t.true((await second.dealWriters(1)) > writer + 10);
});

test('a session numbers its commands: a retry gets its first answer, also while the first try is on its way', async (t) => {
  const place = new Place(t);
  let engine = await place.start();
  const session = engine.dealSession();
  unwrap(
    await engine.execute(INTERNAL, 'openSession', {
      session,
      host: 'h',
      program: 'p',
      kernelWalksPaths: true,
    }),
  );
  const context = { caller: ROOT_CALLER, session, number: 1, acknowledged: 0 };
  const [one, two] = await Promise.all([
    makeDirectory(engine, 'a', context),
    makeDirectory(engine, 'a', context),
  ]);
  t.is(one, two);
  t.is(await makeDirectory(engine, 'a', context), one);
  await engine.close();
  engine = await place.start();
  t.is(await makeDirectory(engine, 'a', context), one);
  await t.throwsAsync(makeDirectory(engine, 'a', { ...context, number: 2 }), { code: 'EXISTS' });
  const stranger = { ...context, session: 77 as SessionId };
  await t.throwsAsync(makeDirectory(engine, 'b', stranger), { code: 'NO_SUCH_SESSION' });
});

test('a second master in the same directory is refused', async (t) => {
  const place = new Place(t);
  await place.start();
  await t.throwsAsync(place.start(), { code: 'ALREADY_RUNNING' });
});

test('chunk size and replication are fixed at the first start', async (t) => {
  const place = new Place(t);
  const first = await place.start({ chunkSizeBytes: 1 * MiB, replication: 2 });
  t.is(first.filesystem.chunkSizeBytes, 1 * MiB);
  await first.close();
  const chunkSize = await t.throwsAsync<GfsError>(place.start({ chunkSizeBytes: 2 * MiB }), {
    code: 'CONFIG_MISMATCH',
  });
  t.deepEqual(chunkSize?.fields, { key: 'chunk-size', stored: '1048576', given: '2097152' });
  await t.throwsAsync(place.start({ replication: 3 }), {
    code: 'CONFIG_MISMATCH',
    message: /replication .* 2 .* 3/,
  });
  const again = await place.start();
  t.is(again.filesystem.replication, 2);
  await again.close();
  await t.notThrowsAsync(place.start({ chunkSizeBytes: 1 * MiB, replication: 2 }));
});

test('the store can be deleted, with and without a checkpoint', async (t) => {
  const place = new Place(t);
  let engine = await place.start();
  await makeDirectory(engine, 'a');
  await engine.close();
  rmSync(place.path('store.mdb'));
  engine = await place.start();
  t.deepEqual(names(engine), ['a']);
  await engine.checkpoint();
  await makeDirectory(engine, 'b');
  await engine.close();
  rmSync(place.path('store.mdb'));
  engine = await place.start();
  t.deepEqual(names(engine), ['a', 'b']);
});

test('checkpoints: two are kept, the log before the older one goes, and either of them is enough', async (t) => {
  const place = new Place(t);
  let engine = await place.start({ segmentBytes: 4096, fillBytes: 1024 });
  const expected: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    for (let index = 0; index < 100; index += 1) {
      expected.push(`${round}-${String(index).padStart(3, '0')}`);
      await makeDirectory(engine, expected.at(-1) ?? '');
    }
    await engine.checkpoint();
  }
  await makeDirectory(engine, '9');
  expected.push('9');
  await engine.close();
  const kept = readdirSync(place.path('checkpoints')).sort();
  t.is(kept.length, 2);
  const firstKept = Number((readdirSync(place.path('oplog')).sort()[0] ?? '').slice(0, 20));
  const older = Number((kept[0] ?? '').slice(0, 20));
  t.true(firstKept > 1 && firstKept <= older + 1, `${firstKept} and ${older}`);

  rmSync(place.path('store.mdb'));
  writeFileSync(place.path('checkpoints', kept[1] ?? ''), 'damaged');
  engine = await place.start();
  t.deepEqual(names(engine), expected, 'from the older one, since the newer one is damaged');
  t.is(engine.checkpointPosition, older);
  await engine.close();

  rmSync(place.path('store.mdb'));
  rmSync(place.path('checkpoints', kept[0] ?? ''));
  await t.throwsAsync(place.start(), { code: 'CORRUPT', message: /begins at .* is lost/ });
});

test('a log that was lost or shortened stops the start', async (t) => {
  const place = new Place(t);
  const engine = await place.start({ segmentBytes: 2048, fillBytes: 512 });
  for (let index = 0; index < 120; index += 1) await makeDirectory(engine, String(index));
  await engine.close();
  const segments = readdirSync(place.path('oplog')).sort();
  t.true(segments.length > 2);
  rmSync(place.path('oplog', segments.at(-1) ?? ''));
  await t.throwsAsync(place.start(), { code: 'CORRUPT', message: /are missing from the log/ });
  rmSync(place.path('oplog'), { recursive: true });
  await t.throwsAsync(place.start(), { code: 'CORRUPT', message: /is missing/ });
});

test('after a failed sync nothing is answered any more', async (t) => {
  const place = new Place(t);
  const fatal: unknown[] = [];
  const broken = new BreakingDisk();
  const engine = await place.start({ disk: broken, onFatal: (error) => fatal.push(error) });
  await makeDirectory(engine, 'a');
  broken.failing = true;
  await t.throwsAsync(makeDirectory(engine, 'b'), { code: 'UNAVAILABLE' });
  await t.throwsAsync(makeDirectory(engine, 'c'), { code: 'UNAVAILABLE' });
  t.is(fatal.length, 1);
  t.deepEqual(names(engine), ['a']);
  broken.failing = false;
  await engine.close();
  const again = await place.start();
  t.true(names(again).includes('a'));
});

/** The file, some of whose calls are others. */
function otherwise(file: DiskFile, calls: Partial<DiskFile>): DiskFile {
  return {
    read: (into, position) => file.read(into, position),
    write: (buffers, position) => file.write(buffers, position),
    size: () => file.size(),
    truncate: (length) => file.truncate(length),
    punch: (position, length) => file.punch(position, length),
    dataSync: () => file.dataSync(),
    close: () => file.close(),
    ...calls,
  };
}

/** Its syncs fail from a moment on. */
test('a removal is answered before it is synced, all else after; then it waits for nobody, or for whoever asks', async (t) => {
  const place = new Place(t);
  const counting = new CountingDisk();
  const engine = await place.start({ disk: counting });
  for (const name of ['a', 'b', 'c']) await makeDirectory(engine, name);
  const syncsOf = async (work: () => Promise<unknown>) => {
    const before = counting.syncCount;
    await work();
    return counting.syncCount - before;
  };
  const remove = async (name: string) => {
    const body = { parent: ROOT_INODE, name: Buffer.from(name) };
    unwrap(await engine.execute(INTERNAL, 'removeDirectory', body));
  };
  t.is(await syncsOf(() => remove('a')), 0);
  t.deepEqual(names(engine), ['b', 'c']);
  t.is(await syncsOf(() => engine.synced()), 1);
  t.is(await syncsOf(() => engine.synced()), 0, 'nothing is left to sync');
  t.is(await syncsOf(() => remove('b')), 0);
  t.is(await syncsOf(() => makeDirectory(engine, 'd')), 1);
  t.is(await syncsOf(() => engine.synced()), 0, 'the sync of one is that of all before it');
  const before = counting.syncCount;
  await remove('c');
  while (counting.syncCount === before) await env.sleep(5);
  await engine.close();
  t.deepEqual(names(await place.start()), ['d']);
});

class CountingDisk extends NodeDisk {
  syncCount = 0;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    const { dataSync } = file;
    if (path.includes('oplog')) {
      file.dataSync = () => {
        this.syncCount += 1;
        return dataSync.call(file);
      };
    }
    return file;
  }
}

class BreakingDisk extends NodeDisk {
  failing = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    return otherwise(file, {
      dataSync: () => (this.failing ? Promise.reject(new Error('fsync failed')) : file.dataSync()),
    });
  }
}

test('a full disk refuses what is new, carries out what gives space back, and takes all again when there is room', async (t) => {
  const place = new Place(t);
  const full = new FullDisk();
  const engine = await place.start({
    disk: full,
    openStore: lmdbMetaStores(full),
    fillBytes: 64 * KiB,
  });
  await makeDirectory(engine, 'before');
  full.full = true;
  const sizes = () => [place.path('store.mdb'), ...logFiles(place)].map((path) => statSync(path).size);
  const taken = sizes();
  const given = Array.from({ length: 1500 }, (_, index) => `directory ${index}`);
  const answers = await Promise.allSettled(given.map((name) => makeDirectory(engine, name)));
  const made = given.filter((_, index) => answers[index]?.status === 'fulfilled');
  t.true(made.length > 0, 'room that was taken is used');
  for (const answer of answers) {
    if (answer.status === 'rejected') t.is((answer.reason as GfsError).code, 'NO_SPACE');
  }
  t.true(made.length < given.length);
  // In one batch each gets its own answer.
  const [removal, creation] = await Promise.allSettled([
    removeDirectory(engine, 'before'),
    makeDirectory(engine, 'refused'),
  ]);
  t.is(removal.status, 'fulfilled');
  t.is(creation.status === 'rejected' && (creation.reason as GfsError).code, 'NO_SPACE');
  await Promise.all(made.slice(0, 50).map((name) => removeDirectory(engine, name)));
  t.is(names(engine).length, made.length - 50);
  t.deepEqual(sizes(), taken, 'nothing grew');
  full.full = false;
  await makeDirectory(engine, 'after');
  await engine.close();
  const found = names(await place.start());
  t.deepEqual(found.sort(), [...made.slice(50), 'after'].sort());
});

test('a log that is full goes on in its last segment', async (t) => {
  const place = new Place(t);
  const full = new FullDisk();
  const engine = await place.start({ disk: full, segmentBytes: 2048, fillBytes: 8192 });
  await makeDirectory(engine, 'a');
  full.full = true;
  const segments = logFiles(place);
  for (let index = 0; index < 50; index += 1) await makeDirectory(engine, String(index));
  t.deepEqual(logFiles(place), segments);
  full.full = false;
  await makeDirectory(engine, 'b');
  t.is(logFiles(place).length, segments.length + 1);
  await engine.close();
  t.is(names(await place.start()).length, 52);
});

test('a master is closed on a full disk', async (t) => {
  const place = new Place(t);
  const full = new FullDisk();
  const engine = await place.start({ disk: full });
  await makeDirectory(engine, 'a');
  full.full = true;
  await engine.close();
  t.deepEqual(names(await place.start()), ['a']);
});

test('a checkpoint that finds no room leaves nothing behind', async (t) => {
  const place = new Place(t);
  const full = new FullDisk();
  const engine = await place.start({ disk: full, openStore: memoryMetaStores(full) });
  await makeDirectory(engine, 'a');
  full.full = true;
  await t.throwsAsync(engine.checkpoint(), { code: 'NO_SPACE' });
  t.deepEqual(readdirSync(place.path('checkpoints')), []);
  full.full = false;
  await engine.checkpoint();
  t.is(readdirSync(place.path('checkpoints')).length, 1);
});

async function removeDirectory(engine: MetadataEngine, name: string): Promise<void> {
  unwrap(await engine.execute(INTERNAL, 'removeDirectory', { parent: ROOT_INODE, name: Buffer.from(name) }));
}

function logFiles(place: Place): string[] {
  return readdirSync(place.path('oplog')).map((name) => place.path('oplog', name));
}

/** While it is full, no file grows. */
class FullDisk extends NodeDisk {
  full = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    return otherwise(file, {
      write: async (buffers, position) => {
        const end = position + buffers.reduce((sum, { length }) => sum + length, 0);
        if (this.full && end > (await file.size())) throw new GfsError('NO_SPACE', `${path}: no room`);
        await file.write(buffers, position);
      },
    });
  }
}

test('a cheap refusal is not logged', async (t) => {
  const engine = await new Place(t).start();
  await makeDirectory(engine, 'a');
  const { position } = engine.state;
  await t.throwsAsync(makeDirectory(engine, 'a'), { code: 'EXISTS' });
  t.is(engine.state.position, position);
});

test('a store from before the machine was booted is thrown away, unless it was closed', async (t) => {
  const place = new Place(t);
  let engine = await place.start({ disk: new RebootedDisk('first boot') });
  await makeDirectory(engine, 'a');
  await engine.checkpoint();
  await makeDirectory(engine, 'b');
  await engine.close();
  const mark = readFileSync(place.path('store.mark'), 'latin1');
  t.regex(mark, /first-boot clean/);

  // As the process would have left it, and the power cut then did: the mark open, the store's pages never written.
  writeFileSync(place.path('store.mark'), mark.replace('clean', 'open'));
  writeFileSync(place.path('store.mdb'), Buffer.alloc(100_000, 'not a store'));
  engine = await place.start({ disk: new RebootedDisk('second boot') });
  t.deepEqual(names(engine), ['a', 'b']);
  await engine.close();

  const inode = statSync(place.path('store.mdb')).ino;
  engine = await place.start({ disk: new RebootedDisk('third boot') });
  t.deepEqual(names(engine), ['a', 'b']);
  t.is(statSync(place.path('store.mdb')).ino, inode, 'a clean one is used as it is');
});

class RebootedDisk extends NodeDisk {
  readonly #bootId: string;

  constructor(boot: string) {
    super();
    this.#bootId = boot.replace(' ', '-');
  }

  override async bootId(): Promise<string> {
    return this.#bootId;
  }
}

test('no two commands have the same time, also while the clock stands or is set back a little', async (t) => {
  const place = new Place(t);
  class SetClock extends NodeEnv {
    atMs = 5_000_000_000;
    override nowMicros(): number {
      return this.atMs * 1000;
    }
  }
  const clock = new SetClock(silentLogger);
  const engine = await place.start({ env: clock });
  const times: number[] = [];
  const steps = [0, 0, 5, -3, 0, 1, -2000, 0];
  for (const [index, stepMs] of steps.entries()) {
    clock.atMs += stepMs;
    const inode = await makeDirectory(engine, `d${index}`);
    const { seconds, nanos } = unwrap(engine.state.attributes(inode as InodeId)).ctime;
    times.push((seconds - 5_000_000) * 1e9 + nanos);
  }
  t.is(new Set(times).size, times.length);
  const [, , third, fourth] = times;
  t.is(fourth, (third ?? 0) + 1, 'set back a little: times go on from where they were');
  t.is(times.at(-2), 3e6 - 2e9, 'set back by somebody: so are the times');
});
