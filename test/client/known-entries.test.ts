import test from 'ava';
import type { Env } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import { nameKey } from '../../src/base/name-key.ts';
import type { Place } from '../../src/client/api.ts';
import type { FileStates } from '../../src/client/file-states.ts';
import { KnownEntries } from '../../src/client/known-entries.ts';
import { RecentChanges } from '../../src/client/recent-changes.ts';
import { type Attributes, FileType } from '../../src/rpc/messages.ts';
import { inRealCluster } from './real-cluster.ts';
import { inWorld, ME, WRITING } from './world.ts';

const ROOT = inodeId(1);
const DIRECTORY = inodeId(10);
const FILE = inodeId(11);

function at(name: string, parent: InodeId = ROOT): Place {
  return { parent, name: Buffer.from(name) };
}

function like(inode: InodeId, changes: Partial<Attributes> = {}): Attributes {
  const type = inode === FILE ? FileType.FILE_TYPE_REGULAR : FileType.FILE_TYPE_DIRECTORY;
  return { inode, type, linkCount: 1, ...changes } as Attributes;
}

/** A client that hears from its master; no file is written. */
function world({ remembers = true } = {}) {
  const clock = { nowMs: 0, heardMs: 0 };
  const changes = new RecentChanges();
  changes.see();
  const env = { monotonicMs: () => clock.nowMs } as Env;
  const observe = (attributes: Attributes) => attributes;
  const states = { now: 0, observe, mayBeCut: () => false } as unknown as FileStates;
  const accessTimes = { observed: observe, forget: () => undefined };
  const heardMs = () => clock.heardMs;
  const old: (InodeId | undefined)[] = [];
  const known = new KnownEntries({
    env,
    changes,
    states,
    accessTimes,
    heardMs,
    remembers,
    onOld: (inode) => old.push(inode),
  });
  /** As the session channel does. */
  const told = (inode: InodeId) => {
    changes.note(inode);
    known.inodeChanged(inode);
  };
  return { clock, changes, known, told, old };
}

test('what was answered is remembered until the master tells of a change', (t) => {
  const { known, told } = world();
  known.learnName(at('f'), like(FILE), known.asking());
  t.deepEqual(known.lookup(at('f')), like(FILE));
  t.deepEqual(known.attributes(FILE), like(FILE));
  told(FILE);
  t.is(known.lookup(at('f')), undefined);
  t.is(known.attributes(FILE), undefined);
});

test('an answer that a change overtook on its way is not remembered', (t) => {
  const { changes, known, told } = world();
  const asked = known.asking();
  told(FILE);
  known.learnName(at('f'), like(FILE), asked);
  t.is(known.lookup(at('f')), undefined);
  const again = known.asking();
  changes.note(nameKey(ROOT, Buffer.from('f')));
  known.learnName(at('f'), like(FILE), again);
  t.is(known.lookup(at('f')), undefined);
  t.deepEqual(known.attributes(FILE), like(FILE), 'the inode is another matter');
});

test('without a channel, or without a word from the master for a second, nothing is believed', (t) => {
  const { changes, clock, known } = world();
  known.added(at('d'), like(DIRECTORY), like(ROOT), known.asking());
  clock.nowMs = 1000;
  t.deepEqual(known.attributes(DIRECTORY), like(DIRECTORY));
  t.is(known.lookup(at('x', DIRECTORY)), 'absent');
  clock.nowMs = 1001;
  t.is(known.attributes(DIRECTORY), undefined);
  t.is(known.lookup(at('x', DIRECTORY)), undefined);
  clock.heardMs = 1001;
  t.is(known.lookup(at('x', DIRECTORY)), 'absent');
  changes.goBlind();
  known.everythingChanged();
  t.is(known.attributes(DIRECTORY), undefined);
  t.is(known.lookup(at('x', DIRECTORY)), undefined);
  known.learn(like(DIRECTORY), known.asking());
  known.added(at('e'), like(inodeId(12)), like(ROOT), known.asking());
  t.is(known.attributes(DIRECTORY), undefined);
  t.is(known.lookup(at('x', inodeId(12))), undefined);
});

test('of a directory that was made here every name is known, until somebody else changes it', (t) => {
  const { known, told } = world();
  known.added(at('d'), like(DIRECTORY), like(ROOT), known.asking());
  t.is(known.lookup(at('f', DIRECTORY)), 'absent');
  t.is(known.lookup(at('f', ROOT)), undefined, 'of others it is not');
  t.is(known.lookup(at('.', DIRECTORY)), undefined);
  t.is(known.lookup(at('..', DIRECTORY)), undefined);
  known.named(at('f', DIRECTORY), like(FILE), like(DIRECTORY, { linkCount: 7 }), known.asking());
  t.deepEqual(known.lookup(at('f', DIRECTORY)), like(FILE));
  t.is(known.attributes(DIRECTORY)?.linkCount, 7);
  known.removed(at('f', DIRECTORY), { inode: FILE, directory: undefined }, known.asking());
  t.is(known.lookup(at('f', DIRECTORY)), 'absent');
  t.is(known.attributes(FILE), undefined, 'it has a link less');
  t.is(known.attributes(DIRECTORY), undefined, 'nobody said what it is like now');
  told(DIRECTORY);
  t.is(known.lookup(at('f', DIRECTORY)), undefined);
});

test('a directory that others changed before its making was answered is not known', (t) => {
  const { known, told } = world();
  const asked = known.asking();
  told(DIRECTORY);
  known.added(at('d'), like(DIRECTORY), like(ROOT), asked);
  t.is(known.lookup(at('f', DIRECTORY)), undefined);
});

