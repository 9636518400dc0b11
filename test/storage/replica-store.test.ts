import test, { type ExecutionContext } from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import type { Disk } from '../../src/base/disk.ts';
import { codeOf, GfsError } from '../../src/base/errors.ts';
import { HOUR_MS, KiB, MiB } from '../../src/base/units.ts';
import { replicaPaths } from '../../src/storage/replica-files.ts';
import { type Replica, ReplicaStore, type ReplicaStoreOptions } from '../../src/storage/replica-store.ts';
import { Random } from '../sim/random.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';
import { BLOCK, readAll, versionRecord } from './replica-world.ts';

const DIRECTORY = '/data';

class Server {
  readonly simulation: Simulation;
  readonly disk: SimDisk;
  readonly findings: string[] = [];
  readonly fatal: string[] = [];
  env: SimEnv;
  opened = 0;
  openMax = 0;
  #starts = 0;

  constructor(seed: string | number = 1, capacityBytes = 100 * MiB) {
    this.simulation = new Simulation(seed);
    this.disk = new SimDisk(this.simulation, 'machine', { capacityBytes });
    this.env = new SimEnv(this.simulation, 'nobody');
  }

  async start(options: Partial<ReplicaStoreOptions> = {}): Promise<ReplicaStore> {
    this.env.kill();
    await this.simulation.sleep(50);
    this.#starts += 1;
    this.env = new SimEnv(this.simulation, `process ${this.#starts}`);
    return await ReplicaStore.open({
      env: this.env,
      disk: this.#counting(this.disk.processView(this.env)),
      directory: DIRECTORY,
      onCorrupt: ({ chunk, blockIndex }) => this.findings.push(`${chunk}/${blockIndex}`),
      onFatal: (error) => this.fatal.push(codeOf(error)),
      ...options,
    });
  }

  flip(path: string, position: number): void {
    this.disk.flipBit(path, position, 3);
  }

