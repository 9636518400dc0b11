import test from 'ava';
import { joined, lengthOf } from '../../src/base/bytes.ts';
import { GfsError } from '../../src/base/errors.ts';
import { inodeId } from '../../src/base/ids.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import { FileType } from '../../src/rpc/messages.ts';
import { codeFrom, inWorld, ME, pattern, readAll, WRITING } from './world.ts';

test('a small new file costs a create, a mutation, a commit and a close', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('small');
    await file.write(0, [pattern(4 * KiB)]);
    await file.flush();
    await file.flush();
    await file.close();
    await file.close();
    t.deepEqual(cluster.counts(), { CreateFile: 1, Mutate: 1, CommitLength: 1, Close: 1 });
    t.deepEqual(cluster.contents(file.inode), pattern(4 * KiB));
  }));

test('closing without a flush commits with the close', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('small');
    await file.write(0, [pattern(100)]);
    await file.close();
    t.deepEqual(cluster.counts(), { CreateFile: 1, Mutate: 1, Close: 1 });
    t.is(cluster.master.node(file.inode).attributes.length, 100);
  }));

test('opening, reading and closing a small file costs an open and a read, and the second time no read', (t) =>
  inWorld({}, async ({ cluster, client, connect, create }) => {
    const { file } = await create('small');
    await file.write(0, [pattern(5000)]);
    await file.close();
    const reader = await connect();
    cluster.counts();
    const first = await reader.open(file.inode, { read: true }, ME);
    t.deepEqual(await readAll(first.file), pattern(5000));
    t.deepEqual(cluster.counts(), { Open: 1, Read: 1 });
    await first.file.close();
    const second = await reader.open(file.inode, { read: true }, ME);
    t.true(second.unchanged);
    t.deepEqual(await readAll(second.file), pattern(5000));
    t.deepEqual(cluster.counts(), { Open: 1 });
    await reader.close();
    t.is(client.chunkSizeBytes, 256 * KiB);
  }));

test('an open after another client closed sees its bytes', (t) =>
  inWorld({}, async ({ client, connect, create }) => {
    const { file } = await create('shared');
    await file.write(0, [pattern(5000)]);
    await file.close();
    const other = await connect();
    const theirs = (await other.open(file.inode, { read: true, write: true }, ME)).file;
    t.deepEqual(await readAll(theirs), pattern(5000));
    const mine = (await client.open(file.inode, { read: true }, ME)).file;
    t.deepEqual(await readAll(mine), pattern(5000));
    await theirs.write(0, [pattern(6000, 9)]);
    await theirs.close();
    const again = await client.open(file.inode, { read: true }, ME);
    t.false(again.unchanged);
    t.deepEqual(await readAll(again.file), pattern(6000, 9));
    await other.close();
  }));

test('what a client wrote is not old to it, unless another wrote between its look and its commit', (t) =>
  inWorld({}, async ({ client, cluster, connect, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(5000)]);
    await file.close();
    cluster.counts();
    const own = await client.open(file.inode, { read: true, write: true }, ME);
    t.true(own.unchanged);
    t.deepEqual(await readAll(own.file), pattern(5000));
    t.deepEqual(cluster.counts(), { Open: 1 }, 'a small file is remembered as it was written');

    const other = await connect();
    const theirs = (await other.open(file.inode, { write: true }, ME)).file;
    await theirs.write(0, [pattern(2500, 9)]);
    await theirs.close();
    await own.file.write(4000, [pattern(1000, 5)]);
    await own.file.close();
    const again = await client.open(file.inode, { read: true }, ME);
    t.false(again.unchanged);
    const expected = Buffer.concat([pattern(2500, 9), pattern(5000).subarray(2500, 4000), pattern(1000, 5)]);
    t.deepEqual(await readAll(again.file), expected);
    await other.close();
  }));

test('behind a kernel that walks paths, what is known is not asked again: small files cost no look-ups', (t) =>
  inWorld({ kernelWalksPaths: true }, async ({ client, cluster, sleep }) => {
    await sleep(100);
    const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
    const made = await client.makeNode(client.rootInode, Buffer.from('d'), node, ME);
    const inode = inodeId(made.inode);
    const name = Buffer.from('f');
    cluster.counts();
    t.is(await codeFrom(client.lookup(inode, name, ME)), 'NOT_FOUND');
    const { file } = await client.create(inode, name, WRITING, ME);
    await file.write(0, [pattern(1000)]);
    await file.close();
    t.is((await client.lookup(inode, name, ME)).length, 1000);
    t.is((await client.attributes(file.inode, ME)).length, 1000);
    t.deepEqual(cluster.counts(), { CreateFile: 1, Mutate: 1, Close: 1 });
    await sleep(1500);
    t.is((await client.lookup(inode, name, ME)).length, 1000);
    t.deepEqual(cluster.counts(), { Lookup: 1 }, 'a master that was not heard for a second may be cut off');
  }));

