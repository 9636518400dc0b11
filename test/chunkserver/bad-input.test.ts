// What cannot be meant, sent over a real socket, case by case: it is refused with a code, no replica has changed, nobody is
// accused, and the next good request goes through as if nothing had been.
import test from 'ava';
import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import {
  ChunkserverDefinition,
  type MutateRequest,
  MutationKind,
  type Order,
  type PushHeader,
  type PushRangeRequest,
  type PushRequest,
} from '../../src/rpc/messages.ts';
import { CHUNK_SIZE_BYTES, Cluster, orderTo, sameBytes, sample } from './harness.ts';

const CHUNK = 11;
const UNKNOWN = 99;
const NEW = 12;
/** Of the chunk; its first has passed. */
const VERSION = 2;
const EMPTY = Buffer.alloc(0);
const RECORD_BYTES_MAX = CHUNK_SIZE_BYTES / 4;
const PUSHED_BYTES = 100 * KiB;
const WRITE = MutationKind.MUTATION_KIND_WRITE;
const APPEND = MutationKind.MUTATION_KIND_APPEND;
const SEAL = MutationKind.MUTATION_KIND_SEAL;
const { methods } = ChunkserverDefinition;

/** Of what the chunk holds when the bad request comes: an append and two writes, one under each version. */
const CONTENT = Buffer.concat([sample(50), sample(100, 2), sample(30, 3)]);

function refuses(title: string, code: ErrorCode, send: (cluster: Cluster) => Promise<unknown>): void {
  test.serial(title, async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.append(CHUNK, sample(100), { writer: 1, number: 5 });
    await cluster.write(CHUNK, 50, sample(100, 2), { writer: 2, number: 1 });
    await cluster.raise(CHUNK, VERSION, 0);
    await cluster.write(CHUNK, 150, sample(30, 3), { writer: 2, number: 2, version: VERSION });
    const before = await everything(cluster);

    await t.throwsAsync(send(cluster), { name: 'GfsError', code });

    t.deepEqual(await everything(cluster), before);
    const record = sample(PUSHED_BYTES, 4);
    const pushId = await cluster.push(CHUNK, 0, record, { version: VERSION });
    const next = { writer: 1, number: 6, version: VERSION };
    t.is((await cluster.append(CHUNK, record, { ...next, pushId })).chunkOffset, CONTENT.length);
    for (const index of [0, 1, 2]) {
      const found = await cluster.read(index, CHUNK, 0, 1 * MiB, VERSION);
      sameBytes(t, found, Buffer.concat([CONTENT, record]), `server ${index}`);
      t.is((await cluster.sumsOf(index, CHUNK, VERSION)).nextSerial, 2);
    }
    t.deepEqual(cluster.master.evictions, [], 'nobody is accused for it');
    t.deepEqual(
      cluster.servers.flatMap(({ fatal }) => fatal),
      [],
    );
  });
}

/** Length, serial, checksums, table and version at every member; and what there is of other chunks. */
async function everything(cluster: Cluster) {
  return await Promise.all(
    cluster.servers.map(async (_, index) => ({
      sums: await cluster.sumsOf(index, CHUNK, VERSION),
      state: await cluster.stateOf(index, CHUNK),
      others: [await cluster.stateOf(index, UNKNOWN), await cluster.stateOf(index, NEW)],
    })),
  );
}

/** To the primary, by default a good one. */
async function mutate(
  cluster: Cluster,
  data: Buffer,
  change: Partial<MutateRequest> & Pick<MutateRequest, 'kind'>,
): Promise<void> {
  const { kind, chunkOffset = 0 } = change;
  const checksums = kind === WRITE ? checksumsOf([data], chunkOffset) : [crc32(data)];
  const request = {
    ...{ chunk: CHUNK, version: VERSION, writer: 1, number: 6, chunkOffset, pushId: undefined },
    ...{ length: data.length, checksums, first: undefined, recordLengths: [], payload: EMPTY, ...change },
  };
  const payload = request.pushId === undefined ? [data] : [];
  await cluster.at(0).connection.call(methods.mutate, request, { payload });
}

interface BadOrder extends Partial<Order> {
  readonly chunk?: number;
  readonly version?: number;
}

/** To a secondary, by default the good one that is next there. */
async function order(
  cluster: Cluster,
  data: Buffer,
  { chunk = CHUNK, version = VERSION, ...change }: BadOrder,
) {
  const { kind = WRITE, chunkOffset = CONTENT.length } = change;
  const checksums = kind === SEAL ? [] : checksumsOf([data], chunkOffset);
  const good = { serial: 1, kind, writer: 1, number: 6, chunkOffset, length: data.length, checksums };
  const request = orderTo(chunk, version, { recordChecksum: crc32(data), ...good, ...change });
  await cluster.at(1).connection.call(methods.apply, request, { payload: [data] });
}