  #counting(disk: Disk): Disk {
    const open: Disk['open'] = async (path, mode) => {
      const file = await disk.open(path, mode);
      this.opened += 1;
      this.openMax = Math.max(this.openMax, this.opened);
      const close = file.close.bind(file);
      let isOpen = true;
      file.close = () => {
        if (isOpen) this.opened -= 1;
        isOpen = false;
        return close();
      };
      return file;
    };
    return new Proxy(disk, {
      get: (target, key) => {
        if (key === 'open') return open;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

type Body = (t: ExecutionContext, server: Server) => Promise<void>;

function simTest(name: string, body: Body, capacityBytes?: number): void {
  test(name, async (t) => {
    const server = new Server(name, capacityBytes);
    await server.simulation.run(() => body(t, server));
  });
}

function paths(chunk: number) {
  return replicaPaths(`${DIRECTORY}/chunks`, chunk);
}

function pattern(length: number, salt = 1): Buffer {
  return Buffer.alloc(length, new Random(`pattern ${salt}`).bytes(1021));
}

/** A write with the replica's next serial. */
function write(
  replica: Replica,
  chunkOffset: number,
  data: Buffer,
  serial = replica.state.stream.nextSerial,
) {
  const { version } = replica.state.record;
  const checksums = checksumsOf([data], chunkOffset);
  return replica.apply({ kind: 'write', version, serial, chunkOffset, checksums }, [data]);
}

async function codeFrom(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    return codeOf(error);
  }
}

async function bytes(replica: Replica, offset: number, length: number): Promise<Buffer> {
  const { payload, checksums } = await replica.read(offset, length);
  if (checksumsOf(payload, offset).join() !== checksums.join()) throw new Error('wrong checksums of a read');
  return Buffer.from(joined(payload));
}

async function found(store: ReplicaStore, chunk: number): Promise<Replica> {
  const replica = await store.get(chunk);
  if (replica === undefined) throw new Error(`no replica of ${chunk}`);
  return replica;
}

/** A replica of the given content in its data file, with an empty log behind its base. */
async function settled(store: ReplicaStore, chunk: number, content: Buffer): Promise<Replica> {
  const replica = store.create(versionRecord(chunk, 1), 'first');
  await write(replica, 0, content);
  await replica.settle();
  return replica;
}

simTest('reads give the bytes and their checksums, however they are cut', async (t, server) => {
  const store = await server.start();
  const content = pattern(3 * BLOCK + 777);
  const replica = store.create(versionRecord(1, 1), 'first');
  await write(replica, 0, content.subarray(0, 100));
  await write(replica, 100, content.subarray(100));
  const dice = new Random('reads');
  for (let round = 0; round < 50; round += 1) {
    const offset = dice.below(content.length + 10);
    const length = dice.below(2 * BLOCK);
    t.deepEqual(await bytes(replica, offset, length), content.subarray(offset, offset + length));
  }
  const past = await replica.read(content.length, 10);
  t.deepEqual([past.payload, past.chunkLength], [[], content.length]);
  t.is(await codeFrom(replica.read(-1, 10)), 'INVALID_ARGUMENT');
  t.is(await codeFrom(replica.read(2 ** 40, 10)), 'INVALID_ARGUMENT');
});

simTest('a gap reads as zeros, also over bytes that were cut away', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  await write(replica, 0, pattern(2 * BLOCK));
  await replica.sync();
  await replica.apply({ kind: 'cut', version: 1, serial: 1, length: 1000 }, []);
  await replica.sync();
  await write(replica, BLOCK + 5, pattern(BLOCK, 2));
  const expected = Buffer.concat([
    pattern(2 * BLOCK).subarray(0, 1000),
    Buffer.alloc(BLOCK - 995),
    pattern(BLOCK, 2),
  ]);
  t.deepEqual(await readAll(replica), expected);
  t.deepEqual(await readAll(await found(await server.start(), 1)), expected);
});

simTest('P11: orders that are not the next one are refused, and change nothing', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 5), 'first');
  await write(replica, 0, pattern(100));
  const data = pattern(10, 2);
  const checksums = checksumsOf([data], 0);
  const order = { kind: 'write', chunkOffset: 0, checksums } as const;
  t.is(await codeFrom(replica.apply({ ...order, version: 5, serial: 2 }, [data])), 'SERIAL_GAP');
  t.is(await codeFrom(replica.apply({ ...order, version: 4, serial: 1 }, [data])), 'VERSION_MISMATCH');
  t.is(await codeFrom(replica.apply({ ...order, version: 6, serial: 1 }, [data])), 'VERSION_MISMATCH');
  t.is(
    await codeFrom(replica.apply({ ...order, version: 5, serial: 1 }, [pattern(10, 3)])),
    'CHECKSUM_MISMATCH',
  );
  t.is(await codeFrom(replica.apply({ ...order, version: 5, serial: 1 }, [])), 'INVALID_ARGUMENT');
  t.is(
    await codeFrom(replica.apply({ ...order, version: 5, serial: 1, chunkOffset: 2 ** 40 }, [data])),
    'INVALID_ARGUMENT',
  );
  // One that was applied before is taken for a repeat.
  t.is(await codeFrom(replica.apply({ ...order, version: 5, serial: 0 }, [data])), 'ok');
  t.deepEqual(await readAll(replica), pattern(100));
  const seal = { kind: 'seal', version: 5, serial: 1 } as const;
  t.is(await codeFrom(replica.apply({ ...seal, length: 99 }, [])), 'INVALID_ARGUMENT');
  await replica.apply({ ...seal, length: 100 }, []);
  t.is(await codeFrom(write(replica, 95, data)), 'SEALED');
  await write(replica, 90, data);
  await replica.apply({ kind: 'cut', version: 5, serial: 3, length: 40 }, []);
  t.deepEqual([replica.state.length, replica.state.sealed], [40, true]);
});

simTest('P11: after a refused order the ones behind it are refused too', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  await write(replica, 0, pattern(10));
  const bad = replica.apply({ kind: 'write', version: 1, serial: 1, chunkOffset: 0, checksums: [1] }, [
    pattern(10),
  ]);
  const behind = [write(replica, 10, pattern(10), 2), write(replica, 20, pattern(10), 3)];
  t.deepEqual(await Promise.all([bad, ...behind].map(codeFrom)), [
    'CHECKSUM_MISMATCH',
    'SERIAL_GAP',
    'SERIAL_GAP',
  ]);
  t.is(replica.state.stream.nextSerial, 1);
});

simTest('many orders in flight go out in few writes, in their order', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  let writes = 0;
  server.disk.failOperation = (operation) => {
    if (operation === 'write') writes += 1;
    return undefined;
  };
  const parts = Array.from({ length: 100 }, (_, index) => pattern(1000, index));
  await Promise.all(parts.map((part, index) => write(replica, index * 1000, part, index)));
  t.true(writes < 10, `${writes} writes`);
  t.deepEqual(await readAll(replica), Buffer.concat(parts));
});

simTest('overlapping writes in one batch merge with each other', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(2 * BLOCK));
  const expected = pattern(2 * BLOCK);
  const writes = Array.from({ length: 30 }, (_, index) => {
    const data = pattern(5000, index);
    const offset = BLOCK - 4000 + index * 100;
    data.copy(expected, offset);
    return write(replica, offset, data, replica.state.stream.nextSerial + index);
  });
  const during = bytes(replica, 0, 2 * BLOCK);
  await Promise.all(writes);
  await during;
  t.deepEqual(await readAll(replica), expected);
});

