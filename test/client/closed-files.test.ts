import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type { CommandContext } from '../../src/rpc/messages.ts';
import type { FakeCluster } from './fake-cluster.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, inWorld, ME, pattern, WRITING } from './world.ts';

const READING = { read: true };

/** Which commands told of how many closed files since this was asked last. */
function tellers({ calls }: FakeCluster): string[] {
  return calls.splice(0).flatMap(({ method, request }) => {
    const { context } = (request ?? {}) as { context?: CommandContext };
    const count = context?.closed.length ?? 0;
    return count === 0 ? [] : [`${method} ${count}`];
  });
}

test('files that were only read are closed with the next command, or a moment later', (t) =>
  inWorld({}, async ({ cluster, client, create, sleep }) => {
    const { file } = await create('f');
    await file.close();
    const open = async () => (await client.open(file.inode, READING, ME)).file;
    cluster.calls.length = 0;
    const files = [await open(), await open(), await open()];
    await files[0]?.close();
    await files[1]?.close();
    t.is(cluster.master.openFiles.size, 3, 'nothing is said of it alone');
    await (await open()).close();
    t.is(cluster.master.openFiles.size, 2);
    t.deepEqual(tellers(cluster), ['Open 2']);
    await sleep(100);
    t.is(cluster.master.openFiles.size, 1);
    t.deepEqual(tellers(cluster), ['Close 1']);
    await files[2]?.close();
    await client.unlink(client.rootInode, Buffer.from('f'), ME);
    t.is(cluster.master.openFiles.size, 0);
    t.deepEqual(tellers(cluster), ['Unlink 1']);
  }));

test('a master that hears at once that a file is closed, and what is open, has it closed in the end', async (t) => {
  const inodesLeft = async (seed: number) => {
    let left: readonly number[] = [];
    await inRealCluster(seed, async ({ client, kill, start, sleep }) => {
      const inodeCount = async () => {
        const { inodeCount, inodeCountFree } = await client.statFilesystem();
        return inodeCount - inodeCountFree;
      };
      const before = await inodeCount();
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      kill('m');
      const closing = file.close();
      await sleep(5 * SECOND_MS);
      await start('m');
      await closing;
      await client.unlink(client.rootInode, Buffer.from('f'), ME);
      await sleep(10 * SECOND_MS);
      left = [before, await inodeCount()];
    });
    return left;
  };
  for (let seed = 0; seed < 8; seed += 1) {
    const [before, after] = await inodesLeft(seed);
    t.is(after, before, `seed ${seed}`);
  }
});

test('a file that is kept open is closed with the command that removes it', (t) =>
  inWorld({ kernelWalksPaths: true }, async ({ cluster, client, create, sleep }) => {
    // It listens by then.
    await sleep(100);
    const { file } = await create('f');
    await file.close();
    const read = await client.open(file.inode, READING, ME);
    await read.file.close();
    await sleep(100);
    t.is(cluster.master.openFiles.size, 1);
    t.deepEqual(tellers(cluster), []);
    await client.unlink(client.rootInode, Buffer.from('f'), ME);
    t.is(cluster.master.openFiles.size, 0);
    t.deepEqual(tellers(cluster), ['Unlink 1']);
  }));

test('who wrote closes by itself', (t) =>
  inWorld({}, async ({ cluster, create }) => {
    const { file } = await create('f');
    await file.write(0, [pattern(10)]);
    await file.flush();
    await file.close();
    t.is(cluster.master.openFiles.size, 0);
    t.deepEqual(tellers(cluster), []);
  }));

test('who read by a lock has given it back when the file is closed', (t) =>
  inRealCluster(1, async ({ client, connect, sleep }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const lock = { kind: 'flock', owner: 'o', exclusive: true, wait: false, pid: 1 } as const;
    const other = await connect();
    await sleep(100);
    const { file: theirs } = await other.open(file.inode, READING, ME);
    await theirs.lock({ ...lock, exclusive: false });
    t.is(await codeFrom(file.lock(lock)), 'LOCKED');
    await theirs.close();
    t.is(await codeFrom(file.lock(lock)), 'none');
    await file.close();
    await other.close();
  }));

test('what a command did not bring to the master is told again, but not by another session', (t) =>
  inWorld({ ioTimeoutMs: SECOND_MS }, async ({ cluster, client, create, sleep }) => {
    const { file } = await create('f');
    await file.close();
    const open = async () => (await client.open(file.inode, READING, ME)).file;
    await (await open()).close();
    cluster.onCall = () => {
      throw new GfsError('UNAVAILABLE', 'nobody is there');
    };
    t.is(await codeFrom(open()), 'DEADLINE_EXCEEDED');
    await sleep(2 * SECOND_MS);
    cluster.onCall = undefined;
    t.is(cluster.master.openFiles.size, 1);
    await sleep(20 * SECOND_MS);
    t.is(cluster.master.openFiles.size, 0);

    await (await open()).close();
    cluster.calls.length = 0;
    let isEnded = false;
    cluster.onCall = ({ method }) => {
      if (method !== 'Open' || isEnded) return;
      isEnded = true;
      throw new GfsError('NO_SUCH_SESSION', 'it ended');
    };
    await (await open()).close();
    await sleep(SECOND_MS);
    t.deepEqual(tellers(cluster), ['Open 1', 'Close 1'], 'the file of the new one alone');
  }));
