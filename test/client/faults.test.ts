import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { GfsError } from '../../src/base/errors.ts';
import { KiB, MINUTE_MS, MiB, SECOND_MS } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import type { AddChunkRequest, MutateRequest } from '../../src/rpc/messages.ts';
import { codeFrom, inWorld, ME, pattern, readAll, type World, WRITING } from './world.ts';

test('a corrupt replica is passed over and reported; what is read is right', (t) =>
  inWorld({}, async ({ cluster, connect, create }) => {
    const data = pattern(200 * KiB);
    const { file } = await create('f');
    await file.write(0, [data]);
    await file.close();
    for (const bad of cluster.servers.slice(0, 2)) {
      for (const replica of bad.replicas.values()) replica.corrupt = true;
    }
    const reader = await connect();
    // Whichever replica comes first: over many chunks and reads each does.
    for (let round = 0; round < 6; round += 1) {
      const { file: again } = await reader.open(file.inode, { read: true }, ME);
      const at = round * 20 * KiB;
      t.true(Buffer.concat(await again.read(at, 1000)).equals(data.subarray(at, at + 1000)));
      await again.close();
    }
    for (const replica of cluster.server(3).replicas.values()) replica.corrupt = true;
    const { file: lost } = await reader.open(file.inode, { read: true }, ME);
    t.is(await codeFrom(lost.read(150 * KiB, 1000)), 'CHECKSUM_MISMATCH');
    await reader.close();
    const blamed = new Set(cluster.master.badReplicas.map(({ server }) => server));
    t.deepEqual([...blamed].sort(), [1, 2, 3]);
    t.true(cluster.master.badReplicas.every(({ reason }) => reason === 'CHECKSUM_MISMATCH'));
  }));

test('a replica that is missing at one member is read from another, and reported if it does not come', (t) =>
  inWorld({}, async ({ cluster, connect, create, sleep }) => {
    const { file } = await create('f');
    const data = pattern(200 * KiB);
    await file.write(0, [data]);
    await file.close();
    cluster.server(1).replicas.clear();
    cluster.server(2).replicas.clear();
    const reader = await connect();
    const { file: again } = await reader.open(file.inode, { read: true }, ME);
    t.deepEqual(Buffer.concat(await again.read(0, 100)), data.subarray(0, 100));
    t.deepEqual(cluster.master.badReplicas, [], 'others may have begun a chunk before it');
    await sleep(11_000);
    t.deepEqual(Buffer.concat(await again.read(150 * KiB, 100)), data.subarray(150 * KiB, 150 * KiB + 100));
    await reader.close();
    t.true(cluster.master.badReplicas.length > 0);
    t.true(
      cluster.master.badReplicas.every(({ server, reason }) => server < 3 && reason === 'NO_SUCH_CHUNK'),
    );
  }));

test('a chunk that nobody wrote yet reads as zeros up to the length', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    await file.truncate(300 * KiB);
    t.true((await readAll(file)).equals(Buffer.alloc(300 * KiB)));
    await file.write(299 * KiB, [pattern(10)]);
    await file.flush();
    const expected = Buffer.alloc(300 * KiB);
    pattern(10).copy(expected, 299 * KiB);
    t.true((await readAll(file)).equals(expected));
    t.deepEqual(cluster.master.badReplicas, []);
    await file.close();
  }));

test('a location is dropped when a replica has another version', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    // More than is remembered of what was written here.
    const data = pattern(200 * KiB);
    await file.write(0, [data]);
    await file.flush();
    const reader = (await client.open(file.inode, { read: true }, ME)).file;
    await reader.read(0, 10);
    for (const chunk of cluster.master.chunks.keys()) cluster.master.raise(chunk);
    cluster.counts();
    t.deepEqual(Buffer.concat(await reader.read(500, 100)), data.subarray(500, 600));
    t.is(cluster.counts()['FindChunks'], 1);
    // Writing finds the new primary the same way.
    for (const chunk of cluster.master.chunks.keys()) cluster.master.raise(chunk);
    await file.write(0, [pattern(10, 1)]);
    await file.close();
    t.true(cluster.contents(file.inode).equals(Buffer.concat([pattern(10, 1), data.subarray(10)])));
  }));