test('readers see what was written and is not at the cluster yet, through any open file', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    const other = (await client.open(file.inode, { read: true }, ME)).file;
    cluster.counts();
    await file.write(0, [pattern(1000)]);
    await file.write(500, [pattern(1000, 3)]);
    const expected = Buffer.concat([pattern(500), pattern(1000, 3)]);
    t.deepEqual(await readAll(other), expected);
    t.is((await client.attributes(file.inode, ME)).length, 1500);
    t.deepEqual(cluster.counts(), { GetAttributes: 1 });
    await file.flush();
    t.deepEqual(await readAll(other), expected);
  }));

test('small sequential writes are gathered into mutations that end at borders', (t) =>
  inWorld({ chunkSizeBytes: 4 * MiB }, async ({ cluster, create }) => {
    const { file } = await create('f');
    const data = pattern(3 * MiB + 10 * KiB);
    for (let at = 0; at < data.length; at += 4 * KiB) await file.write(at, [data.subarray(at, at + 4 * KiB)]);
    await file.close();
    t.deepEqual(cluster.counts(), { CreateFile: 1, Push: 3, Mutate: 4, Close: 1 });
    t.deepEqual(cluster.contents(file.inode), data);
  }));

test('a small write goes out by itself after a moment', (t) =>
  inWorld({}, async ({ cluster, create, sleep }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(10)]);
    await sleep(1000);
    t.deepEqual(cluster.counts(), { CreateFile: 1, Mutate: 1 });
    await file.close();
  }));

test('what is taken is given back once, and what is borrowed may be used again at once', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    let released = 0;
    const taken = pattern(300 * KiB);
    await file.writeTaken(100, [taken], () => {
      released += 1;
    });
    t.is(released, 0);
    const borrowed = pattern(100, 5);
    await file.write(0, [borrowed]);
    borrowed.fill(0);
    await file.flush();
    t.is(released, 1);
    t.deepEqual(cluster.contents(file.inode), Buffer.concat([pattern(100, 5), taken]));
    await file.close();
    await t.throwsAsync(
      file.writeTaken(0, [taken], () => {
        released += 1;
      }),
    );
    t.is(released, 2);
  }));

test('writers wait at the bound, and never have more in flight', async (t) => {
  const bound = 2 * MiB;
  await inWorld({ chunkSizeBytes: 16 * MiB, writeBehindBytes: bound }, async ({ cluster, create, env }) => {
    let inFlight = 0;
    let most = 0;
    cluster.onCall = async ({ method, request }) => {
      if (method !== 'Mutate') return;
      const { length } = request as { length: number };
      inFlight += length;
      most = Math.max(most, inFlight);
      await env.sleep(20);
      inFlight -= length;
    };
    const { file } = await create('f');
    const data = pattern(1 * MiB);
    let given = 0;
    let back = 0;
    for (let count = 0; count < 12; count += 1) {
      await file.writeTaken(count * MiB, [data], () => {
        back += 1;
      });
      given += 1;
      t.true(given - back <= 2);
    }
    await file.close();
    t.is(back, 12);
    t.true(most <= bound);
    t.is(cluster.master.node(file.inode).attributes.length, 12 * MiB);
  });
});

test('of one file at most 8 MiB are in flight', (t) =>
  inWorld({ chunkSizeBytes: 64 * MiB }, async ({ cluster, create, env }) => {
    let inFlight = 0;
    let most = 0;
    cluster.onCall = async ({ method }) => {
      if (method !== 'Mutate') return;
      inFlight += 1;
      most = Math.max(most, inFlight);
      await env.sleep(50);
      inFlight -= 1;
    };
    const { file } = await create('f');
    for (let count = 0; count < 24; count += 1) await file.write(count * MiB, [pattern(1 * MiB)]);
    await file.close();
    t.is(most, 8);
  }));

test('an error of write-behind is told once to each file that was open for writing then', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    const other = (await client.open(file.inode, { write: true }, ME)).file;
    const reader = (await client.open(file.inode, { read: true }, ME)).file;
    // The servers say that they are full, and the master that there are no others.
    cluster.onCall = ({ method }) => {
      if (method === 'Mutate' || method === 'FindChunks') throw noSpace();
    };
    await file.write(0, [pattern(100)]);
    t.is(await codeFrom(file.flush()), 'NO_SPACE');
    cluster.onCall = undefined;
    const later = (await client.open(file.inode, { write: true }, ME)).file;
    t.is(await codeFrom(file.flush()), 'none');
    t.is(await codeFrom(other.write(0, [pattern(10)])), 'NO_SPACE');
    t.is(await codeFrom(other.sync()), 'NO_SPACE');
    t.is(await codeFrom(other.close()), 'none');
    t.is(await codeFrom(reader.close()), 'none');
    t.is(await codeFrom(later.close()), 'none');
    t.is((await file.attributes()).length, 0);
    await file.write(0, [pattern(10)]);
    await file.close();
    t.deepEqual(cluster.contents(file.inode), pattern(10));
  }));