/** Along the whole chain; a piece is its data, with its checksums unless they are given. */
async function push(
  cluster: Cluster,
  pieces: readonly { readonly data: Buffer; readonly checksums?: number[] }[],
  change: Partial<PushHeader> | 'no header' = {},
): Promise<void> {
  const stream = cluster.at(0).connection.stream(methods.push);
  const finished = stream.finished();
  finished.catch(() => undefined);
  const length = pieces.reduce((sum, { data }) => sum + data.length, 0);
  const chain = [1, 2].map((index) => cluster.replica(index));
  const good = { pushId: { writer: 1, number: 6 }, chunk: CHUNK, version: VERSION, chunkOffset: 0, length };
  let header: PushRequest['header'] = change === 'no header' ? undefined : { ...good, chain, ...change };
  let offset = 0;
  for (const { data, checksums = checksumsOf([data], offset) } of pieces) {
    await stream.send({ header, checksums, payload: EMPTY }, [data]).catch(() => undefined);
    header = undefined;
    offset += data.length;
  }
  stream.end();
  await finished;
}

/** From a member of what is copied, by default a good range for a good place. */
async function pushRange(
  cluster: Cluster,
  change: Partial<Omit<PushRangeRequest, 'header'>>,
  header: Partial<PushHeader> | 'no header' = {},
): Promise<void> {
  const chain = [1, 2].map((index) => cluster.replica(index));
  const pushId = { writer: 1, number: 6 };
  const good = { pushId, chunk: CHUNK, version: VERSION, chunkOffset: 0, length: 10, chain };
  const request = { chunk: CHUNK, version: VERSION, chunkOffset: 0, ...change };
  const named = header === 'no header' ? undefined : { ...good, ...header };
  await cluster.at(0).connection.call(methods.pushRange, { ...request, header: named });
}