simTest(
  'P6: a restarted replica takes no orders before a new version, and none before it is reconciled',
  async (t, server) => {
    const before = await server.start();
    await write(before.create(versionRecord(1, 1), 'first'), 0, pattern(100));
    const replica = await found(await server.start(), 1);
    t.is(replica.state.standing, 'restarted');
    t.is(replica.state.reconciledVersion, 1);
    const end = { length: 100, sealed: false, table: [] };
    t.is(await codeFrom(write(replica, 0, pattern(9))), 'NOT_READY');
    t.is(await codeFrom(replica.reconcileFinish(1, end)), 'NOT_READY');
    t.is(await codeFrom(replica.setVersion(versionRecord(1, 1))), 'VERSION_MISMATCH');
    await replica.setVersion(versionRecord(1, 2));
    t.is(replica.state.standing, 'unreconciled');
    t.is(await codeFrom(write(replica, 0, pattern(9))), 'NOT_READY');
    t.is(await codeFrom(replica.reconcileFinish(1, end)), 'VERSION_MISMATCH');
    await replica.reconcileFinish(2, end);
    t.deepEqual(replica.state.stream, { version: 2, nextSerial: 0 });
    await write(replica, 0, pattern(9));
    // Steps that come again are ignored.
    await replica.reconcileCut(2, 0, { lowered: [], dropped: [] });
    await replica.reconcileFinish(2, { length: 0, sealed: true, table: [] });
    t.deepEqual([replica.state.length, replica.state.sealed], [100, false]);
  },
);

simTest("a reconcile that began leaves a stream that equals nobody's", async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(BLOCK + 100));
  await replica.setVersion(versionRecord(1, 2));
  t.deepEqual((await replica.blockChecksums()).stream, { version: 1, nextSerial: 1 });
  const block = pattern(BLOCK, 2);
  t.is(await codeFrom(replica.reconcileBlock(2, 0, [block], 1)), 'CHECKSUM_MISMATCH');
  t.is(await codeFrom(replica.reconcileBlock(2, 1, [block.subarray(0, 99)], 1)), 'INVALID_ARGUMENT');
  await replica.reconcileBlock(2, 0, [block], crc32(block));
  t.deepEqual((await replica.blockChecksums()).stream, { version: 0, nextSerial: 0 });
  const table = [{ writer: 9, number: 1, chunkOffset: 0, length: 5, checksum: 7 }];
  await replica.reconcileFinish(2, { length: BLOCK + 50, sealed: true, table });
  const again = await found(await server.start(), 1);
  t.deepEqual(await readAll(again), Buffer.concat([block, pattern(BLOCK + 100).subarray(BLOCK, BLOCK + 50)]));
  t.deepEqual((await again.blockChecksums()).table, table);
});

simTest('a seal behind the end of a replica fills it up with zeros', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(BLOCK + 100));
  const sealed = Buffer.concat([pattern(BLOCK + 100), Buffer.alloc(2 * BLOCK)]);
  await replica.apply({ kind: 'seal', version: 1, serial: 1, length: sealed.length }, []);
  t.deepEqual(await readAll(replica), sealed);
  const again = await found(await server.start(), 1);
  t.deepEqual(await readAll(again), sealed);
  t.true(again.state.sealed);
});

simTest('a cut comes with a version once only', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(BLOCK));
  const cut = { cutVersion: 3, cutLength: 1000 };
  await replica.setVersion({ ...versionRecord(1, 2), cutVersion: 2, cutLength: 5000 });
  t.is(replica.state.length, 5000);
  await replica.setVersion({ ...versionRecord(1, 4), ...cut });
  t.is(replica.state.length, 1000);
  await replica.reconcileFinish(4, { length: 1000, sealed: false, table: [] });
  await write(replica, 1000, pattern(500));
  await replica.setVersion({ ...versionRecord(1, 5), ...cut });
  t.is(replica.state.length, 1500);
});

simTest(
  'a flipped bit is an error of its block alone, is counted, and never merged away',
  async (t, server) => {
    const store = await server.start();
    const content = pattern(3 * BLOCK);
    const replica = await settled(store, 1, content);
    server.flip(paths(1).data, BLOCK + 9);
    const error = await t.throwsAsync(replica.read(0, 3 * BLOCK), { instanceOf: GfsError });
    t.deepEqual([codeOf(error), error.fields], ['CHECKSUM_MISMATCH', { chunk: '1', block: '1' }]);
    t.deepEqual(server.findings, ['1/1']);
    t.is(store.corruptBlockCount, 1);
    t.deepEqual(await bytes(replica, 0, BLOCK), content.subarray(0, BLOCK));
    t.is(await codeFrom(write(replica, BLOCK + 5, pattern(10))), 'CHECKSUM_MISMATCH');
    t.is(replica.state.stream.nextSerial, 1);
    t.is(
      await codeFrom(replica.apply({ kind: 'cut', version: 1, serial: 1, length: BLOCK + 5 }, [])),
      'CHECKSUM_MISMATCH',
    );
    t.is(await codeFrom(replica.read(BLOCK, 1)), 'CHECKSUM_MISMATCH');
    // A whole new block needs nothing of the old one.
    await write(replica, BLOCK, pattern(BLOCK, 2));
    t.deepEqual(await bytes(replica, BLOCK, BLOCK), pattern(BLOCK, 2));
  },
);

