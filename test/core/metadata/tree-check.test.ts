import test from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { type Result, unwrap } from '../../../src/base/result.ts';
import { type CommandBodies, type CommandCase, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { TreeCheck } from '../../../src/core/metadata/tree-check.ts';
import { ALICE, BOB, bytes, newWorld, ROOT, type World } from './world.ts';

/** Alice's tree: top/a/b and top/c, all hers. */
async function alicesWorld() {
  const world = (await newWorld()).as(ALICE);
  const top = world.directory(ROOT, 'top', 0o755);
  const a = world.directory(top, 'a');
  const b = world.directory(a, 'b');
  const c = world.directory(top, 'c');
  for (const directory of [top, a, b, c]) world.file(directory, 'file');
  return { world, top, a, b, c };
}

/** "OK", or the refusal with its path. */
function outcome({ isDone, refusal }: TreeCheck): string {
  if (refusal === undefined) return isDone ? 'OK' : 'not done';
  if (refusal.ok) throw new Error('a refusal refuses');
  return `${refusal.error.code} ${refusal.error.fields?.['below'] ?? '.'}`;
}

function check(world: World, top: InodeId, caller = ALICE): string {
  const wanted = new TreeCheck(world.state, caller, top);
  while (!wanted.isDone) wanted.step(1);
  return outcome(wanted);
}

test('whoever may change all directories may remove the tree', async (t) => {
  const { world, top } = await alicesWorld();
  t.is(check(world, top), 'OK');
  t.is(check(world, top, BOB), 'PERMISSION_DENIED .');
  t.is(check(world, top, ROOT_CALLER), 'OK');
});

test('a directory that may not be listed, searched or changed is in the way, and is named', async (t) => {
  for (const mode of [0o300, 0o500, 0o600]) {
    const { world, top, b } = await alicesWorld();
    unwrap(world.setAttributes(b, { mode }));
    t.is(check(world, top), 'PERMISSION_DENIED a/b');
    unwrap(world.as(ROOT_CALLER).run('unlink', { parent: b, name: bytes('file') }));
    t.is(check(world, top), 'OK', 'if there is something in it');
  }
});

test('in a sticky directory of another the entries have to be the caller’s', async (t) => {
  const { world, top, a } = await alicesWorld();
  unwrap(world.setAttributes(a, { mode: 0o1777 }));
  world.as(BOB).file(a, 'bobs');
  t.is(check(world, top), 'OK', 'the directory is hers');
  unwrap(world.as(ROOT_CALLER).setAttributes(a, { uid: BOB.uid }));
  t.is(check(world, top), 'NOT_PERMITTED a/bobs');
  unwrap(world.setAttributes(a, { mode: 0o777 }));
  t.is(check(world, top), 'OK');
});

test('names that are no text are told as they are', async (t) => {
  const { world, c, top } = await alicesWorld();
  const odd = world.directory(c, '\xff\n');
  world.file(odd, 'file');
  unwrap(world.setAttributes(odd, { mode: 0 }));
  t.is(check(world, top), 'PERMISSION_DENIED c/\xff\n');
});

/** Looks through the whole tree, lets something happen, and looks at what is left. */
async function afterwards(
  happen: (given: Awaited<ReturnType<typeof alicesWorld>> & Tell) => void,
): Promise<string> {
  const given = await alicesWorld();
  const { world, top } = given;
  unwrap(world.setAttributes(given.c, { mode: 0o1777 }));
  const wanted = new TreeCheck(world.state, ALICE, top);
  wanted.step(1000);
  if (!wanted.isDone) throw new Error('the tree is small');
  const tell: Tell['tell'] = ($case, body) => {
    const result = world.run($case, body);
    unwrap(result as Result<unknown>);
    const command = world.log.at(-1);
    if (command !== undefined) wanted.commandApplied(command, result);
  };
  happen({ ...given, tell });
  while (!wanted.isDone) wanted.step(1);
  return outcome(wanted);
}

interface Tell {
  readonly tell: <K extends CommandCase>($case: K, body: CommandBodies[K]) => void;
}

const CHANGES = {
  atime: undefined,
  mtime: undefined,
  atimeNow: false,
  mtimeNow: false,
  byOpenFile: false,
  cut: undefined,
  firstChunk: undefined,
} as const;

test('what changes behind the look is looked at again', async (t) => {
  const chmod = (inode: InodeId, mode: number) => ({ ...CHANGES, inode, mode });
  const chown = (inode: InodeId, uid: number) => ({ ...CHANGES, inode, uid });
  t.is(await afterwards(({ b, tell }) => tell('setAttributes', chmod(b, 0o500))), 'PERMISSION_DENIED a/b');
  t.is(
    await afterwards(({ b, tell }) => {
      tell('setAttributes', chmod(b, 0o500));
      tell('setAttributes', chmod(b, 0o755));
    }),
    'OK',
    'what counts is what is so in the end',
  );
  const removeAcl = { name: bytes('system.posix_acl_access'), byOpenFile: false };
  t.is(
    await afterwards(({ world, b, tell }) => {
      world.as(ROOT_CALLER);
      tell('setAttributes', { ...chown(b, BOB.uid), mode: 0o755 });
      tell('removeXattr', { ...removeAcl, inode: b });
    }),
    'PERMISSION_DENIED a/b',
  );
  t.is(
    await afterwards(({ world, c, tell }) => {
      world.as(ROOT_CALLER);
      tell('setAttributes', chown(c, BOB.uid));
      world.as(BOB);
      tell('makeNode', { ...node(world), parent: c, name: bytes('bobs') });
    }),
    'NOT_PERMITTED c/bobs',
  );
});

function node(world: World) {
  const how = { mode: 0o755, rdev: 0, symlinkTarget: bytes('') };
  return { inode: world.nextInode(), type: 2 as const, ...how };
}

test('a directory that comes into the tree is looked at with all that is below', async (t) => {
  const moveIn = ({ world, top, tell }: Awaited<ReturnType<typeof alicesWorld>> & Tell) => {
    world.as(BOB);
    const outer = world.directory(ROOT, 'outer', 0o777);
    const inner = world.directory(outer, 'inner', 0o755);
    world.file(inner, 'bobs');
    world.as(ROOT_CALLER);
    const flags = { noReplace: false, exchange: false };
    tell('rename', {
      ...{ parent: ROOT, name: bytes('outer'), newParent: top, newName: bytes('outer') },
      ...flags,
    });
    return flags;
  };
  t.is(await afterwards((given) => void moveIn(given)), 'PERMISSION_DENIED outer/inner');
  t.is(
    await afterwards((given) => {
      const flags = moveIn(given);
      given.tell('rename', {
        ...{ parent: given.top, name: bytes('outer'), newParent: ROOT, newName: bytes('outer') },
        ...flags,
      });
    }),
    'OK',
    'and not when it has gone out again',
  );
});

test('what happens elsewhere is not looked at', async (t) => {
  const { world, top } = await alicesWorld();
  const wanted = new TreeCheck(world.state, ALICE, top);
  wanted.step(1000);
  unwrap(world.makeNode(ROOT, 'elsewhere'));
  const command = world.log.at(-1);
  if (command !== undefined) wanted.commandApplied(command, { ok: true, value: {} });
  t.true(wanted.isDone);
});