test('when the primary is gone the next one is asked, and the number stays the same', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(1000)]);
    await file.flush();
    cluster.calls.length = 0;
    cluster.dead.add(1);
    await file.write(100, [pattern(100, 1)]);
    await file.flush();
    const mutations = cluster.calls.filter(({ method }) => method === 'Mutate');
    const names = new Set(
      mutations.map(({ request }) => {
        const { writer, number } = request as MutateRequest;
        return `${writer}.${number}`;
      }),
    );
    t.true(mutations.length >= 2);
    t.is(names.size, 1);
    t.deepEqual((await readAll(file)).subarray(100, 200), pattern(100, 1));
    await file.close();
  }));

test('with a dead member a large write goes on without it', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(200 * KiB)]);
    await file.flush();
    cluster.dead.add(2);
    cluster.onCall = ({ method, request }) => {
      const chain = method === 'pushed' ? (request as { chain: { server: number }[] }).chain : [];
      if (chain.some(({ server }) => cluster.dead.has(server))) throw new GfsError('UNAVAILABLE', 'dead');
    };
    await file.write(0, [pattern(200 * KiB, 1)]);
    await file.flush();
    t.true((await readAll(file)).equals(pattern(200 * KiB, 1)));
    await file.close();
  }));

test('a command whose answer was lost is sent again with its number, and carried out once', (t) =>
  inWorld({}, async ({ client, cluster }) => {
    let lost = 0;
    cluster.onAnswer = ({ method }) => {
      if (method !== 'CreateFile' || lost === 3) return;
      lost += 1;
      throw new GfsError('UNAVAILABLE', 'lost');
    };
    const mode = { ...WRITING, exclusive: true };
    const { file, created } = await client.create(client.rootInode, Buffer.from('f'), mode, ME);
    t.true(created);
    t.is(cluster.counts()['CreateFile'], 4);
    await file.close();
  }));

test('numbers below a command without an answer are not acknowledged', (t) =>
  inWorld({}, async ({ client, cluster, env }) => {
    const contexts: { number: number; acknowledged: number }[] = [];
    cluster.onCall = async ({ method, request }) => {
      if (method !== 'MakeNode') return;
      const { context, name } = request as {
        context: { number: number; acknowledged: number };
        name: Buffer;
      };
      contexts.push(context);
      if (name.toString() === 'slow') await env.sleep(1000);
    };
    const make = (name: string) =>
      client.makeNode(client.rootInode, Buffer.from(name), { type: 2, mode: 0o755 }, ME);
    const slow = make('slow');
    await make('a');
    await make('b');
    await slow;
    await make('c');
    const [first, a, b, c] = contexts.map(({ number, acknowledged }) => ({ number, acknowledged }));
    t.is(a?.acknowledged, (first?.number ?? 0) - 1);
    t.is(b?.acknowledged, (first?.number ?? 0) - 1);
    t.is(c?.acknowledged, (c?.number ?? 0) - 1);
  }));

test('a read that its session did not outlive does not deny what was written before it', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file: stored } = await create('f');
    await stored.write(0, [pattern(600 * KiB)]);
    await stored.close();
    const { file } = await client.open(stored.inode, WRITING, ME);
    let reads = 0;
    cluster.onCall = async ({ method }) => {
      if (method !== 'Read' || reads > 0) return;
      reads += 1;
      cluster.master.sessions.clear();
      cluster.master.openFiles.clear();
      t.is(await codeFrom(client.unlink(client.rootInode, Buffer.from('nothing'), ME)), 'NOT_FOUND');
    };
    await file.write(0, [pattern(10, 1)]);
    t.is(await codeFrom(file.read(0, 600 * KiB)), 'SESSION_EXPIRED');
    t.is(reads, 1);
    cluster.onCall = undefined;
    t.is(await codeFrom(file.close()), 'SESSION_EXPIRED', 'the write is told');
  }));

