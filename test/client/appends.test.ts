import test from 'ava';
import { type ErrorCode, GfsError } from '../../src/base/errors.ts';
import { KiB, MINUTE_MS, SECOND_MS } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import { type MutateRequest, MutationKind } from '../../src/rpc/messages.ts';
import type { FakeCluster } from './fake-cluster.ts';
import { inWorld, ME, pattern, readAll, type World, WRITING } from './world.ts';

const APPENDING = { read: true, write: true, append: true };
const line = (text: string) => Buffer.from(`${text}\n`);

/** Appends that reached a primary, since the last time this was asked. */
function appendsOf(cluster: FakeCluster): MutateRequest[] {
  const all = cluster.calls.splice(0).filter(({ method }) => method === 'Mutate');
  return all
    .map(({ request }) => request as MutateRequest)
    .filter(({ kind }) => kind === MutationKind.MUTATION_KIND_APPEND);
}

/** The next answers to appends get lost, as the network loses them. */
function loseAnswers(cluster: FakeCluster, count: number): void {
  let left = count;
  cluster.onAnswer = ({ method }) => {
    if (method !== 'Mutate' || left === 0) return;
    left -= 1;
    throw new GfsError('UNAVAILABLE', 'lost');
  };
}

/** Its code, and what is known of the record. */
async function failureOf(append: Promise<number>): Promise<[code: string, applied: string]> {
  const error = await append.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof GfsError ? [error.code, error.fields.applied ?? 'not told'] : ['none', ''];
}

async function textOf({ connect }: World, file: GfsFile): Promise<string> {
  const other = await connect();
  const { file: reader } = await other.open(file.inode, { read: true }, ME);
  const text = (await readAll(reader)).toString();
  await other.close();
  return text;
}

test('small appends that queue up behind one go out together, each whole and with its own offset', (t) =>
  inWorld({}, async (world) => {
    const { cluster, create } = world;
    const { file } = await create('log');
    const texts = Array.from({ length: 30 }, (_, index) => `line ${index}`);
    const offsets = await Promise.all(texts.map((text) => file.append([line(text)])));
    t.deepEqual(
      appendsOf(cluster).map(({ number }) => number),
      [1, 2],
    );
    let end = 0;
    for (const [index, text] of texts.entries()) {
      t.is(offsets[index], end);
      end += text.length + 1;
    }
    await file.close();
    t.is(await textOf(world, file), texts.map((text) => `${text}\n`).join(''));
  }));

test('a batch is no longer than what rides in one request, and a large record goes by itself', (t) =>
  inWorld({ chunkSizeBytes: 1024 * KiB }, async ({ cluster, create }) => {
    const { file } = await create('log');
    const sizes = [10, 30, 30, 30, 100, 10, 10];
    const offsets = await Promise.all(sizes.map((size, index) => file.append([pattern(size * KiB, index)])));
    t.deepEqual(
      appendsOf(cluster).map(({ length }) => length / KiB),
      [10, 60, 30, 100, 20],
    );
    t.deepEqual(
      offsets.map((offset) => offset / KiB),
      [0, 10, 40, 70, 100, 200, 210],
    );
    await file.close();
    const expected = Buffer.concat(sizes.map((size, index) => pattern(size * KiB, index)));
    t.true(cluster.contents(file.inode).equals(expected));
  }));

test('of one writer one append is under way; writers of one open file go beside one another (P15)', (t) =>
  inWorld({}, async ({ cluster, create, env }) => {
    const { file } = await create('log');
    const running = new Map<number, number>();
    let most = 0;
    cluster.onCall = async ({ method, request }) => {
      if (method !== 'Mutate') return;
      const { writer } = request as MutateRequest;
      running.set(writer, (running.get(writer) ?? 0) + 1);
      t.is(running.get(writer), 1);
      most = Math.max(most, [...running.values()].filter((count) => count > 0).length);
      await env.sleep(5);
      running.set(writer, 0);
    };
    const writers = [file.newAppendWriter(), file.newAppendWriter(), file];
    await Promise.all(
      writers.map(async (writer) => {
        for (let count = 0; count < 10; count += 1) await writer.append([pattern(100, count)]);
      }),
    );
    t.is(most, 3);
    t.is(running.size, 3);
    await file.close();
    t.is(cluster.contents(file.inode).length, 3000);
  }));