simTest(
  'a bad block is mended with the bytes that match, and nothing else of the replica changes',
  async (t, server) => {
    const store = await server.start();
    const content = pattern(2 * BLOCK + 500);
    const replica = await settled(store, 1, content);
    for (const position of [9, BLOCK + 9, 2 * BLOCK + 9]) server.flip(paths(1).data, position);
    const before = [await replica.blockChecksums(), { ...replica.state, readAtMs: 0, diskBytes: 0 }];
    const block = (index: number) => content.subarray(index * BLOCK, (index + 1) * BLOCK);
    t.false(await replica.mendBlock(1, [block(0)]), 'bytes of another block');
    t.false(await replica.mendBlock(1, [block(1).subarray(0, 5)]), 'too few of them');
    t.false(await replica.mendBlock(1, []));
    t.is(await codeFrom(replica.read(BLOCK, 10)), 'CHECKSUM_MISMATCH');
    for (const index of [0, 1, 2]) t.true(await replica.mendBlock(index, [block(index)]));
    t.deepEqual(await bytes(replica, 0, content.length), content);
    t.true(await replica.mendBlock(1, [block(0)]), 'what is good stays as it is');
    t.true(await replica.mendBlock(7, [block(0)]), 'and there is nothing bad behind the end');
    t.deepEqual([await replica.blockChecksums(), { ...replica.state, readAtMs: 0, diskBytes: 0 }], before);
    await replica.settle();
    t.deepEqual(await bytes(replica, 0, content.length), content);
    const restarted = await found(await server.start(), 1);
    t.true(restarted.state.whole);
    t.deepEqual(await bytes(restarted, 0, content.length), content);
  },
);

simTest(
  'a change that comes before a mend wins, and one that only adds does not hinder it',
  async (t, server) => {
    const store = await server.start();
    const content = pattern(BLOCK + 500);
    const replica = await settled(store, 1, content);
    const bad = content.subarray(BLOCK);
    server.flip(paths(1).data, BLOCK + 9);
    const added = pattern(100, 5);
    const grown = write(replica, BLOCK + 500, added, 1);
    t.true(await replica.mendBlock(1, [bad]), 'the bytes that were read elsewhere before it grew');
    await grown;
    t.deepEqual(await bytes(replica, BLOCK, 600), Buffer.concat([bad, added]));
    await replica.settle();
    server.flip(paths(1).data, BLOCK + 9);
    const newer = pattern(600, 6);
    const [, mended] = await Promise.all([write(replica, BLOCK, newer, 2), replica.mendBlock(1, [bad])]);
    t.true(mended);
    t.deepEqual(await bytes(replica, BLOCK, 600), newer);
  },
);

simTest(
  'what was bad in the log is not in it any more when a replica that was mended has settled',
  async (t, server) => {
    const store = await server.start();
    const content = pattern(1000);
    const replica = await settled(store, 1, content);
    server.flip(paths(1).log, server.disk.names.file(paths(1).log).length - 500);
    t.is(await codeFrom(replica.read(0, 10)), 'CHECKSUM_MISMATCH');
    t.true(await replica.mendBlock(0, [content]));
    await replica.settle();
    const restarted = await found(await server.start(), 1);
    t.true(restarted.state.whole);
    t.deepEqual(await bytes(restarted, 0, 1000), content);
  },
);

simTest('a version is recorded though the block it cuts is bad, which stays bad', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(2 * BLOCK));
  server.flip(paths(1).data, BLOCK + 9);
  await replica.setVersion(versionRecord(1, 2, BLOCK + 100));
  t.deepEqual(
    [replica.state.record.version, replica.state.length, replica.state.whole],
    [2, BLOCK + 100, false],
  );
  t.is(await codeFrom(replica.read(BLOCK, 10)), 'CHECKSUM_MISMATCH');
  const good = pattern(2 * BLOCK).subarray(BLOCK, BLOCK + 100);
  await replica.reconcileBlock(2, 1, [good], crc32(good));
  await replica.reconcileFinish(2, { length: BLOCK + 100, sealed: false, table: [] });
  t.true(replica.state.whole);
  t.deepEqual(await readAll(replica), pattern(2 * BLOCK).subarray(0, BLOCK + 100));
});

