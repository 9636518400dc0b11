import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../src/base/ids.ts';
import { INTERNAL } from '../../src/core/metadata/commands.ts';
import { FileType } from '../../src/core/metadata/rows.ts';
import { MetadataState } from '../../src/core/metadata/state.ts';
import { lmdbMetaStores } from '../../src/storage/meta-store-lmdb.ts';
import { memoryMetaStores } from '../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { decodeCommand, encodeCommand } from '../../src/storage/oplog-codec.ts';
import { checkInvariants } from '../core/metadata/invariants.ts';
import {
  ALICE,
  BOB,
  bytes,
  CHUNK_SIZE,
  dump,
  newWorld,
  ROOT,
  SERVERS,
  type World,
} from '../core/metadata/world.ts';
import { Random } from '../sim/random.ts';

const SEEDS = 10;
const STEPS = 600;

const XATTRS = ['user.a', 'trusted.b', 'security.capability', 'system.posix_acl_access'];
/** A user is named in it. */
const ACL = Buffer.from(
  '020000000100070001000000020004000200000004000500ffffffff10000500ffffffff20000400ffffffff',
  'hex',
);
const XATTR_VALUES = [ACL, Buffer.from('x'), Buffer.alloc(5000, 7)];

/** A random life of a file system: files with chunks, sessions with numbers, everything there is a command for. */
async function randomLog(seed: number): Promise<World> {
  const dice = new Random(`replay ${seed}`);
  const world = await newWorld();
  const sessions: SessionId[] = [];
  const numbers = new Map<SessionId, number>();
  const inodes: InodeId[] = [ROOT];
  for (let step = 0; step < STEPS; step += 1) {
    const { state } = world;
    const session = dice.chance(0.7) ? sessions.at(-1) : undefined;
    const number = session === undefined ? 0 : (numbers.get(session) ?? 0) + (dice.chance(0.9) ? 1 : 0);
    if (session !== undefined) numbers.set(session, number);
    const caller = dice.pick([ALICE, BOB, { uid: 0, gid: 0, groups: [] }]);
    const context = {
      caller,
      session: session ?? (0 as const),
      number,
      acknowledged: Math.max(0, number - 3),
    };
    const inode = dice.pick(inodes);
    const parent = dice.pick(inodes.slice(0, 5));
    const name = bytes(dice.pick(['a', 'b', '\xfe', 'd', 'e']));
    const extent = dice.pick([...state.extents(inode, 0, 5), undefined]);
    const version = (extent && state.chunk(extent.chunk)?.version) ?? 1;
    const members = dice.shuffled(SERVERS).slice(0, 1 + dice.below(3));
    const raise = {
      chunk: extent?.chunk ?? (1 as ChunkHandle),
      version,
      members,
      primary: members[0] as ServerId,
      loss: false,
      recorded: dice.below(version + 1),
      admitted: 0 as const,
    };
    switch (dice.below(23)) {
      case 0:
        if (sessions.length < 6 || dice.chance(0.1)) sessions.push(world.openSession());
        break;
      case 1:
        if (session !== undefined && dice.chance(0.1)) world.run('closeSession', { session }, context);
        break;
      case 2:
        world.run('addServer', { server: state.progress.nextServer as ServerId, host: 'chunkserver' });
        world.run('reserveWriters', { end: state.progress.nextSession + dice.below(5) });
        break;
      case 3:
      case 4: {
        const firstChunk = dice.chance(0.7) ? world.newChunk() : undefined;
        const flags = { exclusive: dice.chance(0.5), read: true, write: true, truncate: dice.chance(0.3) };
        const made = world.run(
          'createFile',
          { parent, name, inode: world.nextInode(), mode: 0o666, ...flags, firstChunk, goal: 3 },
          context,
        );
        if (made.ok) inodes.push(made.value.attributes.inode);
        break;
      }
      case 5: {
        const type = dice.pick([
          FileType.DIRECTORY,
          FileType.DIRECTORY,
          FileType.SYMLINK,
          FileType.BLOCK_DEVICE,
        ]);
        const body = {
          parent,
          name,
          inode: world.nextInode(),
          type,
          mode: 0o1777,
          rdev: 77,
          symlinkTarget: bytes('\xff'),
        };
        const made = world.run('makeNode', body, context);
        if (made.ok) inodes.splice(1, 0, made.value.inode);
        break;
      }
      case 6:
        world.run('makeLink', { inode, parent, name, replace: dice.chance(0.5) }, context);
        break;
      case 7:
        world.run(dice.pick(['unlink', 'removeDirectory']), { parent, name }, context);
        break;
      case 8: {
        const whiteout = dice.chance(0.2) ? world.nextInode() : undefined;
        const flags = { noReplace: dice.chance(0.2), exchange: dice.chance(0.2), whiteout };
        const newName = bytes(dice.pick(['a', 'b', 'c']));
        world.run(
          'rename',
          { parent, name, newParent: dice.pick(inodes.slice(0, 5)), newName, ...flags },
          context,
        );
        break;
      }
      case 9:
        world.setAttributes(inode, {
          mode: dice.below(0o10000),
          atime: { seconds: -dice.below(1e9), nanos: 1 },
        });
        break;
      case 10: {
        const length = dice.below(4 * CHUNK_SIZE);
        const straddled = state.extentAt(inode, length);
        const isStraddled = straddled !== undefined && straddled.start < length;
        const cut = isStraddled
          ? { ...raise, chunk: straddled.chunk, version: state.chunk(straddled.chunk)?.version ?? 0 }
          : undefined;
        world.setAttributes(inode, { length, cut, atimeNow: true });
        break;
      }
      case 17: {
        const reads = [inode, dice.pick(inodes)].map((read) => {
          const row = state.attributes(read);
          const knownAtime = row.ok && dice.chance(0.8) ? row.value.atime : { seconds: step, nanos: 0 };
          return { inode: read, atime: { seconds: 1e9 + step, nanos: 5 }, knownAtime };
        });
        world.run('setAccessTimes', { reads }, context);
        break;
      }
      case 20: {
        const appender = bytes(dice.pick(['a', 'b', 'c']));
        const from = dice.chance(0.5) ? dice.below(4 * CHUNK_SIZE) : undefined;
        const told = { from, highest: dice.below(9), truncations: dice.below(3) };
        const body = { inode, appender, writer: 1 + dice.below(50), ...told };
        world.run('nameAppender', body, context);
        break;
      }
      case 11:
        world.run(
          'commitLength',
          { inode, length: dice.below(4 * CHUNK_SIZE), mtime: { seconds: step, nanos: 3 } },
          context,
        );
        break;
      case 12:
        world.run(
          'addChunk',
          { inode, fileOffset: dice.below(4 * CHUNK_SIZE), chunk: world.newChunk() },
          context,
        );
        break;
      case 13:
        world.run('raiseVersion', { ...raise, loss: dice.chance(0.2) });
        break;
      case 14:
        if (dice.chance(0.5)) world.setXattr(inode, dice.pick(XATTRS), dice.pick(XATTR_VALUES));
        else world.removeXattr(inode, dice.pick(XATTRS));
        break;
      case 15:
        world.setXattr(dice.pick(inodes.slice(0, 5)), 'system.posix_acl_default', ACL);
        break;
      case 16:
        if (extent)
          world.run('sealExtent', {
            inode,
            start: extent.start,
            chunk: extent.chunk,
            length: 1 + dice.below(CHUNK_SIZE),
            version: 1 + dice.below(4),
          });
        break;
      case 18: {
        const how = { mode: 0o666, umask: 0o022, linkable: dice.chance(0.7), goal: 3 };
        const body = { directory: parent, inode: world.nextInode(), ...how, firstChunk: world.newChunk() };
        const made = world.run('createUnnamed', body, context);
        if (made.ok) inodes.push(made.value.inode);
        break;
      }
      case 19: {
        const meant = state.tables.dirent(parent, name)?.inode ?? 0;
        world.run('removeTree', { parent, name, inode: dice.chance(0.9) ? meant : ROOT }, context);
        break;
      }
      case 21: {
        const [running] = dice.shuffled(state.longCommands());
        world.run('continueLong', { id: running?.id ?? inode, count: 1 + dice.below(4) });
        break;
      }
      default:
        world.run('reap', { inodes: state.orphans(0, dice.below(4)) });
        world.run('forgetGarbage', { chunks: state.garbage(0, dice.below(4)).map(({ chunk }) => chunk) });
    }
  }
  return world;
}