test('a write that its session did not outlive stays away, whatever a later session was told of the chunk', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(200 * KiB)]);
    await file.flush();
    // Nothing arrives any more under the version that is known here.
    cluster.master.raise(cluster.master.node(file.inode).extents[0]?.chunk ?? 0);
    const theirs = pattern(200 * KiB, 2);
    let again: GfsFile | undefined;
    cluster.onCall = async ({ method }) => {
      // One of the two writes asks for the new version, the other waits for that.
      if (method !== 'FindChunks' || again !== undefined) return;
      cluster.master.sessions.clear();
      cluster.master.openFiles.clear();
      cluster.master.overwrite(file.inode, 0, theirs);
      again = (await client.open(file.inode, WRITING, ME)).file;
    };
    await file.write(0, [pattern(10, 1)]);
    await file.write(100 * KiB, [pattern(10, 1)]);
    t.is(await codeFrom(file.flush()), 'SESSION_EXPIRED');
    t.true(cluster.contents(file.inode).equals(theirs));
    await file.close();
    t.is(await codeFrom(must(again, 'it was opened meanwhile').close()), 'SESSION_EXPIRED', 'both are told');
  }));

test('what was taken in a session that ended does not go out with the writes of the next one', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(200 * KiB)]);
    await file.flush();
    const theirs = pattern(200 * KiB, 2);
    await file.write(0, [pattern(10, 1)]);
    cluster.master.sessions.clear();
    cluster.master.openFiles.clear();
    cluster.master.overwrite(file.inode, 0, theirs);
    const { file: again } = await client.open(file.inode, WRITING, ME);
    await again.write(100 * KiB, [pattern(10, 3)]);
    t.is(await codeFrom(again.flush()), 'SESSION_EXPIRED');
    t.is(await codeFrom(file.close()), 'SESSION_EXPIRED');
    pattern(10, 3).copy(theirs, 100 * KiB);
    t.true(cluster.contents(file.inode).equals(theirs));
    await again.close();
  }));

test('a write that is still on its way when its file was given back at last does not arrive behind that', (t) =>
  inWorld({ ioTimeoutMs: 30 * SECOND_MS }, async ({ clientEnv, cluster, create, sleep }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(100)]);
    await file.flush();
    const readyMs = clientEnv.monotonicMs() + 26 * SECOND_MS;
    let arrived = false;
    let closed = false;
    cluster.onCall = ({ method, request }) => {
      if (method === 'Close') closed = true;
      if (method !== 'Mutate') return;
      // The first one arrives before it is given up, and the second, which waits for it, has its own patience.
      const isFirst = (request as MutateRequest).length === 10;
      if (clientEnv.monotonicMs() < readyMs || (!isFirst && !closed)) throw new GfsError('NOT_READY', 'soon');
      if (!isFirst) arrived = true;
    };
    await file.write(0, [pattern(10, 1)]);
    const flushed = codeFrom(file.flush({ deadlineMs: clientEnv.monotonicMs() + SECOND_MS }));
    await file.write(0, [pattern(20, 2)]);
    t.is(await flushed, 'DEADLINE_EXCEEDED');
    const deadlineMs = clientEnv.monotonicMs() + SECOND_MS;
    t.is(await codeFrom(file.close({ deadlineMs })), 'DEADLINE_EXCEEDED');
    await sleep(MINUTE_MS);
    t.true(closed);
    t.false(arrived);
  }));