test('killed in mid-overwrite and with one bit flipped, a restart reads old bytes, new bytes or an error', async (t) => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 300; seed += 1) {
    const server = new Server(`flip ${seed}`);
    await server.simulation.run(async () => {
      const dice = new Random(`flip ${seed}`);
      const store = await server.start({ logBytesMax: 100 * KiB });
      const old = pattern(BLOCK + 5000);
      const replica = await settled(store, 1, old);
      const states = [old];
      for (let count = 0; count < 4; count += 1) {
        const data = pattern(3000 + dice.below(BLOCK), count);
        const offset = dice.below(3000);
        const last = states.at(-1) ?? old;
        const next = Buffer.alloc(Math.max(last.length, offset + data.length));
        last.copy(next);
        data.copy(next, offset);
        states.push(next);
        const done = write(replica, offset, data, replica.state.stream.nextSerial + count);
        if (count === 2) void replica.settle().catch(() => {});
        void done.catch(() => {});
      }
      await server.simulation.sleep(dice.between(0, dice.pick([0.2, 12])));
      server.env.kill();
      await server.simulation.sleep(50);
      // Without a flipped bit, now and then: the old bytes cannot be read over one.
      const path = dice.pick([paths(1).log, paths(1).data, '/nowhere']);
      const file = server.disk.names.find(path);
      if (file?.kind === 'file' && file.length > 0) server.flip(path, dice.below(file.length));
      outcomes.add(await outcomeOf(await server.start(), states));
    });
  }
  t.deepEqual([...outcomes].sort(), [
    'CHECKSUM_MISMATCH',
    'CORRUPT',
    'new',
    'not whole',
    'old',
    'one in between',
  ]);
});

async function outcomeOf(store: ReplicaStore, states: readonly Buffer[]): Promise<string> {
  try {
    const replica = await found(store, 1);
    // A server answers no reads from such a one (P7).
    if (!replica.state.whole) return 'not whole';
    const { payload } = await replica.read(0, 2 * BLOCK);
    const index = states.findIndex((state) => state.equals(joined(payload)));
    if (index < 0) return `bytes that never were: ${replica.state.length}`;
    if (index === 0) return 'old';
    return index === states.length - 1 ? 'new' : 'one in between';
  } catch (error) {
    return codeOf(error);
  }
}

simTest(
  'a full disk refuses before anything is changed, and nothing is lost',
  async (t, server) => {
    const store = await server.start({ reserveBytes: 300 * KiB });
    const replica = store.create(versionRecord(1, 1), 'first');
    let count = 0;
    let code = 'ok';
    for (; code === 'ok'; count += 1) {
      code = await codeFrom(write(replica, count * BLOCK, pattern(BLOCK, count), count));
    }
    t.is(code, 'NO_SPACE');
    t.is(replica.state.length, (count - 1) * BLOCK);
    // The reserve is there for what must go on.
    await replica.sync();
    await replica.setVersion(versionRecord(1, 2));
    const expected = Buffer.concat(Array.from({ length: count - 1 }, (_, index) => pattern(BLOCK, index)));
    t.deepEqual(await readAll(replica), expected);
    t.deepEqual(await readAll(await found(await server.start(), 1)), expected);
  },
  1 * MiB,
);

simTest(
  'on a disk that takes no more data a replica is made equal to others from the reserve, a new one is not',
  async (t, server) => {
    const store = await server.start({ reserveBytes: 400 * KiB });
    const replica = store.create(versionRecord(1, 1), 'first');
    for (let count = 0, code = 'ok'; code === 'ok'; count += 1) {
      code = await codeFrom(write(replica, count * BLOCK, pattern(BLOCK, count), count));
    }
    const { length } = replica.state;
    await replica.setVersion(versionRecord(1, 2));
    const data = pattern(BLOCK, 99);
    t.is(await codeFrom(replica.reconcileBlock(2, 0, [data], crc32(data))), 'ok');
    await replica.reconcileFinish(2, { length, sealed: false, table: [] });
    t.deepEqual((await replica.read(0, BLOCK)).payload, [data]);
    const copy = store.create(versionRecord(2, 2), 'copy');
    t.is(await codeFrom(copy.reconcileBlock(2, 0, [data], crc32(data))), 'NO_SPACE');
    t.is(copy.state.length, 0);
  },
  1 * MiB,
);

simTest(
  'on a disk without a free byte a server starts, reads and deletes, and writes when there is room',
  async (t, server) => {
    const store = await server.start();
    for (const chunk of [1, 2])
      await write(store.create(versionRecord(chunk, 1), 'first'), 0, pattern(1000, chunk));
    await store.close();
    server.disk.fill();
    const full = await server.start();
    t.false(full.powerLost);
    const replica = await found(full, 1);
    t.deepEqual(await readAll(replica), pattern(1000, 1));
    t.is(await codeFrom(replica.setVersion(versionRecord(1, 2))), 'NO_SPACE');
    t.is(replica.state.record.version, 1);
    t.deepEqual(await readAll(replica), pattern(1000, 1));
    await full.delete(2);
    t.deepEqual(full.chunks(), [1]);
    server.disk.empty();
    await replica.setVersion(versionRecord(1, 2));
    t.is(replica.state.record.version, 2);
    t.deepEqual(server.fatal, []);
  },
);

