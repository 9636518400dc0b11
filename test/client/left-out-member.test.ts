// A member that a later version left out may live on with what it had: readers must not take that for the chunk.
import test, { type ExecutionContext } from 'ava';
import { must } from '../../src/base/assert.ts';
import { joined } from '../../src/base/bytes.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import { inWorld, ME, pattern, type World } from './world.ts';

/** More than a client remembers of what it wrote itself. */
const LENGTH = 200 * KiB;

/** A written file. `leaveOut` raises its chunk's version without the member that is read first, which is not the primary. */
async function written(t: ExecutionContext, { cluster, create }: World) {
  const { file } = await create('f');
  await file.write(0, [pattern(LENGTH)]);
  await file.flush();
  const [chunk, row] = must([...cluster.master.chunks].at(-1), 'it has a chunk');
  const first = must(row.members[chunk % row.members.length], 'it has members');
  while (row.primary === first) cluster.master.raise(chunk);
  const leaveOut = () => {
    cluster.dead.add(first);
    cluster.master.raise(chunk);
    cluster.dead.delete(first);
    t.false(row.members.includes(first));
  };
  return { file, leaveOut };
}

test('P12: what was carried over to a later version is read from the members of that one', (t) =>
  inWorld({}, async (world) => {
    const { file, leaveOut } = await written(t, world);
    const { cluster } = world;
    const pause = cluster.pause;
    cluster.pause = async () => {
      await pause();
      cluster.pause = pause;
      leaveOut();
    };
    await file.write(0, [pattern(LENGTH, 1)]);
    await file.flush();
    t.true(Buffer.from(joined(await file.read(0, LENGTH))).equals(pattern(LENGTH, 1)));
    await file.close();
  }));

test('P13: an answer counts from when it was asked for', (t) =>
  inWorld({}, async (world) => {
    const { file, leaveOut } = await written(t, world);
    const { cluster, connect, sleep } = world;
    const reader = await connect();
    const { file: reading } = await reader.open(file.inode, { read: true }, ME);
    await sleep(20 * SECOND_MS);
    // The master says where the chunk is; before that arrives, it is elsewhere, longer, and known to be.
    let length = 0;
    cluster.onAnswer = async ({ method }) => {
      if (method !== 'FindChunks') return;
      cluster.onAnswer = undefined;
      leaveOut();
      await file.write(LENGTH, [pattern(100, 1)]);
      await file.close();
      length = (await reader.attributes(file.inode, ME)).length;
    };
    await reading.read(0, 10);
    t.is(length, LENGTH + 100);
    t.deepEqual(Buffer.from(joined(await reading.read(LENGTH, 100))), pattern(100, 1));
    await reading.close();
    await reader.close();
  }));