test('the tables equal a replay of the log, in both stores, however it is cut into batches', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-replay-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const disk = new NodeDisk();
  const kinds = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const world = await randomLog(seed);
    checkInvariants(world.state);
    const expected = dump(world.store);
    const records = world.log.map(encodeCommand);
    const dice = new Random(`batches ${seed}`);
    for (const openStore of [memoryMetaStores(disk), lmdbMetaStores(disk)]) {
      const store = await openStore(join(directory, `${seed}.mdb`), { kind: 'empty' });
      let state = new MetadataState(store);
      for (let from = 0; from < records.length; ) {
        const batch = records.slice(from, from + 1 + dice.below(20));
        state.apply(batch.map(decodeCommand), from + 1);
        from += batch.length;
        // What is kept beside the rows comes back from them.
        if (dice.chance(0.1)) state = new MetadataState(store);
      }
      t.deepEqual(dump(store), expected, `seed ${seed}`);
      await store.close();
    }
    for (const { body } of world.log) kinds.add(body.$case);
  }
  t.is(kinds.size, 25, [...kinds].join());
});

test('a record that is no command is CORRUPT, or at least nothing worse', (t) => {
  const dice = new Random('records');
  const wanted = { code: 'CORRUPT' };
  t.throws(() => decodeCommand(new Uint8Array(0)), wanted);
  const unknown = encodeCommand({
    context: INTERNAL,
    time: { seconds: 1, nanos: 0 },
    body: { $case: 'reap', value: { inodes: [] } },
  });
  // The body's tag, made that of a body which a later version may have.
  const later = Buffer.concat([unknown.subarray(0, -3), Buffer.from([0xfa, 0x3f, 0])]);
  t.throws(() => decodeCommand(later), wanted);
  for (let index = 0; index < 5000; index += 1) {
    try {
      decodeCommand(dice.bytes(dice.below(60)));
    } catch (error) {
      t.true(error instanceof GfsError && error.code === 'CORRUPT', String(error));
    }
  }
});