for (const [when, written] of [
  ['after it wrote', true],
  ['before it wrote', false],
] as const) {
  simTest(`a server that started on a full disk knows whether power was lost ${when}`, async (t, server) => {
    const store = await server.start();
    await write(store.create(versionRecord(1, 1), 'first'), 0, pattern(1000));
    await store.close();
    server.disk.fill();
    const full = await server.start();
    server.disk.empty();
    if (written) await (await found(full, 1)).setVersion(versionRecord(1, 2));
    server.disk.powerCut();
    t.is((await server.start()).powerLost, written);
  });
}

simTest(
  'a replica whose log went bad is lost when a write to it fails, and the server goes on',
  async (t, server) => {
    const store = await server.start();
    const [bad, good] = [1, 2].map((chunk) => store.create(versionRecord(chunk, 1), 'first'));
    if (bad === undefined || good === undefined) throw new Error('two were created');
    for (const replica of [bad, good]) await write(replica, 0, pattern(1000));
    server.flip(paths(1).log, 40);
    server.disk.fill();
    t.is(await codeFrom(write(bad, 1000, pattern(1000))), 'NO_SPACE');
    server.disk.empty();
    t.is(await codeFrom(write(bad, 1000, pattern(1000))), 'IO_ERROR');
    t.deepEqual([bad.usable, good.usable], [false, true]);
    // When all is quiet, replicas are put in order.
    await server.simulation.sleep(60_000);
    t.is(await codeFrom(write(good, 1000, pattern(1000))), 'ok');
    t.deepEqual(server.fatal, []);
  },
);

simTest(
  'a log that a full disk has no room to rewrite is left out, and found when there is room',
  async (t, server) => {
    const store = await server.start();
    for (const chunk of [1, 2]) {
      await write(store.create(versionRecord(chunk, 1), 'first'), 0, pattern(1000));
    }
    await store.close();
    const log = server.disk.names.file(paths(1).log);
    log.write(Buffer.alloc(20), log.length);
    server.disk.fill();
    const full = await server.start();
    const reported: number[] = [];
    for await (const { chunk } of full.states()) reported.push(chunk);
    t.deepEqual([reported, full.chunks()], [[2], [1, 2]]);
    server.disk.empty();
    t.deepEqual(await readAll(await found(full, 1)), pattern(1000));
    t.deepEqual(server.fatal, []);
  },
);

simTest(
  'once the disk has refused a record, no room is told of before it was asked again',
  async (t, server) => {
    const store = await server.start();
    const replica = store.create(versionRecord(1, 1), 'first');
    await write(replica, 0, pattern(1000));
    t.true(await store.hasRoomForRecords());
    server.disk.fill();
    t.is(await codeFrom(replica.setVersion(versionRecord(1, 2))), 'NO_SPACE');
    t.false(await store.hasRoomForRecords());
    server.disk.empty();
    await server.simulation.sleep(2_000);
    t.true(await store.hasRoomForRecords());
  },
);

simTest('a server ends well on a full disk', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  await write(replica, 0, pattern(1000));
  server.disk.fill();
  t.is(await codeFrom(write(store.create(versionRecord(2, 1), 'first'), 0, pattern(1000))), 'NO_SPACE');
  await store.close();
  t.deepEqual(server.fatal, []);
  t.deepEqual(await readAll(await found(await server.start(), 1)), pattern(1000));
});

test('a write that fails in the middle leaves the replica as it was, and it goes on', async (t) => {
  for (let nth = 1; nth <= 14; nth += 1) {
    const server = new Server(`fail ${nth}`);
    await server.simulation.run(async () => {
      const store = await server.start({ logBytesMax: 60 * KiB });
      const replica = store.create(versionRecord(1, 1), 'first');
      let left = nth;
      server.disk.failOperation = (operation, path) => {
        if (operation !== 'write' || !path.includes('chunks')) return undefined;
        left -= 1;
        return left === 0 ? 'NO_SPACE' : undefined;
      };
      let model = Buffer.alloc(0);
      const dice = new Random(`fail ${nth}`);
      for (let step = 0; step < 12; step += 1) {
        const data = pattern(dice.pick([100, 20_000, BLOCK]), step);
        const offset = dice.below(model.length + 1);
        const code = await codeFrom(write(replica, offset, data));
        const next = Buffer.alloc(Math.max(model.length, offset + data.length));
        model.copy(next);
        data.copy(next, offset);
        if (code === 'ok') model = next;
        else t.is(code, 'NO_SPACE');
        if (step % 5 === 4) await replica.sync();
        t.deepEqual(await readAll(replica), model);
      }
      t.deepEqual(await readAll(await found(await server.start(), 1)), model);
      t.deepEqual(server.fatal, []);
    });
  }
});