test('a rename moves what is known of names, an exchange leaves both', (t) => {
  const { known } = world();
  known.added(at('d'), like(DIRECTORY), like(ROOT), known.asking());
  known.named(at('a', DIRECTORY), like(FILE), undefined, known.asking());
  const how = { keepsName: false, inodes: [FILE], directories: [] };
  known.renamed(at('a', DIRECTORY), at('b', DIRECTORY), how, known.asking());
  t.is(known.lookup(at('a', DIRECTORY)), 'absent');
  t.is(known.lookup(at('b', DIRECTORY)), undefined, 'it is there; what it is like has to be asked');
  known.named(at('a', DIRECTORY), like(inodeId(12)), undefined, known.asking());
  known.renamed(at('a', DIRECTORY), at('b', DIRECTORY), { ...how, keepsName: true }, known.asking());
  t.is(known.lookup(at('a', DIRECTORY)), undefined);
  t.is(known.lookup(at('b', DIRECTORY)), undefined);
});

test('what lost a name or got another is not known, also when its name was not', (t) => {
  const { known } = world();
  const learn = () => known.learn(like(FILE), known.asking());
  learn();
  const asked = known.asking();
  known.removed(at('f'), { inode: FILE, directory: like(ROOT) }, asked);
  t.is(known.attributes(FILE), undefined);
  known.learn(like(FILE), asked);
  t.is(known.attributes(FILE), undefined, 'asked before it lost the name');
  learn();
  const how = { keepsName: false, directories: [like(ROOT)] };
  known.renamed(at('a'), at('b'), { ...how, inodes: [FILE] }, known.asking());
  t.is(known.attributes(FILE), undefined, 'it moved');
  learn();
  known.renamed(at('a'), at('b'), { ...how, inodes: [DIRECTORY, FILE] }, known.asking());
  t.is(known.attributes(FILE), undefined, 'it was replaced');
});

test('an open file that lost its last name has no links, by whatever name it was known', (t) =>
  inRealCluster('links', async ({ connect, sleep }) => {
    const client = await connect({ kernelWalksPaths: true });
    // It listens by then.
    await sleep(100);
    const root = client.rootInode;
    const place = (name: string): Place => at(name, root);
    const linkCounts = async (lose: () => Promise<unknown>): Promise<number[]> => {
      const { file } = await client.create(root, Buffer.from('made'), WRITING, ME);
      await client.rename(place('made'), place('moved'), {}, ME);
      const before = await client.attributes(file.inode, ME);
      await lose();
      const after = await client.attributes(file.inode, ME);
      await file.close();
      return [before.linkCount, after.linkCount];
    };
    t.deepEqual(await linkCounts(() => client.unlink(root, Buffer.from('moved'), ME)), [1, 0], 'removed');
    const { file: other } = await client.create(root, Buffer.from('other'), WRITING, ME);
    await other.close();
    const replace = () => client.rename(place('other'), place('moved'), {}, ME);
    t.deepEqual(await linkCounts(replace), [1, 0], 'replaced');
  }));

test('a command that failed leaves nothing known of its names and directories', async (t) => {
  const { known } = world();
  known.added(at('d'), like(DIRECTORY), like(ROOT), known.asking());
  known.named(at('f', DIRECTORY), like(FILE), like(DIRECTORY), known.asking());
  const failed = new GfsError('UNAVAILABLE', 'no answer');
  await t.throwsAsync(known.attempt(Promise.reject(failed), at('f', DIRECTORY)), { is: failed });
  t.is(known.lookup(at('f', DIRECTORY)), undefined);
  t.is(known.lookup(at('x', DIRECTORY)), undefined);
  t.is(known.attributes(DIRECTORY), undefined);
  t.is(known.attributes(FILE), undefined);
});

test('a client whose kernel does not walk the paths remembers nothing', (t) => {
  const { known } = world({ remembers: false });
  known.added(at('d'), like(DIRECTORY), like(ROOT), known.asking());
  known.learnName(at('f'), like(FILE), known.asking());
  t.is(known.lookup(at('f')), undefined);
  t.is(known.lookup(at('f', DIRECTORY)), undefined);
  t.is(known.attributes(FILE), undefined);
});

test('an answer that was long on its way does not make the master one that was heard of late', (t) =>
  inWorld({ kernelWalksPaths: true }, async ({ cluster, client, connect, sleep }) => {
    const root = client.rootInode;
    const name = Buffer.from('f');
    await (await connect()).create(root, name, WRITING, ME);
    // It listens by then.
    await sleep(100);
    await client.attributes(root, ME);
    cluster.counts();
    await client.attributes(root, ME);
    t.deepEqual(cluster.counts(), {}, 'it is remembered');
    cluster.onAnswer = () => sleep(1500);
    await client.lookup(root, name, ME);
    cluster.onAnswer = undefined;
    cluster.counts();
    await client.attributes(root, ME);
    t.deepEqual(cluster.counts(), { GetAttributes: 1 });
  }));

test('of a name that no entry can have, nothing is known, so that the master says what is wrong with it', (t) => {
  const { known } = world();
  known.added(at('new'), like(DIRECTORY), undefined, known.asking());
  t.is(known.lookup(at('n'.repeat(255), DIRECTORY)), 'absent');
  t.is(known.lookup(at('n'.repeat(256), DIRECTORY)), undefined);
});
