// What a client hears of others, on a real cluster with virtual time and network.
import test from 'ava';
import { joined } from '../../src/base/bytes.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { KiB } from '../../src/base/units.ts';
import type { ChangeListener, GfsClient } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

/** All that a client hears. */
function heardBy(client: GfsClient): { inodes: InodeId[]; names: string[]; everything: number } {
  const heard = { inodes: [] as InodeId[], names: [] as string[], everything: 0 };
  const listener: ChangeListener = {
    inodeChanged: (inode) => heard.inodes.push(inode),
    nameChanged: ({ name, removed }) => {
      heard.names.push(`${Buffer.from(name).toString('latin1')}${removed === 0 ? '' : ' removed'}`);
    },
    everythingChanged: () => {
      heard.everything += 1;
    },
  };
  client.onChange(listener);
  return heard;
}

const name = (text: string) => Buffer.from(text);
const NEWS_MS = 100;
const SESSION_TIMEOUT_MS = 60_000;

test('a client hears of what others change of what it looked up, and of nothing else', (t) =>
  inRealCluster(1, async ({ client, connect, sleep }) => {
    const other = await connect();
    const root = client.rootInode;
    const { file } = await client.create(root, name('f'), WRITING, ME);
    await client.create(root, name('unseen'), WRITING, ME);
    await file.close();
    await sleep(NEWS_MS);
    const mine = heardBy(client);
    const theirs = heardBy(other);
    const asked = other.changes.now();
    await other.lookup(root, name('f'), ME);
    t.false(other.changes.changedSince(file.inode, asked));
    await client.setAttributes(file.inode, { mode: 0o600 }, ME);
    await client.setAttributes(file.inode, { mode: 0o640 }, ME);
    await client.unlink(root, name('unseen'), ME);
    await sleep(NEWS_MS);
    t.deepEqual(theirs, { inodes: [file.inode], names: [], everything: 0 });
    t.true(other.changes.changedSince(file.inode, asked));
    await other.attributes(root, ME);
    await client.unlink(root, name('f'), ME);
    await sleep(NEWS_MS);
    t.deepEqual(theirs.names, ['f removed']);
    t.deepEqual(theirs.inodes, [file.inode, root]);
    t.deepEqual(mine, { inodes: [], names: [], everything: 0 }, 'who changes it knows');
    await other.close();
  }));

test('a client that stays in touch believes nothing a second after the master fell silent, and again when it is back', (t) =>
  inRealCluster(11, async ({ client, connect, network, sleep }) => {
    const other = await connect({ staysInTouch: true });
    const careless = await connect();
    const { file } = await client.create(client.rootInode, name('f'), WRITING, ME);
    await file.close();
    const isBelieved = async (who: GfsClient) => {
      const asked = who.changes.now();
      await who.attributes(file.inode, ME);
      return !who.changes.changedSince(file.inode, asked);
    };
    await sleep(5000);
    t.true(await isBelieved(other));
    const heard = heardBy(other);
    const before = [other, careless].map((who) => who.changes.now());
    network.partition('m', 'c2');
    network.partition('m', 'c3');
    const change = client.setAttributes(file.inode, { mode: 0o600 }, ME);
    await sleep(999);
    t.deepEqual([heard.everything, heard.inodes], [1, []]);
    const old = [other, careless].map((who, index) =>
      who.changes.changedSince(file.inode, before[index] ?? 0),
    );
    t.deepEqual(old, [true, false], 'who lets nobody believe anything for long need not ask all the time');
    await change;
    network.heal('m', 'c2');
    network.heal('m', 'c3');
    await sleep(5000);
    t.true(await isBelieved(other));
    t.is((await other.attributes(file.inode, ME)).mode, 0o600);
    t.is((await careless.attributes(file.inode, ME)).mode, 0o600);
    await other.close();
    await careless.close();
  }));