test('a session that ended is replaced: what was only read goes on, what was open for writing is refused', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    const { file: reader } = await client.open(file.inode, { read: true }, ME);
    await file.write(0, [pattern(1000)]);
    const before = client.session;
    cluster.master.sessions.clear();
    cluster.master.openFiles.clear();
    await file.write(400 * KiB, [pattern(10)]);
    t.is(await codeFrom(file.flush()), 'SESSION_EXPIRED');
    t.not(client.session, before);
    t.deepEqual([...cluster.master.openFiles.values()], [file.inode], 'it is open for reading');
    t.is(await codeFrom(file.write(0, [pattern(10)])), 'SESSION_EXPIRED');
    t.is(await codeFrom(file.read(0, 10)), 'SESSION_EXPIRED');
    t.is(await codeFrom(file.append([pattern(10)])), 'SESSION_EXPIRED');
    t.is(await codeFrom(file.truncate(10)), 'SESSION_EXPIRED');
    cluster.counts();
    t.is(await codeFrom(file.close()), 'none', 'the error was told');
    t.deepEqual(cluster.counts(), {});
    t.true((await readAll(reader)).length <= 1000);
    const { file: again } = await client.open(file.inode, WRITING, ME);
    await again.write(0, [pattern(2000)]);
    await again.flush();
    t.is((await readAll(reader)).length, 2000);
    await again.close();
    await reader.close();
  }));

/** An open file whose session has ended, and one of the same file that was opened since. */
async function acrossSessions({ client, cluster, create }: World) {
  const { file: expired } = await create('f');
  await expired.write(0, [pattern(1000)]);
  await expired.flush();
  cluster.master.sessions.clear();
  cluster.master.openFiles.clear();
  await client.attributes(client.rootInode, ME);
  const { file: opened } = await client.open(expired.inode, WRITING, ME);
  return { expired, opened };
}

test('closing what was open in a session that ended takes no word from who opened the file since', (t) =>
  inWorld({}, async (world) => {
    const { client, cluster } = world;
    const { expired, opened } = await acrossSessions(world);
    await opened.write(1000, [pattern(5000)]);
    await expired.close();
    await opened.close();
    t.is((await client.attributes(opened.inode, ME)).length, 6000);
    t.is(cluster.master.node(opened.inode).attributes.length, 6000, 'the master was told');
  }));

test('closing what was open in a session that ended meets a commit under way', (t) =>
  inWorld({}, async (world) => {
    const { cluster } = world;
    const { expired, opened } = await acrossSessions(world);
    const told: unknown[] = [];
    cluster.onCall = async ({ method, request }) => {
      if (method !== 'CommitLength') return;
      const { commit } = request as { commit: { length: number; writtenBytes: number } };
      told.push([commit.length, commit.writtenBytes]);
      await expired.close();
    };
    await opened.write(1000, [pattern(5000)]);
    await opened.flush();
    await opened.write(6000, [pattern(300)]);
    await opened.flush();
    t.deepEqual(told, [
      [6000, 5000],
      [6300, 300],
    ]);
    await opened.close();
  }));

test('after a lost connection the master is told what is open', (t) =>
  inWorld({}, async ({ cluster, create, sleep }) => {
    const { file } = await create('f');
    cluster.master.openFiles.clear();
    cluster.master.wantsOpenFiles = true;
    await sleep(20_000);
    t.deepEqual([...cluster.master.openFiles.values()], [file.inode]);
    await file.close();
  }));

test('a list of masters is tried in turn', (t) =>
  inWorld({}, async ({ cluster, connect }) => {
    const masters = ['nobody:1', cluster.server(1).address, cluster.master.address];
    const client = await connect({ masters });
    t.is((await client.attributes(client.rootInode, ME)).inode, client.rootInode);
    await client.close();
  }));

test('without a master a call ends at its deadline', (t) =>
  inWorld({}, async ({ client, env, cluster, connect }) => {
    t.is(await codeFrom(connect({ masters: ['nobody:1'], ioTimeoutMs: 3000 })), 'DEADLINE_EXCEEDED');
    cluster.onCall = ({ at }) => {
      if (at === 'master') throw new GfsError('UNAVAILABLE', 'away');
    };
    const startMs = env.monotonicMs();
    t.is(await codeFrom(client.attributes(client.rootInode, { ...ME })), 'DEADLINE_EXCEEDED');
    const tookMs = env.monotonicMs() - startMs;
    t.true(tookMs > 50_000 && tookMs <= 60_000, `${tookMs} ms`);
    cluster.onCall = undefined;
  }));