// A version that is not the chunk's.
for (const [which, version] of [
  ['lower', VERSION - 1],
  ['higher', VERSION + 1],
] as const) {
  refuses(`a write at a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    mutate(cluster, sample(10), { kind: WRITE, version }),
  );
  refuses(`an append at a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    mutate(cluster, sample(10), { kind: APPEND, version }),
  );
  refuses(`a seal at a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    mutate(cluster, EMPTY, { kind: SEAL, version }),
  );
  refuses(`an order at a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    order(cluster, sample(10), { version }),
  );
  refuses(`a push at a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    push(cluster, [{ data: sample(10) }], { version }),
  );
  refuses(`a copy of a ${which} version`, 'VERSION_MISMATCH', (cluster) => pushRange(cluster, { version }));
  refuses(`a copy to a ${which} version`, 'VERSION_MISMATCH', (cluster) =>
    pushRange(cluster, {}, { version }),
  );
}
refuses('an append at no version', 'VERSION_MISMATCH', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, version: 0 }),
);

// A chunk that is not there.
refuses('a write to an unknown chunk', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, chunk: UNKNOWN }),
);
refuses('an append to an unknown chunk', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, chunk: UNKNOWN }),
);
refuses('a seal of an unknown chunk', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, EMPTY, { kind: SEAL, chunk: UNKNOWN }),
);
refuses('an order for an unknown chunk', 'NO_SUCH_CHUNK', (cluster) =>
  order(cluster, sample(10), { chunk: UNKNOWN }),
);
refuses('a first write without what the master logged', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, chunk: UNKNOWN, version: 1 }),
);
refuses('a first write with the record of another chunk', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, chunk: UNKNOWN, version: 1, first: cluster.record(NEW) }),
);
refuses('a first write to a server that the record does not name', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, sample(10), {
    kind: WRITE,
    chunk: NEW,
    version: 1,
    first: cluster.record(NEW, 1, 1, [1, 2]),
  }),
);
refuses('a first write at a later version', 'NO_SUCH_CHUNK', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, chunk: NEW, version: 3, first: cluster.record(NEW, 3) }),
);
refuses('a first write that got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  mutate(cluster, sample(10), {
    kind: WRITE,
    chunk: NEW,
    version: 1,
    first: cluster.record(NEW),
    checksums: [1],
  }),
);
refuses('a first write with the record of more members than there can be', 'INVALID_ARGUMENT', (cluster) => {
  const members = Array.from({ length: 30 }, () => cluster.replica(0));
  const first = { ...cluster.record(NEW), members };
  return mutate(cluster, sample(10), { kind: WRITE, chunk: NEW, version: 1, first });
});
refuses('a seal of a chunk that has not begun', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, EMPTY, { kind: SEAL, chunk: NEW, version: 1, first: cluster.record(NEW) }),
);
refuses('a first append of nothing', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, EMPTY, { kind: APPEND, chunk: NEW, version: 1, first: cluster.record(NEW) }),
);

// The past.
refuses('an order with a serial from the past', 'SERIAL_GAP', (cluster) =>
  order(cluster, sample(10), { serial: 0, chunkOffset: 0 }),
);
refuses('a seal with a serial from the past', 'SERIAL_GAP', (cluster) =>
  order(cluster, EMPTY, { kind: SEAL, serial: 0 }),
);
refuses('an append with a number from the past', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, number: 4 }),
);
refuses('an append whose number was another record', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(100, 9), { kind: APPEND, number: 5 }),
);

// Pushes.
refuses('a write of what nobody pushed', 'NO_SUCH_PUSH', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, pushId: { writer: 1, number: 77 } }),
);
refuses('an append of what nobody pushed', 'NO_SUCH_PUSH', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, pushId: { writer: 1, number: 77 } }),
);
refuses('an order for what nobody pushed', 'NO_SUCH_PUSH', (cluster) =>
  order(cluster, sample(10), { pushId: { writer: 1, number: 77 } }),
);
refuses('a write of what was pushed for another place', 'INVALID_ARGUMENT', async (cluster) => {
  const data = sample(10);
  const pushId = await cluster.push(CHUNK, 20, data, { version: VERSION });
  await mutate(cluster, data, { kind: WRITE, pushId });
});
refuses('a write of more than was pushed', 'INVALID_ARGUMENT', async (cluster) => {
  const pushId = await cluster.push(CHUNK, 0, sample(10), { version: VERSION });
  await mutate(cluster, sample(11), { kind: WRITE, pushId });
});
refuses('a push without a header', 'INVALID_ARGUMENT', (cluster) =>
  push(cluster, [{ data: sample(10) }], 'no header'),
);
refuses('a push that nobody can ask for', 'INVALID_ARGUMENT', (cluster) =>
  push(cluster, [{ data: sample(10) }], { pushId: undefined }),
);
refuses('a push without a piece', 'INVALID_ARGUMENT', (cluster) => push(cluster, []));
refuses('a push of nothing', 'INVALID_ARGUMENT', (cluster) => push(cluster, [{ data: EMPTY }]));
refuses('a push of too much', 'INVALID_ARGUMENT', (cluster) =>
  push(cluster, [{ data: sample(10) }], { length: CHUNK_SIZE_BYTES + 1 }),
);
refuses('a push of more than it announced', 'INVALID_ARGUMENT', (cluster) =>
  push(cluster, [{ data: sample(10) }, { data: sample(10) }], { length: 19 }),
);
refuses('a push of less than it announced', 'INVALID_ARGUMENT', (cluster) =>
  push(cluster, [{ data: sample(10) }], { length: 11 }),
);

// Copies.
refuses('a copy of an unknown chunk', 'NO_SUCH_CHUNK', (cluster) => pushRange(cluster, { chunk: UNKNOWN }));
refuses('a copy of what reaches behind the end', 'INVALID_ARGUMENT', (cluster) =>
  pushRange(cluster, { chunkOffset: CONTENT.length - 9 }),
);
refuses('a copy of what is behind the end of any chunk', 'INVALID_ARGUMENT', (cluster) =>
  pushRange(cluster, { chunkOffset: 2 ** 52 }),
);
refuses('a copy that says nothing of where to', 'INVALID_ARGUMENT', (cluster) =>
  pushRange(cluster, {}, 'no header'),
);
refuses('a copy that nobody can ask for', 'INVALID_ARGUMENT', (cluster) =>
  pushRange(cluster, {}, { pushId: undefined }),
);
refuses('a copy to nobody', 'INVALID_ARGUMENT', (cluster) => pushRange(cluster, {}, { chain: [] }));
refuses('a copy of nothing', 'INVALID_ARGUMENT', (cluster) => pushRange(cluster, {}, { length: 0 }));
refuses('a copy of too much', 'INVALID_ARGUMENT', (cluster) =>
  pushRange(cluster, {}, { length: CHUNK_SIZE_BYTES + 1 }),
);

// Damage.
refuses('a write whose data got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, checksums: [1] }),
);
refuses('a write with too few checksums', 'CHECKSUM_MISMATCH', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, checksums: [] }),
);
refuses('an append whose record got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, checksums: [1] }),
);
refuses('an append without a checksum', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, checksums: [] }),
);
for (const [name, kind] of [
  ['a write', WRITE],
  ['an append', APPEND],
] as const) {
  refuses(`${name} of pushed data that is not what it says`, 'CHECKSUM_MISMATCH', async (cluster) => {
    const pushId = await cluster.push(CHUNK, 0, sample(10), { version: VERSION });
    await mutate(cluster, sample(10, 9), { kind, pushId });
  });
}
refuses('a push whose only piece got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  push(cluster, [{ data: sample(10), checksums: [1] }]),
);
refuses('a push whose second piece got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  push(cluster, [{ data: sample(64 * KiB) }, { data: sample(10), checksums: [1] }]),
);
refuses('an order whose data got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  order(cluster, sample(10), { checksums: [1] }),
);
refuses('an order whose appended record got damaged', 'CHECKSUM_MISMATCH', (cluster) =>
  order(cluster, sample(10), { kind: APPEND, checksums: [1] }),
);

// Nothing, and too much.
refuses('an append of nothing', 'INVALID_ARGUMENT', (cluster) => mutate(cluster, EMPTY, { kind: APPEND }));
refuses('a write of nothing', 'INVALID_ARGUMENT', (cluster) => mutate(cluster, EMPTY, { kind: WRITE }));
refuses('an append of more than a quarter chunk', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(RECORD_BYTES_MAX + 1), { kind: APPEND }),
);
refuses('an append of more than a quarter chunk that was pushed', 'INVALID_ARGUMENT', async (cluster) => {
  const record = sample(RECORD_BYTES_MAX + 1);
  const pushId = await cluster.push(CHUNK, 0, record, { version: VERSION });
  await mutate(cluster, record, { kind: APPEND, pushId });
});
refuses('an append of more than came with it', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, length: 11 }),
);
refuses('an append of less than came with it', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, length: 9 }),
);
refuses('an append behind the end of its chunk', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: APPEND, chunkOffset: CHUNK_SIZE_BYTES + 1 }),
);
refuses('a write over the end of its chunk', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: WRITE, chunkOffset: CHUNK_SIZE_BYTES - 9 }),
);
refuses('a seal behind the end of its chunk', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, EMPTY, { kind: SEAL, chunkOffset: CHUNK_SIZE_BYTES + 1 }),
);
refuses('a mutation of no kind', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, sample(10), { kind: MutationKind.MUTATION_KIND_UNSPECIFIED }),
);
refuses('a cut, which only a version brings', 'INVALID_ARGUMENT', (cluster) =>
  mutate(cluster, EMPTY, { kind: MutationKind.MUTATION_KIND_CUT }),
);
refuses('an order to append nothing', 'INVALID_ARGUMENT', (cluster) =>
  order(cluster, EMPTY, { kind: APPEND }),
);
refuses('an order to write nothing', 'INVALID_ARGUMENT', (cluster) => order(cluster, EMPTY, {}));
refuses('an order of more than any mutation has', 'INVALID_ARGUMENT', (cluster) =>
  order(cluster, sample(1 * MiB + 1), { kind: APPEND }),
);
refuses('an order behind the end of any chunk', 'INVALID_ARGUMENT', (cluster) =>
  order(cluster, sample(10), { chunkOffset: 2 ** 40 }),
);
refuses('an order of no kind', 'INVALID_ARGUMENT', (cluster) =>
  order(cluster, sample(10), { kind: MutationKind.MUTATION_KIND_UNSPECIFIED }),
);

test.serial("another chunk's push is nobody's but its own", async (t) => {
  await using cluster = await Cluster.start(2);
  const data = sample(PUSHED_BYTES);
  for (const chunk of [CHUNK, NEW]) await cluster.write(chunk, 0, sample(10));
  const pushId = await cluster.push(NEW, 0, data);
  await t.throwsAsync(cluster.write(CHUNK, 0, data, { pushId }), { name: 'GfsError', code: 'NO_SUCH_PUSH' });
  for (const index of [0, 1]) t.is((await cluster.read(index, CHUNK, 0, 1 * MiB)).length, 10);
  await cluster.write(NEW, 0, data, { pushId });
  for (const index of [0, 1]) sameBytes(t, await cluster.read(index, NEW, 0, 1 * MiB), data);
});

test.serial(
  'a member that was pushed other data than its primary is sent what counts, and is not accused',
  async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.write(CHUNK, 0, sample(10));
    await cluster.raise(CHUNK, VERSION, 0);
    const data = sample(PUSHED_BYTES);
    const alone = { chain: [] };
    await push(cluster, [{ data }], alone);
    const { connection } = cluster.at(1);
    const stream = connection.stream(methods.push);
    const other = sample(PUSHED_BYTES, 9);
    const pushId = { writer: 1, number: 6 };
    const header = { pushId, chunk: CHUNK, version: VERSION, chunkOffset: 0, length: other.length, ...alone };
    await stream.send({ header, checksums: checksumsOf([other], 0), payload: EMPTY }, [other]);
    stream.end();
    await stream.finished();
    await mutate(cluster, data, { kind: WRITE, pushId });
    for (const index of [0, 1, 2]) sameBytes(t, await cluster.read(index, CHUNK, 0, 1 * MiB, VERSION), data);
    t.deepEqual(cluster.master.evictions, []);
  },
);