simTest('a failed sync is fatal, and nothing is taken from then on', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  await write(replica, 0, pattern(100));
  server.disk.failOperation = (operation) => (operation === 'sync' ? 'IO_ERROR' : undefined);
  t.is(await codeFrom(replica.sync()), 'IO_ERROR');
  t.deepEqual(server.fatal, ['IO_ERROR']);
  server.disk.failOperation = undefined;
  t.is(await codeFrom(replica.sync()), 'IO_ERROR');
  t.is(await codeFrom(write(replica, 100, pattern(100))), 'IO_ERROR');
  await store.close();
  server.disk.powerCut();
  t.true((await server.start()).powerLost);
});

simTest('files of few replicas are open at a time, and all are read', async (t, server) => {
  const store = await server.start({ openReplicasMax: 4 });
  for (let chunk = 1; chunk <= 40; chunk += 1) {
    const replica = store.create(versionRecord(chunk, 1), 'first');
    await write(replica, 0, pattern(100_000, chunk));
  }
  for (let chunk = 40; chunk >= 1; chunk -= 1) {
    t.deepEqual(await readAll(await found(store, chunk)), pattern(100_000, chunk));
  }
  // Two files each, and those that are just being put away.
  t.true(server.openMax <= 16, `${server.openMax} open files`);
  await store.close();
  t.is(server.opened, 0);
});

simTest(
  'after a clean close everything is whole, though power was lost; not after an unclean end',
  async (t, server) => {
    const store = await server.start();
    for (let chunk = 1; chunk <= 3; chunk += 1) await settled(store, chunk, pattern(1000, chunk));
    await store.close();
    server.disk.powerCut();
    const second = await server.start();
    t.false(second.powerLost);
    const wholeOf = async (of: ReplicaStore) => {
      const found: boolean[] = [];
      for await (const { whole } of of.states()) found.push(whole);
      return found;
    };
    t.deepEqual(await wholeOf(second), [true, true, true]);
    server.disk.powerCut();
    const third = await server.start();
    t.true(third.powerLost);
    t.deepEqual(await wholeOf(third), [false, false, false]);
    // It stays so, also for the next process.
    t.deepEqual(await wholeOf(await server.start()), [false, false, false]);
  },
);

simTest('the times of the last write and the last read are kept', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(1000));
  const writtenAtMs = replica.state.writtenAtMs;
  t.is(writtenAtMs, Math.floor(writtenAtMs));
  await server.simulation.sleep(2 * HOUR_MS);
  await replica.read(0, 10);
  const { readAtMs } = replica.state;
  t.true(readAtMs - writtenAtMs >= 2 * HOUR_MS);
  await store.close();
  const { state } = await found(await server.start(), 1);
  t.deepEqual([state.writtenAtMs, state.readAtMs], [writtenAtMs, readAtMs]);
});

simTest('a deleted chunk is gone, with its space, and what was asked of it is refused', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(3 * BLOCK));
  await write(store.create(versionRecord(2, 1), 'first'), 0, pattern(100));
  const before = await store.space();
  t.is(before.chunkCount, 2);
  await Promise.all([store.delete(1), store.delete(1), store.delete(77)]);
  t.is(await store.get(1), undefined);
  t.deepEqual(store.chunks(), [2]);
  t.is(await codeFrom(replica.read(0, 1)), 'NO_SUCH_CHUNK');
  t.is(await codeFrom(write(replica, 0, pattern(1))), 'NO_SUCH_CHUNK');
  const after = await store.space();
  t.true(before.usedBytes - after.usedBytes >= 3 * BLOCK);
  const again = await server.start();
  t.deepEqual(again.chunks(), [2]);
});

simTest('a replica whose files cannot be used is lost, not absent, and can be deleted', async (t, server) => {
  const before = await server.start();
  await settled(before, 1, pattern(1000));
  await settled(before, 2, pattern(1000));
  server.flip(paths(1).log, 20);
  const store = await server.start();
  t.deepEqual(store.chunks(), [1, 2]);
  t.is(await codeFrom(store.get(1)), 'CORRUPT');
  t.throws(() => store.create(versionRecord(1, 1), 'first'), { code: 'EXISTS' });
  const states: number[] = [];
  for await (const { chunk } of store.states()) states.push(chunk);
  t.deepEqual(states, [2]);
  await store.delete(1);
  t.is(await store.get(1), undefined);
});

