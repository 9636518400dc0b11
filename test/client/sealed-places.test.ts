// A chunk is sealed while others lie behind it in its file: what is left of its place is written to.
import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { inodeId } from '../../src/base/ids.ts';
import { KiB } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import { replicaPaths } from '../../src/storage/replica-files.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const CHUNK = 256 * KiB;
const RECORD = 60 * KiB;
/** So many records fit into a chunk. */
const SEALED_AT = 4 * RECORD;
const FAR = 1000 * KiB;
const FAR_END = FAR + 100;

interface Scene {
  readonly cluster: RealCluster;
  readonly writer: GfsFile;
  /** Opened before anything was written behind the first chunk, by another client. */
  readonly reader: GfsFile;
  /** What the file should be. */
  readonly model: Buffer;
  write(at: number, bytes: Buffer): Promise<void>;
  /** The record that did not fit. */
  readonly record: Buffer;
  /** Its client reaches the master again; resolves to where it is. */
  appended(): Promise<number>;
}

/** The first chunk is sealed, and its appender cut off from the master. */
function afterSeal(seed: string, body: (scene: Scene) => Promise<void>): Promise<void> {
  return inRealCluster(seed, async (cluster) => {
    const { client, connect, network, sleep } = cluster;
    const { file: writer } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    // It is the second one that connects, on machine "c2".
    const cutOff = await connect({ ioTimeoutMs: 600_000 });
    const { file: log } = await cutOff.open(writer.inode, { append: true }, ME);
    const model = Buffer.alloc(FAR_END);
    for (let at = 0; at < SEALED_AT; at += RECORD) {
      const bytes = pattern(RECORD, at);
      await log.append([bytes]);
      bytes.copy(model, at);
    }
    const { file: reader } = await (await connect()).open(writer.inode, { read: true }, ME);
    await readAll(reader);
    network.partition('c2', 'm');
    const record = pattern(RECORD, 9);
    const appending = log.append([record]);
    await sleep(1000);
    const write = async (at: number, bytes: Buffer) => {
      await writer.write(at, [bytes]);
      await writer.sync();
      bytes.copy(model, at);
    };
    const appended = async () => {
      network.heal('c2', 'm');
      const at = await appending;
      await log.close();
      return at;
    };
    await body({ cluster, writer, reader, model, write, record, appended });
    await writer.close();
    await reader.close();
  });
}

async function placesOf({ inode }: GfsFile, client: GfsClient): Promise<[number, number | undefined][]> {
  const { extents } = await client.statFile(inodeId(inode), ME);
  return extents.map(({ start, sealed, sealedLength }) => [start, sealed ? sealedLength : undefined]);
}

test('the rest of a sealed place takes writes, and all clients read them', (t) =>
  afterSeal('writes', async ({ cluster, writer, reader, model, write, record, appended }) => {
    const { client, connect } = cluster;
    await write(FAR, pattern(FAR_END - FAR, 8));
    t.true((await readAll(reader)).equals(model));
    await write(SEALED_AT + 5, pattern(1000, 1));
    t.deepEqual(await placesOf(writer, client), [
      [0, SEALED_AT],
      [SEALED_AT, undefined],
      [3 * CHUNK, undefined],
    ]);
    t.true((await readAll(reader)).equals(model), 'who had taken it for a part of the sealed chunk');
    // Across the end of the sealed chunk, and up to the extent that lies behind.
    await write(SEALED_AT - 10 * KiB, pattern(100 * KiB, 2));
    await write(2 * CHUNK, pattern(FAR - 2 * CHUNK, 3));
    t.deepEqual((await placesOf(writer, client)).slice(1), [
      [SEALED_AT, undefined],
      [SEALED_AT + CHUNK, undefined],
      [SEALED_AT + 2 * CHUNK, 3 * CHUNK - SEALED_AT - 2 * CHUNK],
      [3 * CHUNK, undefined],
    ]);
    t.true((await readAll(writer)).equals(model));
    t.true((await readAll(reader)).equals(model));
    t.is(await appended(), model.length);
    const { file: later } = await (await connect()).open(writer.inode, { read: true }, ME);
    t.true((await readAll(later)).equals(Buffer.concat([model, record])), 'the record is there once');
    await later.close();
  }));

