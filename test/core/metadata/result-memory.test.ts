import test from 'ava';
import type { ChunkHandle, SessionId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { type CommandContext, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { RESULTS_PER_SESSION_MAX } from '../../../src/core/metadata/result-memory.ts';
import { MetadataState } from '../../../src/core/metadata/state.ts';
import { ALICE, bytes, codeOf, dump, newWorld, ROOT, SERVERS, type World } from './world.ts';

function context(session: SessionId, number: number, acknowledged = 0): CommandContext {
  return { caller: ROOT_CALLER, session, number, acknowledged };
}

function resultRows(world: World): number {
  let count = 0;
  world.state.tables.eachResult(() => {
    count += 1;
  });
  return count;
}

test('every kind of answer, and a refusal, is remembered as it was given', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  let number = 0;
  const check = (what: string, run: (context: CommandContext) => unknown) => {
    number += 1;
    const first = run(context(session, number));
    const { position } = world.state;
    t.deepEqual(run(context(session, number)), first as never, what);
    const reopened = new MetadataState(world.store);
    const repeated = world.log.at(-1);
    if (repeated === undefined) throw new Error('nothing was run');
    t.deepEqual(reopened.remembered(repeated), first as never, `${what}, after a restart`);
    t.is(world.state.position, position + 1);
  };
  const name = bytes('a');
  const file = {
    exclusive: true,
    read: false,
    write: true,
    truncate: false,
    firstChunk: world.newChunk(),
    goal: 3,
  };
  const inode = world.nextInode();
  check('createFile', (c) => world.run('createFile', { parent: ROOT, name, inode, mode: 0o644, ...file }, c));
  check('EXISTS', (c) => world.run('makeLink', { parent: ROOT, name, inode, replace: false }, c));
  check('makeLink', (c) =>
    world.run('makeLink', { parent: ROOT, name: bytes('b'), inode, replace: false }, c),
  );
  const replaced = { parent: ROOT, name: bytes('replaced'), inode, replace: true };
  world.file(ROOT, 'replaced');
  check('makeLink that replaces', (c) => world.run('makeLink', replaced, c));
  check('addChunk', (c) => world.run('addChunk', { inode, fileOffset: 0, chunk: world.newChunk() }, c));
  const how = { mode: 0o644, umask: 0, linkable: true, firstChunk: undefined, goal: 3 };
  const unnamed = { directory: ROOT, inode: world.nextInode(), ...how };
  check('createUnnamed', (c) => world.run('createUnnamed', unnamed, c));
  const raise = {
    chunk: file.firstChunk.chunk,
    version: 1,
    members: SERVERS,
    primary: 0 as const,
    loss: true,
    recorded: 0,
    admitted: 0 as const,
  };
  check('raiseVersion', (c) => world.run('raiseVersion', raise, c));
  check('NO_SUCH_CHUNK', (c) => world.run('raiseVersion', { ...raise, chunk: 999 as ChunkHandle }, c));
  const renamed = {
    parent: ROOT,
    name,
    newParent: ROOT,
    newName: bytes('c'),
    noReplace: false,
    exchange: false,
  };
  check('rename', (c) => world.run('rename', renamed, c));
  check('exchange', (c) =>
    world.run('rename', { ...renamed, name: bytes('c'), newName: bytes('b'), exchange: true }, c),
  );
  const seal = { inode, start: 0, chunk: file.firstChunk.chunk, length: 10, version: 1 };
  check('sealExtent', (c) => world.run('sealExtent', seal, c));
  check('unlink', (c) => world.run('unlink', { parent: ROOT, name: bytes('b') }, c));
  check('reap', (c) => world.run('reap', { inodes: [] }, c));
});

test('a remembered answer is the first one, whatever happened since', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  const name = bytes('a');
  world.file(ROOT, 'a');
  const unlink = () => world.code('unlink', { parent: ROOT, name }, context(session, 1));
  t.is(unlink(), 'OK');
  t.is(unlink(), 'OK', 'not NOT_FOUND');
  world.file(ROOT, 'a');
  t.is(unlink(), 'OK');
  t.deepEqual(world.names(ROOT), ['a'], 'and it is not done again');
  t.is(world.code('reap', { inodes: [] }, context(session, 1)), 'INVALID_ARGUMENT', 'the number is taken');
});

test('acknowledged answers are forgotten, and their numbers refused, also after a restart', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  for (let number = 1; number <= 5; number += 1) world.run('reap', { inodes: [] }, context(session, number));
  t.is(resultRows(world), 5);
  world.run('reap', { inodes: [] }, context(session, 7, 4));
  t.is(resultRows(world), 2);
  for (const state of [world.state, new MetadataState(world.store)]) {
    const recalled = (number: number) =>
      state.remembered(world.command('reap', { inodes: [] }, context(session, number)));
    t.like(recalled(3), { ok: false, error: { code: 'INVALID_ARGUMENT' } });
    t.like(recalled(5), { ok: true });
    t.is(recalled(6), undefined, 'a later number came first; this one is still welcome');
    t.like(recalled(7), { ok: true });
  }
  t.is(world.code('reap', { inodes: [] }, context(session, 6, 1_000_000)), 'OK');
  t.is(resultRows(world), 2, 'an answer that is not given yet is not acknowledged');
});

test('a session keeps so many answers and no more', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  for (let number = 2; number <= RESULTS_PER_SESSION_MAX + 11; number += 1) {
    world.run('reap', { inodes: [] }, context(session, number));
  }
  t.is(resultRows(world), RESULTS_PER_SESSION_MAX);
  const reopened = new MetadataState(world.store);
  for (const state of [world.state, reopened]) {
    const early = state.remembered(world.command('reap', { inodes: [] }, context(session, 11)));
    t.like(early, { ok: false, error: { code: 'INVALID_ARGUMENT' } });
    t.like(state.remembered(world.command('reap', { inodes: [] }, context(session, 12))), { ok: true });
  }
});

test('the end of a session takes its answers along; a session that is not there is refused', async (t) => {
  const world = await newWorld();
  const before = dump(world.store);
  const session = world.openSession();
  world.run('reap', { inodes: [] }, context(session, 1));
  t.is(world.code('closeSession', { session }, context(session, 2)), 'OK');
  t.false(world.state.isSession(session));
  t.is(resultRows(world), 0);
  t.is(world.code('reap', { inodes: [] }, context(session, 3)), 'NO_SUCH_SESSION');
  t.is(world.code('closeSession', { session }), 'NO_SUCH_SESSION');
  t.is(dump(world.store).length, before.length);
  t.is(world.as(ALICE).openSession(), (session + 1) as SessionId, 'its id is not dealt again');
});

test('a command that was overtaken by another one is not remembered as refused: it is given anew', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  const inode = world.file(ROOT, 'a');
  const { chunk } = unwrap(world.run('addChunk', { inode, fileOffset: 0, chunk: world.newChunk() }));
  const { members, primary } = world.newChunk();
  const raise = (version: number) => {
    const body = { chunk, version, members, primary, recorded: 0, loss: false, admitted: 0 } as const;
    return codeOf(world.run('raiseVersion', body, context(session, 1)));
  };
  t.is(raise(5), 'VERSION_MISMATCH');
  t.is(raise(1), 'OK');
  t.is(raise(1), 'OK', 'now it is remembered');
});