test('a call that is cancelled ends at once', (t) =>
  inWorld({}, async ({ client, env, cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(10)]);
    cluster.onCall = ({ method }) => {
      if (method === 'Mutate') throw new GfsError('NOT_READY', 'not yet');
    };
    const controller = new AbortController();
    const flushed = codeFrom(file.flush({ signal: controller.signal }));
    await env.sleep(500);
    controller.abort();
    t.is(await flushed, 'CANCELLED');
    cluster.onCall = undefined;
    await file.flush();
    await client.close();
    t.deepEqual(cluster.contents(file.inode), pattern(10));
  }));

test('a sequential reader is read ahead within its bound, a random one not at all', (t) =>
  inWorld({ chunkSizeBytes: 8 * MiB, readaheadBytes: 4 * MiB }, async ({ cluster, connect, create }) => {
    const { file } = await create('f');
    const data = pattern(32 * MiB);
    await file.write(0, [data]);
    await file.close();
    const reader = await connect();
    const { file: sequential } = await reader.open(file.inode, { read: true }, ME);
    cluster.calls.length = 0;
    let furthest = 0;
    const starts = new Map(
      [...cluster.master.node(file.inode).extents].map(({ chunk, start }) => [chunk, start]),
    );
    cluster.onCall = ({ method, request }) => {
      if (method !== 'Read') return;
      const { chunk, chunkOffset, length } = request as {
        chunk: number;
        chunkOffset: number;
        length: number;
      };
      furthest = Math.max(furthest, (starts.get(chunk) ?? 0) + chunkOffset + length);
    };
    let ahead = 0;
    for (let at = 0; at < data.length; at += 128 * KiB) {
      const bytes = Buffer.concat(await sequential.read(at, 128 * KiB));
      if (!bytes.equals(data.subarray(at, at + 128 * KiB))) t.fail(`wrong bytes at ${at}`);
      t.true(furthest - at <= 4 * MiB + 1 * MiB, `${furthest - at} ahead`);
      ahead = Math.max(ahead, furthest - at);
    }
    t.true(ahead >= 3 * MiB, `only ${ahead} ahead`);
    const reads = cluster.calls.filter(({ method }) => method === 'Read') as { request: unknown }[];
    const total = reads.reduce((sum, { request }) => sum + (request as { length: number }).length, 0);
    t.is(total, data.length, 'nothing is read twice');
    const { file: random } = await reader.open(file.inode, { read: true }, ME);
    cluster.counts();
    for (const at of [20, 3, 17, 9, 30]) await random.read(at * MiB + 12345, 4 * KiB);
    t.is(cluster.counts()['Read'], 5);
    await reader.close();
  }));

test('a write goes on when a truncation takes away the extent that is added for it, or the one that is to be sealed', (t) =>
  inWorld({ chunkSizeBytes: 256 * KiB }, async ({ cluster, create }) => {
    const { file } = await create('f');
    const refusals: boolean[] = [];
    cluster.onCall = ({ method, request }) => {
      if (method !== 'AddChunk') return;
      const isSeal = (request as AddChunkRequest).sealedChunk !== 0;
      if (refusals.includes(isSeal)) return;
      refusals.push(isSeal);
      throw new GfsError('NO_SUCH_CHUNK', 'it was truncated away');
    };
    const data = pattern(50 * KiB);
    await file.write(300 * KiB, [data]);
    await file.flush();
    for (const { replicas } of cluster.servers)
      for (const replica of replicas.values()) replica.sealed = true;
    await file.write(450 * KiB, [data]);
    await file.flush();
    t.deepEqual(refusals, [false, true]);
    t.deepEqual(Buffer.concat(await file.read(300 * KiB, 50 * KiB)), data);
    t.deepEqual(Buffer.concat(await file.read(450 * KiB, 50 * KiB)), data);
    await file.close();
  }));