test('sync asks each primary with unsynced mutations once', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(600 * KiB)]);
    await file.sync();
    const counts = cluster.counts();
    t.is(counts.Sync, 3);
    t.is(counts.CommitLength, 1);
    await file.sync();
    t.deepEqual(cluster.counts(), {});
    await file.write(0, [pattern(1)]);
    await file.sync();
    t.deepEqual(cluster.counts(), { Mutate: 1, Sync: 1, CommitLength: 1 });
    await file.close();
  }));

test('truncation cuts, and what is extended again is zeros', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    const data = pattern(600 * KiB);
    await file.write(0, [data]);
    await file.truncate(300 * KiB);
    t.deepEqual(await readAll(file), data.subarray(0, 300 * KiB));
    await client.setAttributes(file.inode, { length: 500 * KiB }, ME);
    const extended = Buffer.concat([data.subarray(0, 300 * KiB), Buffer.alloc(200 * KiB)]);
    t.true((await readAll(file)).equals(extended));
    await file.write(400 * KiB, [pattern(10)]);
    await file.flush();
    pattern(10).copy(extended, 400 * KiB);
    t.true((await readAll(file)).equals(extended));
    t.true(cluster.contents(file.inode).equals(extended));
    const { file: again } = await client.open(file.inode, { read: true, write: true, truncate: true }, ME);
    t.is((await readAll(again)).length, 0);
    t.is((await readAll(file)).length, 0);
    await again.write(5, [pattern(5)]);
    t.deepEqual(await readAll(file), Buffer.concat([Buffer.alloc(5), pattern(5)]));
    await again.close();
  }));

test('a time that was set stays, whatever is still to be committed', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(100)]);
    const mtime = { seconds: 12345, nanos: 678 };
    t.deepEqual((await client.setAttributes(file.inode, { mtime }, ME)).mtime, mtime);
    await file.close();
    t.deepEqual(cluster.master.node(file.inode).attributes.mtime, mtime);
  }));

test('what is no part of a file is refused; past the end there is nothing', (t) =>
  inWorld({}, async ({ client, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(10)]);
    t.is(await codeFrom(file.read(-1, 10)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.read(0, -10)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.read(2 ** 53, 1)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.write(1.5, [pattern(1)])), 'INVALID_ARGUMENT');
    t.is(lengthOf(await file.read(5, 0)), 0);
    t.is(lengthOf(await file.read(10, 10)), 0);
    t.is(lengthOf(await file.read(5, 10)), 5);
    const reader = (await client.open(file.inode, { read: true }, ME)).file;
    t.is(await codeFrom(reader.write(0, [pattern(1)])), 'BAD_FILE');
    await file.close();
    t.is(await codeFrom(file.read(0, 1)), 'BAD_FILE');
  }));

test('random writes, reads, truncations and flushes do as a buffer does', async (t) => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const options = { seed, writeBehindBytes: 1 * MiB, readaheadBytes: 1 * MiB, cacheBytes: 512 * KiB };
    await inWorld(options, async ({ simulation, client, cluster, create }) => {
      const dice = simulation.random.fork('workload');
      const { file: first } = await create('f');
      const files: GfsFile[] = [
        first,
        (await client.open(first.inode, { read: true, write: true }, ME)).file,
      ];
      let model = Buffer.alloc(0);
      for (let step = 0; step < 150; step += 1) {
        const file = files[dice.below(2)] ?? first;
        const at = dice.below(1200 * KiB);
        const size = 1 + dice.below(dice.below(2) === 0 ? 5000 : 400 * KiB);
        const action = dice.below(20);
        if (action < 9) {
          const bytes = pattern(size, step);
          await file.write(at, [bytes]);
          if (at + size > model.length)
            model = Buffer.concat([model, Buffer.alloc(at + size - model.length)]);
          bytes.copy(model, at);
        } else if (action < 17) {
          const found = joined(await file.read(at, size));
          const expected = model.subarray(at, at + size);
          if (!expected.equals(found)) {
            t.fail(`seed ${seed} step ${step}: read of ${size} at ${at} differs`);
            return;
          }
        } else if (action === 17) {
          await file.truncate(at);
          model = Buffer.concat([model.subarray(0, at), Buffer.alloc(Math.max(0, at - model.length))]);
        } else if (action === 18) {
          await file.flush();
        } else {
          await file.sync();
        }
      }
      for (const file of files) await file.close();
      t.true(cluster.contents(first.inode).equals(model), `seed ${seed}`);
    });
  }
});

test('a name can be created only once when that is asked', (t) =>
  inWorld({}, async ({ client, create }) => {
    const { file, created } = await create('f');
    t.true(created);
    const name = Buffer.from('f');
    const exclusive = { ...WRITING, exclusive: true };
    t.is(await codeFrom(client.create(client.rootInode, name, exclusive, ME)), 'EXISTS');
    t.false((await create('f')).created);
    await file.close();
  }));

function noSpace(): GfsError {
  return new GfsError('NO_SPACE', 'all disks are full');
}