test("a shell's appends, with an open for each, are one writer's; ids are asked for now and then", (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('log');
    await file.close();
    cluster.calls.length = 0;
    for (let count = 0; count < 200; count += 1) {
      const { file: again } = await client.open(file.inode, APPENDING, ME);
      await again.append([line(`${count}`)]);
      await again.close();
    }
    t.is(cluster.calls.filter(({ method }) => method === 'DealWriters').length, 1);
    const appends = appendsOf(cluster);
    t.is(new Set(appends.map(({ writer }) => writer)).size, 1);
    t.deepEqual(
      appends.map(({ number }) => number),
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
    // Together they need one each.
    const open = await Promise.all(Array.from({ length: 70 }, () => client.open(file.inode, APPENDING, ME)));
    await Promise.all(open.map(({ file: one }) => one.append([line('x')])));
    t.is(new Set(appendsOf(cluster).map(({ writer }) => writer)).size, 70);
    await Promise.all(open.map(({ file: one }) => one.close()));
  }));

test('a steady stream of appends asks the master about the end of the file once a second', (t) =>
  inWorld({}, async ({ cluster, create, sleep }) => {
    const { file } = await create('log');
    await file.append([line('first')]);
    cluster.counts();
    for (let count = 0; count < 100; count += 1) {
      await file.append([line('next')]);
      await sleep(20);
    }
    const counts = cluster.counts();
    t.is(counts.Mutate, 100);
    t.true((counts.FindChunks ?? 0) <= 3, String(counts.FindChunks));
    t.is(counts.ChunkLength, undefined);
    await file.close();
  }));

test('a file that is being appended to goes on while the master does not answer, and follows it afterwards', (t) =>
  inWorld({}, async ({ cluster, create, connect, sleep }) => {
    const { file } = await create('log');
    await file.append([line('first')]);
    cluster.onCall = ({ at }) => {
      if (at === 'master') throw new GfsError('UNAVAILABLE', 'it is away');
    };
    for (let count = 0; count < 10; count += 1) {
      await file.append([line('alone')]);
      await sleep(700);
    }
    t.is((await readAll(file)).toString(), `first\n${'alone\n'.repeat(10)}`, 'and is read');
    cluster.onCall = undefined;
    await file.flush();
    const other = await connect();
    await other.setAttributes(file.inode, { length: 6 }, ME);
    await sleep(1100);
    t.is(await file.append([line('last')]), 6);
    await file.close();
    await other.close();
  }));

test('whatever a primary refuses with but "sealed", the record is pursued in its chunk under its number (P17)', (t) =>
  inWorld({}, async (world) => {
    const { cluster, create } = world;
    const { file } = await create('log');
    await file.append([line('a')]);
    const codes = ['NOT_READY', 'TOO_FEW_REPLICAS', 'IO_ERROR', 'NOT_PRIMARY', 'DEADLINE_EXCEEDED'] as const;
    const left = [...codes];
    cluster.onAnswer = ({ method }) => {
      const code = method === 'Mutate' ? left.shift() : undefined;
      if (code !== undefined) throw new GfsError(code, 'refused after it was done');
    };
    cluster.calls.length = 0;
    t.is(await file.append([line('b')]), 2);
    const tries = appendsOf(cluster);
    t.is(tries.length, codes.length + 1);
    t.is(new Set(tries.map(({ chunk, writer, number }) => `${chunk}.${writer}.${number}`)).size, 1);
    t.is(await file.append([line('c')]), 4);
    await file.close();
    t.is(await textOf(world, file), 'a\nb\nc\n');
  }));

test('a client that was away for ten minutes gets the first answer: the session may have ended meanwhile (P18)', (t) =>
  inWorld({ ioTimeoutMs: 30 * MINUTE_MS }, async (world) => {
    const { cluster, sleep, client } = world;
    const mode = { ...WRITING, append: true };
    const { file } = await client.create(client.rootInode, Buffer.from('log'), mode, ME);
    await file.append([line('a')]);
    const { session } = client;
    let away = false;
    cluster.onAnswer = ({ method }) => {
      if (method === 'Mutate' && !away) away = true;
      if (away) throw new GfsError('UNAVAILABLE', 'the network is down');
    };
    const appended = file.append([line('b')]);
    await sleep(10 * MINUTE_MS);
    cluster.master.sessions.delete(session);
    cluster.onAnswer = undefined;
    t.is(await appended, 2);
    t.not(client.session, session);
    await file.close();
    t.is(await textOf(world, file), 'a\nb\n');
  }));

