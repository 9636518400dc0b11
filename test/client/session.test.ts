// What a client does for the master to know what it has open.
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, inWorld, ME, pattern, readAll, WRITING } from './world.ts';

for (const restarts of [1, 2, 5]) {
  test(`a writer goes on when the master is started anew ${restarts} times within one of its calls`, (t) =>
    inWorld({}, async ({ cluster, network, create }) => {
      const { file } = await create('f');
      await file.write(0, [pattern(100)]);
      await file.flush();
      let left = restarts;
      let knows = true;
      cluster.onCall = ({ method }) => {
        if (method === 'RenewSession') knows = true;
        if (method !== 'AddChunk') return;
        if (left > 0 && knows) {
          left -= 1;
          knows = false;
          network.reset('master');
        }
        if (!knows) throw new GfsError('BAD_FILE', 'it was not told');
      };
      await file.write(300 * KiB, [pattern(100, 1)]);
      t.is(await codeFrom(file.flush()), 'none');
      t.is(left, 0);
      await file.close();
      t.true(
        cluster
          .contents(file.inode)
          .subarray(300 * KiB)
          .equals(pattern(100, 1)),
      );
    }));
}

test('a file that a living master does not know as open is told so once, and is an error then', (t) =>
  inWorld({}, async ({ simulation, cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(100)]);
    await file.flush();
    cluster.counts();
    cluster.onCall = ({ method }) => {
      if (method === 'AddChunk') throw new GfsError('BAD_FILE', 'it is not open');
    };
    const startMs = simulation.nowMs;
    await file.write(300 * KiB, [pattern(100, 1)]);
    t.is(await codeFrom(file.flush()), 'BAD_FILE');
    t.true(simulation.nowMs - startMs < SECOND_MS);
    t.deepEqual([cluster.counts().AddChunk, cluster.counts().RenewSession], [2, undefined]);
    cluster.onCall = undefined;
    await file.close();
  }));

for (const [what, downMs, restarted] of [
  ['was away', 3000, true],
  ['could not be reached', 3000, false],
] as const) {
  test(`a Close that nobody waited for is told when the master that ${what} is back`, (t) =>
    inRealCluster(`unclosed ${what}`, async ({ client, connect, network, envOf, kill, start, sleep }) => {
      const other = await connect();
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      await file.write(0, [pattern(1000)]);
      await file.sync();
      await file.write(1000, [pattern(500, 1)]);
      // The second write reaches the servers, and then nobody can tell the master of it.
      await sleep(1000);
      if (restarted) kill('m');
      else network.partition('m', 'c1');
      const deadlineMs = envOf(client).monotonicMs() + 1000;
      t.is(await codeFrom(file.close({ deadlineMs })), 'DEADLINE_EXCEEDED');
      await sleep(downMs);
      if (restarted) await start('m');
      else network.heal('m', 'c1');
      await sleep(5000);
      // A file that may be written by others is as long as its primary says; of this one the master knows it.
      for (const server of ['s1', 's2', 's3']) kill(server);
      const deadline = { ...ME, deadlineMs: envOf(other).monotonicMs() + 1000 };
      t.is((await other.attributes(file.inode, deadline)).length, 1500);
      for (const server of ['s1', 's2', 's3']) await start(server);
      const { file: again } = await other.open(file.inode, { read: true }, ME);
      t.true((await readAll(again)).equals(Buffer.concat([pattern(1000), pattern(500, 1)])));
      await again.close();
      await other.close();
    }));
}

test('a command without an answer is not given to another session: it may have been carried out in the one that ended', (t) =>
  inWorld({}, async ({ cluster, client, create }) => {
    const { file } = await create('f');
    await file.close();
    let tries = 0;
    cluster.onCall = ({ method }) => {
      if (method !== 'Unlink') return;
      tries += 1;
      if (tries === 1) throw new GfsError('UNAVAILABLE', 'perhaps it is done');
      throw new GfsError('NO_SUCH_SESSION', 'it ended');
    };
    t.is(await codeFrom(client.unlink(client.rootInode, Buffer.from('f'), ME)), 'SESSION_EXPIRED');
    t.is(tries, 2, 'it is not given to another session');
    cluster.onCall = undefined;
  }));