test('the rest of a sealed place is cut, allocated, made zeros and copied to', (t) =>
  afterSeal('other changes', async ({ writer, reader, model, write, record, appended }) => {
    await write(FAR, pattern(FAR_END - FAR, 8));
    await writer.allocate(SEALED_AT - 1000, 2000, { zeros: true, keepLength: true });
    model.fill(0, SEALED_AT - 1000, SEALED_AT + 1000);
    t.true((await readAll(writer)).equals(model));
    const copied = 100 * KiB;
    await writer.copyFrom(writer, { sourceOffset: 10, fileOffset: SEALED_AT + 10, length: copied });
    model.copy(model, SEALED_AT + 10, 10, 10 + copied);
    await writer.sync();
    t.true((await readAll(reader)).equals(model));
    await writer.allocate(SEALED_AT + 500, 1000, { hole: true, zeros: true, keepLength: true });
    model.fill(0, SEALED_AT + 500, SEALED_AT + 1500);
    t.true((await readAll(reader)).equals(model));
    const cut = SEALED_AT + 3 * KiB;
    await writer.truncate(cut);
    await writer.allocate(cut, 10 * KiB);
    model.fill(0, cut);
    t.true((await readAll(reader)).equals(model.subarray(0, cut + 10 * KiB)));
    t.is(await appended(), cut + 10 * KiB);
    const end = cut + 10 * KiB + RECORD;
    record.copy(model, end - RECORD);
    await write(SEALED_AT + 2 * KiB, pattern(10 * KiB, 4));
    t.true((await readAll(reader)).equals(model.subarray(0, end)));
  }));

test('a file ends where its data ends, also in what is left of a sealed place', (t) =>
  afterSeal('length', async ({ cluster, writer, reader, appended }) => {
    const { connect, network, kill, sleep } = cluster;
    const openElsewhere = async () =>
      (await (await connect()).open(writer.inode, { read: true, write: true }, ME)).file;
    // An extent far behind is added and never written.
    const far = await openElsewhere();
    for (const server of ['s1', 's2', 's3']) network.partition('c4', server);
    await far.write(CHUNK, [pattern(10)]);
    await sleep(1000);
    const near = await openElsewhere();
    await near.write(SEALED_AT, [pattern(10, 1)]);
    await sleep(1000);
    t.is((await reader.attributes()).length, SEALED_AT + 10, 'as the primary tells');
    // Neither tells the master how long the file is.
    kill('c4');
    kill('c5');
    await sleep(120_000);
    t.is((await reader.attributes()).length, SEALED_AT + 10, 'as the master has learnt');
    t.deepEqual(await placesOf(writer, cluster.client), [
      [0, SEALED_AT],
      [SEALED_AT, CHUNK - SEALED_AT],
      [CHUNK, undefined],
    ]);
    t.is(await appended(), CHUNK, 'in the last extent');
  }));

test('behind a block in the midst of a file that no server has any more, writes go on', (t) =>
  inRealCluster('lost', async ({ client, connect, disk }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const model = Buffer.alloc(FAR_END);
    const write = async (at: number, bytes: Buffer) => {
      await file.write(at, [bytes]);
      await file.sync();
      bytes.copy(model, at);
    };
    await write(0, pattern(100 * KiB));
    await write(FAR, pattern(FAR_END - FAR, 8));
    const [first] = (await client.statFile(inodeId(file.inode), ME)).extents;
    const { data } = replicaPaths('/data/chunks', must(first, 'it was written').chunk);
    for (const machine of ['s1', 's2', 's3']) disk(machine).flipBit(data, 90 * KiB, 1);
    const { file: theirs } = await (await connect()).open(file.inode, { read: true }, ME);
    t.is(await codeFrom(theirs.read(80 * KiB, KiB)), 'CHECKSUM_MISMATCH');
    await write(100 * KiB + 5, pattern(200 * KiB, 1));
    const rest = Buffer.concat(await theirs.read(100 * KiB, FAR_END));
    t.true(rest.equals(model.subarray(100 * KiB)));
    t.deepEqual((await placesOf(file, client))[0], [0, 100 * KiB]);
    t.is(await codeFrom(theirs.read(80 * KiB, KiB)), 'CHECKSUM_MISMATCH', 'of that block alone');
    await theirs.close();
    await file.close();
  }));