test('at its deadline an append fails, and the record may still be there: once, in front of the next one', (t) =>
  inWorld({}, async (world) => {
    const { cluster, create, clientEnv } = world;
    const { file } = await create('log');
    await file.append([line('a')]);
    loseAnswers(cluster, 1000);
    const deadlineMs = clientEnv.monotonicMs() + 2 * SECOND_MS;
    t.deepEqual(await failureOf(file.append([line('b')], { deadlineMs })), ['DEADLINE_EXCEEDED', 'unknown']);
    cluster.onAnswer = undefined;
    t.is(await file.append([line('c')]), 4);
    await file.close();
    t.is(await textOf(world, file), 'a\nb\nc\n');
  }));

for (const [what, applied, fail] of [
  [
    'the master is away and no primary is ready for it',
    'no',
    (method) => (method === 'Mutate' ? 'NOT_READY' : method === 'FindChunks' && 'UNAVAILABLE'),
  ],
  ['a primary is not ready for it', 'no', (method) => method === 'Mutate' && 'NOT_READY'],
  ['no server has room', 'no', (method) => method !== 'DealWriters' && 'NO_SPACE'],
  ['a primary may have taken it', 'unknown', (method) => method === 'Mutate' && 'UNAVAILABLE'],
  ['a primary has lost its role meanwhile', 'unknown', (method) => method === 'Mutate' && 'NOT_PRIMARY'],
] as [string, string, (method: string) => ErrorCode | false][]) {
  test(`a record that fails since ${what} tells that it is ${applied === 'no' ? 'nowhere' : 'not known where'}`, (t) =>
    inWorld({}, async (world) => {
      const { cluster, create, clientEnv, sleep } = world;
      const { file } = await create('log');
      await file.append([line('a')]);
      // The end of the file is asked for again.
      await sleep(2000);
      cluster.onCall = ({ method }) => {
        const code = fail(method);
        if (code !== false) throw new GfsError(code, 'refused');
      };
      const deadlineMs = clientEnv.monotonicMs() + 2 * SECOND_MS;
      const error = await t.throwsAsync<GfsError>(file.append([line('b')], { deadlineMs }));
      t.is(error.fields.applied, applied);
      cluster.onCall = undefined;
      await file.append([line('c')]);
      await file.close();
      t.is(await textOf(world, file), 'a\nc\n');
    }));
}

test('a record that is sealed out of its chunk, and finds no room behind it, is nowhere', (t) =>
  inWorld({ chunkSizeBytes: 64 * KiB }, async (world) => {
    const { cluster, create, clientEnv } = world;
    const { file } = await create('log');
    for (let count = 0; count < 4; count += 1) await file.append([pattern(15 * KiB, count)]);
    let mutateCount = 0;
    cluster.onCall = ({ method }) => {
      if (method === 'Mutate') mutateCount += 1;
      if (method === 'Mutate' && mutateCount === 1)
        throw new GfsError('UNAVAILABLE', 'it may have been taken');
      if (method === 'AddChunk') throw new GfsError('NO_SPACE', 'there is no room');
    };
    const deadlineMs = clientEnv.monotonicMs() + 2 * SECOND_MS;
    const error = await t.throwsAsync<GfsError>(file.append([pattern(15 * KiB)], { deadlineMs }));
    t.deepEqual([error.code, error.fields.applied], ['NO_SPACE', 'no']);
    cluster.onCall = undefined;
    await file.close();
    t.is(cluster.contents(file.inode).length, 60 * KiB);
  }));

test('a record that is cancelled while it waits is nowhere; the others of its batch do not mind', (t) =>
  inWorld({}, async (world) => {
    const { create, cluster, env, clientEnv } = world;
    const { file } = await create('log');
    cluster.onCall = async ({ method }) => {
      if (method === 'Mutate') await env.sleep(50);
    };
    const cancelling = new AbortController();
    const first = file.append([line('a')]);
    const cancelled = failureOf(file.append([line('b')], { signal: cancelling.signal }));
    const late = failureOf(file.append([line('c')], { deadlineMs: clientEnv.monotonicMs() + 10 }));
    const last = file.append([line('d')]);
    cancelling.abort();
    t.deepEqual(await cancelled, ['CANCELLED', 'no']);
    t.deepEqual(await late, ['DEADLINE_EXCEEDED', 'no']);
    t.is(await first, 0);
    t.is(await last, 2);
    await file.close();
    t.is(await textOf(world, file), 'a\nd\n');
  }));