test('attributes show each append and write that another client was acknowledged, and reads no zeros', (t) =>
  inRealCluster(2, async ({ client, connect }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file: log } = await client.create(client.rootInode, name('log'), mode, ME);
    const { file: reader } = await other.open(log.inode, { read: true }, ME);
    let length = 0;
    // Over the ends of several chunks.
    for (let count = 0; count < 30; count += 1) {
      const record = pattern(30_000 + count, count).fill(1 + (count % 250), 0, 1000);
      await log.append([record]);
      length += record.length;
      t.is((await other.lookup(other.rootInode, name('log'), ME)).length, length);
      t.is((await other.attributes(log.inode, ME)).length, length);
      const end = joined(await reader.read(length - 1000, 2000));
      t.true(record.subarray(-1000).equals(end), `append ${count}`);
    }
    await log.close();
    const { file } = await client.create(client.rootInode, name('written'), WRITING, ME);
    for (let end = 100 * KiB; end <= 600 * KiB; end += 100 * KiB) {
      await file.write(end - 10, [Buffer.alloc(10, 7)]);
      await file.flush();
      const { file: opened, attributes } = await other.open(file.inode, { read: true }, ME);
      t.is(attributes.length, end);
      t.is((await readAll(opened)).length, end);
      await opened.close();
    }
    await file.close();
    await reader.close();
    await other.close();
  }));

test('what is acknowledged and not committed is seen when the master restarts, and when the primary dies', (t) =>
  inRealCluster(3, async ({ client, connect, kill, start, sleep }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file: log } = await client.create(client.rootInode, name('log'), mode, ME);
    await log.append([pattern(5000)]);
    const heard = heardBy(other);
    await sleep(NEWS_MS);
    kill('m');
    await sleep(NEWS_MS);
    t.is(heard.everything, 1, 'without a channel nothing is certain');
    t.true(other.changes.changedSince(log.inode, other.changes.now()));
    await start('m');
    t.is((await other.attributes(log.inode, ME)).length, 5000, 'nobody has told yet who writes');
    await sleep(1000);
    t.is((await other.attributes(log.inode, ME)).length, 5000);
    await log.append([pattern(700)]);
    const { extents } = await other.statFile(log.inode, ME);
    const primary = extents[0]?.members.find(({ server }) => server === extents[0]?.primary);
    kill(primary?.address.split(':')[0] ?? 'none');
    t.is((await other.attributes(log.inode, ME)).length, 5700);
    await log.close();
    await other.close();
  }));

