import test from 'ava';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import { DirectoryRuns } from '../../src/client/directory-runs.ts';
import { FileType } from '../../src/rpc/messages.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME } from './world.ts';

const PARENT = inodeId(10);
const numbered = (number: number) => `f${String(number).padStart(5, '0')}`;
const at = (name: string, parent: InodeId = PARENT) => ({ parent, name: Buffer.from(name) });
/** How many names each of these that are not known would ask for. */
const asked = (runs: DirectoryRuns, names: readonly string[]) => names.map((name) => runs.missed(at(name)));
const range = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => numbered(from + index));

test('who misses one name after the other in their order is given pages that grow', (t) => {
  const runs = new DirectoryRuns();
  t.deepEqual(asked(runs, range(0, 8)), [1, 1, 1, 1, 1, 1, 1, 32]);
  for (const [name, count] of [
    [39, 64],
    [103, 128],
    [231, 256],
    [487, 512],
    [999, 512],
  ] as const) {
    for (let index = 0; index < count / 2 - 1; index += 1) runs.answered(PARENT);
    t.is(runs.missed(at(numbered(name))), count);
  }
});

test('names in no order, the same one again and again, or in many directories are no run', (t) => {
  const runs = new DirectoryRuns();
  const shuffled = Array.from({ length: 200 }, (_, index) => numbered((index * 61) % 200));
  t.true(Math.max(...asked(runs, shuffled)) === 1);
  t.true(asked(runs, Array(50).fill('x')).every((count) => count === 1));
  for (let parent = 1; parent < 50; parent += 1) t.is(runs.missed(at('Makefile', inodeId(parent))), 1);
});

test('pages of which hardly anything is used are not asked for again soon', (t) => {
  const runs = new DirectoryRuns();
  const skipping = Array.from({ length: 100 }, (_, index) => numbered(index * 100));
  const counts = asked(runs, skipping);
  t.is(counts.filter((count) => count > 1).length, 12);
  t.is(Math.max(...counts), 32);
});

test('a run ends with names that are not there', (t) => {
  const runs = new DirectoryRuns();
  asked(runs, range(0, 7));
  runs.end(PARENT);
  t.is(runs.missed(at(numbered(7))), 1);
});

test('looking up all names of a directory in their order costs a question for many, and shows what changed', (t) =>
  inRealCluster(5, async ({ client, connect, sleep, network }) => {
    const made = { type: FileType.FILE_TYPE_FIFO, mode: 0o600 };
    const directory = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
    const parent = inodeId((await client.makeNode(client.rootInode, Buffer.from('d'), directory, ME)).inode);
    const names = range(0, 300).map((name) => Buffer.from(name));
    const inodes = await Promise.all(names.map((name) => client.makeNode(parent, name, made, ME)));
    const reader = await connect({ kernelWalksPaths: true });
    await sleep(100);
    const half = names.slice(0, 150);
    for (const [index, name] of half.entries()) {
      t.like(await reader.lookup(parent, name, ME), { inode: inodes[index]?.inode });
    }
    await client.unlink(parent, names[151] as Buffer, ME);
    await client.setAttributes(inodeId(inodes[152]?.inode ?? 0), { mode: 0o640 }, ME);
    await sleep(100);
    t.is(await codeFrom(reader.lookup(parent, names[151] as Buffer, ME)), 'NOT_FOUND');
    t.is((await reader.lookup(parent, names[152] as Buffer, ME)).mode, 0o640);
    // What was fetched with the others needs no master.
    network.partition('c2', 'm');
    t.like(await reader.lookup(parent, names[153] as Buffer, ME), { inode: inodes[153]?.inode });
    network.heal('c2', 'm');
    await reader.close();
  }));

test('who may search a directory and not list it finds all its names', (t) =>
  inRealCluster(6, async ({ client, connect, sleep }) => {
    const directory = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o711 };
    const parent = inodeId((await client.makeNode(client.rootInode, Buffer.from('d'), directory, ME)).inode);
    const made = { type: FileType.FILE_TYPE_FIFO, mode: 0o600 };
    const names = range(0, 30).map((name) => Buffer.from(name));
    const inodes = await Promise.all(names.map((name) => client.makeNode(parent, name, made, ME)));
    const reader = await connect({ kernelWalksPaths: true });
    await sleep(100);
    const somebody = { caller: { uid: 1234, gid: 1234, groups: [] } };
    for (const [index, name] of names.entries()) {
      t.like(await reader.lookup(parent, name, somebody), { inode: inodes[index]?.inode });
    }
    await reader.close();
  }));