test('appends land behind one another, whole, from all clients; a full chunk is followed by the next', (t) =>
  inWorld({}, async ({ cluster, connect, create }) => {
    const { file } = await create('log');
    await file.write(0, [Buffer.from('head\n')]);
    const records = new Map<number, Buffer>();
    const writers = [file];
    const others = [await connect(), await connect()];
    for (const other of others)
      writers.push((await other.open(file.inode, { write: true, append: true }, ME)).file);
    await file.flush();
    await Promise.all(
      writers.map(async (writer, index) => {
        for (let count = 0; count < 20; count += 1) {
          const record = pattern(10_000 + count * 700 + index, index * 50 + count);
          records.set(await writer.append([record]), record);
        }
      }),
    );
    t.is(await codeFrom(file.append([pattern(64 * KiB + 1)])), 'INVALID_ARGUMENT');
    t.is(records.size, 60);
    for (const writer of writers) await writer.close();
    const content = cluster.contents(file.inode);
    let end = 5;
    for (const [at, record] of [...records].sort(([a], [b]) => a - b)) {
      t.is(at, end, 'no gap');
      t.true(content.subarray(at, at + record.length).equals(record));
      end = at + record.length;
    }
    t.is(content.length, end);
    // And a reader who knew only the beginning finds it all.
    const { file: reader } = await (await connect()).open(file.inode, { read: true }, ME);
    t.true((await readAll(reader)).equals(content));
    for (const other of others) await other.close();
  }));

test('an append whose answer was lost is asked again with its number, and is there once', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('log');
    let lost = 0;
    cluster.onAnswer = ({ method }) => {
      if (method !== 'Mutate' || lost === 2) return;
      lost += 1;
      throw new GfsError('NOT_READY', 'lost');
    };
    t.is(await file.append([pattern(100)]), 0);
    t.is(await file.append([pattern(100, 1)]), 100);
    await file.close();
    t.deepEqual(cluster.contents(file.inode), Buffer.concat([pattern(100), pattern(100, 1)]));
  }));

test('an append goes behind a tail of zeros', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('log');
    await file.append([pattern(100)]);
    await file.truncate(1000);
    t.is(await file.append([pattern(50)]), 1000);
    await file.close();
    t.deepEqual(cluster.contents(file.inode), Buffer.concat([pattern(100), Buffer.alloc(900), pattern(50)]));
  }));

test('paths are followed through links and dots', (t) =>
  inWorld({}, async ({ client, create }) => {
    const root = client.rootInode;
    const directory = await client.makeNode(root, Buffer.from('d'), { type: 2, mode: 0o755 }, ME);
    const { file } = await create('f');
    const link = (name: string, target: string) =>
      client.makeNode(
        root,
        Buffer.from(name),
        { type: 3, mode: 0o777, symlinkTarget: Buffer.from(target) },
        ME,
      );
    const toFile = await link('l', 'f');
    await link('again', '/l');
    await link('loop', 'loop');
    const resolve = async (path: string, followLast = true) =>
      (await client.resolve(Buffer.from(path), { followLast }, ME)).inode;
    t.is(await resolve('/'), root);
    t.is(await resolve('//d/'), directory.inode);
    t.is(await resolve('/l'), file.inode);
    t.is(await resolve('/again'), file.inode);
    t.is(await resolve('/l', false), toFile.inode);
    t.is(await codeFrom(resolve('/loop')), 'LOOP');
    t.is(await codeFrom(resolve('/f/x')), 'NOT_DIRECTORY');
    t.is(await codeFrom(resolve('/f/')), 'NOT_DIRECTORY');
    t.is(await codeFrom(resolve('/none')), 'NOT_FOUND');
    t.is(await codeFrom(resolve('relative')), 'INVALID_ARGUMENT');
    await file.close();
  }));

test('a chunk that ends below the file’s length is zeros from there on, also when another replica is corrupt', (t) =>
  inWorld({}, async ({ cluster, connect, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(1000)]);
    await file.truncate(5000);
    await file.close();
    for (const bad of [1, 2])
      for (const replica of cluster.server(bad).replicas.values()) replica.corrupt = true;
    const reader = await connect();
    const { file: again } = await reader.open(file.inode, { read: true }, ME);
    t.deepEqual(await readAll(again), Buffer.concat([pattern(1000), Buffer.alloc(4000)]));
    await reader.close();
  }));