simTest('P8: of a reconcile that did not end, blocks behind the end count for nothing', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  const own = pattern(BLOCK + 100);
  await write(replica, 0, own);
  await replica.setVersion(versionRecord(1, 2));
  // Of a primary's record that begins in block 1 and ends in block 3, the middle comes first.
  const theirs = pattern(BLOCK, 2);
  await replica.reconcileBlock(2, 2, [theirs], crc32(theirs));
  await replica.reconcileBlock(2, 1, [theirs], crc32(theirs));
  t.is(replica.state.length, own.length);
  t.is((await bytes(replica, BLOCK, 2 * BLOCK)).length, 100);
  await replica.settle();
  t.is(replica.state.length, own.length, 'through a fold too');
  const again = await found(await server.start(), 1);
  t.is(again.state.length, own.length, 'and through a restart');
  t.is((await again.blockChecksums()).length, 3 * BLOCK, 'but its primary need not send them again');
  await again.setVersion(versionRecord(1, 3));
  t.is((await again.blockChecksums()).length, own.length);
  const expected = Buffer.concat([own.subarray(0, BLOCK), theirs.subarray(0, 100)]);
  t.deepEqual(await readAll(again), expected);
  await again.reconcileFinish(3, { length: own.length, sealed: false, table: [] });
  await write(again, BLOCK + 100, pattern(2 * BLOCK, 3));
  t.deepEqual(await readAll(again), Buffer.concat([expected, pattern(2 * BLOCK, 3)]));
});

simTest('P8: a cut takes entries of the table with its bytes, also from the disk', async (t, server) => {
  const store = await server.start();
  const replica = store.create(versionRecord(1, 1), 'first');
  const record = pattern(50);
  for (const [serial, [writer, number]] of [
    [1, 1],
    [2, 1],
    [1, 2],
    [3, 1],
  ].entries()) {
    const at = { chunkOffset: 50 * serial, checksums: checksumsOf([record], 50 * serial) };
    const recordChecksum = crc32(record);
    await replica.apply(
      {
        kind: 'append',
        ...{ version: 1, serial, ...at, writer: writer ?? 0, number: number ?? 0, recordChecksum },
      },
      [record],
    );
  }
  await replica.setVersion(versionRecord(1, 2));
  const lowered = { writer: 1, number: 1, chunkOffset: 0, length: 50, checksum: crc32(record) };
  await replica.reconcileCut(2, 100, { lowered: [lowered], dropped: [3] });
  await replica.sync();
  server.disk.powerCut();
  const again = await found(await server.start(), 1);
  const { length, table } = await again.blockChecksums();
  t.is(length, 100);
  t.deepEqual(table.map(({ writer, number }) => [writer, number]).sort(), [
    [1, 1],
    [2, 1],
  ]);
});

simTest('a replica that two look for at a time is found once', async (t, server) => {
  const before = await server.start();
  const replica = before.create(versionRecord(1, 1), 'first');
  await write(replica, 0, pattern(1000));
  await replica.sync();
  await write(replica, 0, pattern(1000, 2));
  server.disk.powerCut();
  const store = await server.start();
  const scanning = store.states().next();
  const got = await found(store, 1);
  await scanning;
  t.is(await found(store, 1), got);
  await store.close();
  t.deepEqual(server.fatal, []);
});

simTest('a missing data file is an error of its reads, not of the server', async (t, server) => {
  const before = await server.start();
  await settled(before, 1, pattern(2 * BLOCK));
  server.disk.names.remove(paths(1).data);
  const store = await server.start();
  const replica = await found(store, 1);
  t.false(replica.state.whole);
  t.is(await codeFrom(replica.read(0, 10)), 'IO_ERROR');
  await store.close();
  t.deepEqual(server.fatal, []);
});

simTest('the directory is locked, and keeps the identity', async (t, server) => {
  const store = await server.start();
  t.is(store.identity, undefined);
  await store.setIdentity({ filesystemId: 'fs', serverId: 12 });
  const env = new SimEnv(server.simulation, 'other');
  const other = ReplicaStore.open({ env, disk: server.disk.processView(env), directory: DIRECTORY });
  t.is(await codeFrom(other), 'ALREADY_RUNNING');
  await store.close();
  await store.close();
  t.is(await codeFrom(store.get(1)), 'UNAVAILABLE');
  t.deepEqual((await server.start()).identity, { filesystemId: 'fs', serverId: 12 });
  server.disk.names.file(`${DIRECTORY}/identity.json`).truncate(5);
  t.is(await codeFrom(server.start()), 'CORRUPT');
});

simTest('in quiet times what is in the log goes to its place, and is synced', async (t, server) => {
  const store = await server.start();
  const replica = await settled(store, 1, pattern(4 * BLOCK));
  await write(replica, 100, pattern(2 * BLOCK, 2));
  const busy = replica.state.diskBytes;
  t.true(replica.unsynced);
  await server.simulation.sleep(60_000);
  t.false(replica.unsynced);
  t.true(replica.state.diskBytes < busy - BLOCK);
  const expected = pattern(4 * BLOCK);
  pattern(2 * BLOCK, 2).copy(expected, 100);
  t.deepEqual(await readAll(replica), expected);
});