test('the bytes of a record that is given up in a batch may be used again at once', (t) =>
  inWorld({}, async (world) => {
    const { create, cluster, env } = world;
    const { file } = await create('log');
    let tries = 0;
    cluster.onCall = async ({ method }) => {
      if (method !== 'Mutate') return;
      tries += 1;
      await env.sleep(50);
      if (tries === 2) throw new GfsError('NOT_READY', 'once more');
    };
    const cancelling = new AbortController();
    const bytes = line('bb');
    const first = file.append([line('a')]);
    const cancelled = failureOf(file.append([bytes], { signal: cancelling.signal }));
    const last = file.append([line('c')]);
    await first;
    await env.sleep(20);
    cancelling.abort();
    t.deepEqual(await cancelled, ['CANCELLED', 'unknown']);
    bytes.fill('x');
    t.is(await last, 5);
    await file.close();
    t.is(await textOf(world, file), 'a\nbb\nc\n');
  }));

test('an append of nothing, or of more than a quarter chunk, is refused and changes nothing', (t) =>
  inWorld({ chunkSizeBytes: 8 * 1024 * KiB }, async ({ cluster, create }) => {
    const { file } = await create('log');
    cluster.calls.length = 0;
    t.deepEqual(await failureOf(file.append([])), ['INVALID_ARGUMENT', 'no']);
    t.deepEqual(await failureOf(file.append([Buffer.alloc(0)])), ['INVALID_ARGUMENT', 'no']);
    const error = await t.throwsAsync(file.append([Buffer.alloc(2 * 1024 * KiB), Buffer.alloc(1)]));
    t.regex(error.message, /2097153 bytes is longer than 2097152, a quarter chunk/);
    t.deepEqual(cluster.counts(), {});
    // Exactly a quarter goes, whatever one write could carry.
    const record = pattern(2 * 1024 * KiB);
    t.is(await file.append([record]), 0);
    await file.close();
    t.true(cluster.contents(file.inode).equals(record));
  }));

test('an append behind a hole goes to the end of the file, wherever chunks begin', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    for (const [name, length] of [
      ['no chunk', 300 * KiB + 5],
      ['first chunk', 100 * KiB],
      ['full', 512 * KiB],
      ['no room behind the hole', 256 * KiB - 3],
    ] as const) {
      const { file } = await create(name);
      if (name === 'first chunk') await file.append([line('head')]);
      await file.truncate(length);
      t.is(await file.append([line('tail')]), length, name);
      t.is(await file.append([line('more')]), length + 5, name);
      await file.close();
      const content = cluster.contents(file.inode);
      t.is(content.length, length + 10, name);
      t.is(content.subarray(length).toString(), 'tail\nmore\n', name);
    }
  }));

test('what others appended before a record of this client is read as it is, though the file was empty when it was opened', (t) =>
  inWorld({}, async ({ create, connect }) => {
    const { file } = await create('log');
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true, append: true, write: true }, ME);
    const records = Array.from({ length: 20 }, (_, index) => pattern(30_000 + index));
    for (const record of records) await theirs.append([record]);
    const own = line('own');
    const offset = await file.append([own]);
    const all = Buffer.concat([...records, own]);
    t.is(offset, all.length - own.length);
    t.true((await readAll(file)).equals(all));
    await theirs.close();
    await other.close();
  }));

test('what this client writes behind the end is in front of its next append', (t) =>
  inWorld({}, async (world) => {
    const { cluster, create } = world;
    const { file } = await create('log');
    t.is(await file.append([line('a')]), 0);
    await file.write(600 * KiB, [line('far')]);
    await file.flush();
    t.is(await file.append([line('b')]), 600 * KiB + 4);
    await file.close();
    t.is(
      cluster
        .contents(file.inode)
        .subarray(600 * KiB)
        .toString(),
      'far\nb\n',
    );
  }));

test('after a truncation by another client appends go on at the new end', (t) =>
  inWorld({}, async (world) => {
    const { connect, create } = world;
    const { file } = await create('log');
    const other = await connect();
    for (const length of [0, 3, 0]) {
      await file.append([line('before')]);
      await file.flush();
      await other.setAttributes(file.inode, { length }, ME);
      t.is(await file.append([line('after')]), length);
      await file.flush();
    }
    await file.close();
    t.is(await textOf(world, file), 'after\n');
  }));