test('a file that was added and is not written yet ends where it was written', (t) =>
  inRealCluster(4, async ({ client, connect }) => {
    const other = await connect();
    const { file } = await client.create(client.rootInode, name('f'), WRITING, ME);
    t.is((await other.attributes(file.inode, ME)).length, 0);
    await file.write(0, [pattern(1000)]);
    await file.flush();
    const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
    await theirs.write(700 * KiB, [pattern(10)]);
    await theirs.flush();
    t.is((await client.attributes(file.inode, ME)).length, 700 * KiB + 10);
    await theirs.truncate(100);
    t.is((await client.attributes(file.inode, ME)).length, 100);
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('what another client cut off stays cut off when its writer goes on', (t) =>
  inRealCluster(6, async ({ client, connect, sleep }) => {
    const other = await connect();
    const { file } = await client.create(client.rootInode, name('f'), WRITING, ME);
    const { inode } = file;
    const lengths = async () => [
      (await client.attributes(inode, ME)).length,
      (await other.attributes(inode, ME)).length,
    ];
    await file.write(0, [pattern(900_000)]);
    await file.close();
    const { file: theirs } = await other.open(inode, { read: true, write: true }, ME);
    await theirs.truncate(100);
    await sleep(NEWS_MS);
    // Its writer has told the master of all that it wrote, long ago.
    const { file: again } = await client.open(inode, { read: true, write: true }, ME);
    await again.write(0, [pattern(10, 1)]);
    await again.flush();
    t.deepEqual(await lengths(), [100, 100]);
    // It has not, and looks at the file in between.
    await again.write(500_000, [pattern(1000)]);
    await again.write(0, [pattern(10, 2)]);
    while ((await other.attributes(inode, ME)).length < 501_000) await sleep(10);
    await theirs.truncate(70);
    await sleep(NEWS_MS);
    await again.attributes();
    await again.close();
    t.deepEqual(await lengths(), [70, 70]);
    const { file: end } = await client.open(inode, { read: true }, ME);
    t.is(joined(await end.read(0, 1000)).length, 70);
    await end.close();
    await theirs.close();
    await other.close();
  }));

test('what a client was acknowledged that dies without a word is seen, and settled when its session ends', (t) =>
  inRealCluster(5, async ({ client, connect, kill, sleep }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file: log } = await other.create(other.rootInode, name('log'), mode, ME);
    // The last of these chunks is not the only one that the master does not know to be full.
    for (let count = 0; count < 12; count += 1) await log.append([pattern(60_000, count)]);
    const mayBelieve = async () => {
      const asked = client.changes.now();
      t.is((await client.attributes(log.inode, ME)).length, 720_000);
      return !client.changes.changedSince(log.inode, asked);
    };
    t.false(await mayBelieve());
    kill('c2');
    t.false(await mayBelieve(), 'it may come back');
    await sleep(2 * SESSION_TIMEOUT_MS);
    t.true(await mayBelieve(), 'its session has ended, and the length is known');
  }));

test('a client that died while the master was away leaves no length unknown', (t) =>
  inRealCluster(6, async ({ client, connect, kill, start, sleep }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file: log } = await other.create(other.rootInode, name('log'), mode, ME);
    await log.append([pattern(5000)]);
    const { file: quiet } = await client.create(client.rootInode, name('quiet'), WRITING, ME);
    await quiet.close();
    kill('m');
    await log.append([pattern(400)]);
    kill('c2');
    await start('m');
    const mayBelieve = async (inode: InodeId, length: number) => {
      const asked = client.changes.now();
      t.is((await client.attributes(inode, ME)).length, length);
      return !client.changes.changedSince(inode, asked);
    };
    await sleep(SESSION_TIMEOUT_MS / 2);
    t.false(await mayBelieve(log.inode, 5400));
    t.false(await mayBelieve(quiet.inode, 0), 'nobody knows who writes what');
    await sleep(2 * SESSION_TIMEOUT_MS);
    t.true(await mayBelieve(log.inode, 5400));
    t.true(await mayBelieve(quiet.inode, 0));
    const { version } = (await client.statFile(log.inode, ME)).extents[0] ?? {};
    t.true((version ?? 0) > 1, 'the version was raised before the length was believed');
  }));

test('a client that was cut off for longer than a session lasts has lost its turn, but its appends go on', (t) =>
  inRealCluster(7, async ({ client, connect, network, sleep }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file: log } = await other.create(other.rootInode, name('log'), mode, ME);
    await log.append([pattern(3000)]);
    const { file } = await other.create(other.rootInode, name('f'), WRITING, ME);
    await file.write(0, [pattern(2000)]);
    await file.flush();
    const before = other.session;
    network.partition('m', 'c2');
    // Its chunkservers it still reaches; it writes on while the master takes it for gone.
    await log.append([pattern(70)]);
    await sleep(2 * SESSION_TIMEOUT_MS);
    t.is((await client.attributes(log.inode, ME)).length, 3070);
    const late = log.append([pattern(500)]);
    await sleep(1000);
    network.heal('m', 'c2');
    t.is(await late, 3070);
    t.not(other.session, before);
    t.is((await client.attributes(log.inode, ME)).length, 3570);
    t.is(await codeFrom(file.write(0, [pattern(5)])), 'SESSION_EXPIRED');
    t.is(await codeFrom(file.flush()), 'SESSION_EXPIRED');
    await file.close();
    const { file: again } = await other.open(file.inode, WRITING, ME);
    await again.write(2000, [pattern(5)]);
    await again.flush();
    t.is((await client.attributes(file.inode, ME)).length, 2005);
    await again.close();
    await log.close();
    await other.close();
  }));

test('what is still on its way when a file is closed at a deadline arrives before its length is believed, or never', (t) =>
  inRealCluster(8, async ({ client, connect, network, sleep }) => {
    const other = await connect();
    const { file } = await other.create(other.rootInode, name('f'), WRITING, ME);
    await file.write(0, [pattern(1000)]);
    await file.flush();
    for (const server of ['s1', 's2', 's3']) network.partition('c2', server);
    await file.write(1000, [pattern(1000)]);
    const late = codeFrom(file.close({ signal: AbortSignal.abort() }));
    t.is(await late, 'CANCELLED');
    await sleep(5000);
    for (const server of ['s1', 's2', 's3']) network.heal('c2', server);
    await sleep(2 * SESSION_TIMEOUT_MS);
    const asked = client.changes.now();
    const { length } = await client.attributes(file.inode, ME);
    t.false(client.changes.changedSince(file.inode, asked), 'it is believed');
    // Somebody else has it open for writing: now the primary is asked.
    const third = await connect();
    const { file: open } = await third.open(file.inode, WRITING, ME);
    t.is((await client.attributes(file.inode, ME)).length, length);
    await open.close();
    await third.close();
    await other.close();
  }));
