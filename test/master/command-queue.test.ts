import test from 'ava';
import type { InodeId } from '../../src/base/ids.ts';
import { type Result, refuse } from '../../src/base/result.ts';
import { type Command, type CommandResult, DONE, INTERNAL } from '../../src/core/metadata/commands.ts';
import { CommandQueue } from '../../src/master/command-queue.ts';

function command(inode: number): Command {
  const value = { inodes: [inode as InodeId] };
  return { context: INTERNAL, time: { seconds: 0, nanos: 0 }, body: { $case: 'reap', value } };
}

/** A queue whose batches take a turn or two, and what was written so far. */
function begin() {
  const batches: number[][] = [];
  const written: number[] = [];
  const queue = new CommandQueue({
    write: async (commands) => {
      const inodes = commands.flatMap(({ body }) => (body.$case === 'reap' ? body.value.inodes : []));
      batches.push(inodes);
      await undefined;
      written.push(...inodes);
      return commands.map((): Result<CommandResult> => ({ ok: true, value: DONE }));
    },
    run: (work) => void work(),
  });
  return { queue, batches, written };
}

test('the last check sees all commands before it applied, and none comes between it and its command', async (t) => {
  const { queue, batches, written } = begin();
  const seen: number[][] = [];
  const look = () => {
    seen.push([...written]);
    return undefined;
  };
  await Promise.all([
    queue.add(command(1)),
    queue.add(command(2)),
    queue.add(command(3), look),
    queue.add(command(4)),
    queue.add(command(5), look),
    queue.add(command(6), look),
    queue.add(command(7)),
  ]);
  t.deepEqual(batches, [[1, 2], [3], [4], [5], [6], [7]]);
  t.deepEqual(seen, [
    [1, 2],
    [1, 2, 3, 4],
    [1, 2, 3, 4, 5],
  ]);
});

test('what the last check refuses is not written, and holds up nothing', async (t) => {
  const { queue, batches } = begin();
  const refusal = refuse('PERMISSION_DENIED', 'no');
  const [refused, other] = await Promise.all([
    queue.add(command(1), () => refusal),
    queue.add(command(2)),
    queue.add(command(3), () => refusal),
  ]);
  t.deepEqual(refused, refusal);
  t.true(other.ok);
  t.deepEqual(batches, [[2]]);
});
