import type { Buffer } from 'node:buffer';
import test, { type ExecutionContext } from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { type Caller, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { Random } from '../../sim/random.ts';
import { checkInvariants } from './invariants.ts';
import { Model, type ModelNode } from './model.ts';
import { ALICE, BOB, bytes, codeOf, newWorld, ROOT, type World } from './world.ts';

const CAROL: Caller = { uid: 1003, gid: 500, groups: [101] };
const REACHED = { ok: true, value: undefined } as const;
const SEEDS = 40;
const STEPS = 400;
const NAMES = ['a', 'b', 'c', 'd', '\xff\xfe', 'a0'];
const MODES = [0o755, 0o777, 0o700, 0o1777, 0o2775, 0o3777, 0o070, 0o644, 0o6755, 0o2711, 0];
const TYPES: Readonly<Record<ModelNode['type'], FileType>> = {
  file: FileType.REGULAR,
  directory: FileType.DIRECTORY,
  symlink: FileType.SYMLINK,
  fifo: FileType.FIFO,
  whiteout: FileType.CHARACTER_DEVICE,
};

/** Random commands on few names, so that they meet, given to the state and to the model. */
class Comparison {
  readonly t: ExecutionContext;
  readonly world: World;
  readonly model: Model;
  readonly dice: Random;
  readonly seen = new Map<string, number>();
  readonly #ids: InodeId[] = [ROOT];

  constructor(t: ExecutionContext, world: World, seed: string) {
    this.t = t;
    this.world = world;
    this.dice = new Random(seed);
    this.model = new Model(0o777, world.nowSeconds - 1);
  }

  step(): void {
    const { dice, world, model } = this;
    const caller = dice.pick([ROOT_CALLER, ALICE, ALICE, BOB]);
    world.as(caller);
    model.now = world.nowSeconds;
    const from = this.#place();
    const to = this.#place();
    const where = { parent: from.parent, name: bytes(from.name) };
    const inode = this.#inode();
    const mode = dice.pick(MODES);
    switch (dice.below(12)) {
      case 0:
      case 1: {
        const exclusive = dice.chance(0.5);
        const id = world.nextInode();
        const result = world.create(from.parent, from.name, { mode, exclusive });
        this.#same(
          'create',
          result,
          model.make(caller, from, { id, type: 'file', mode, exclusive, write: true }),
        );
        if (result.ok) this.#ids.push(result.value.attributes.inode);
        break;
      }
      case 2:
      case 3: {
        const type = dice.pick(['directory', 'directory', 'symlink', 'fifo'] as const);
        const id = world.nextInode();
        const result = world.makeNode(from.parent, from.name, {
          type: TYPES[type],
          mode,
          symlinkTarget: bytes('to'),
        });
        this.#same(
          'makeNode',
          result,
          model.make(caller, from, { id, type, mode, exclusive: true, write: true }),
        );
        if (result.ok) this.#ids.push(result.value.inode);
        break;
      }
      case 4: {
        const replace = dice.chance(0.5);
        this.#same(
          replace ? 'replace' : 'makeLink',
          world.run('makeLink', { inode, ...where, replace }),
          model.link(caller, inode, from, replace),
        );
        break;
      }
      case 5:
        this.#same('unlink', world.run('unlink', where), model.unlink(caller, from));
        break;
      case 6:
        this.#same(
          'removeDirectory',
          world.run('removeDirectory', where),
          model.removeDirectory(caller, from),
        );
        break;
      case 7:
      case 8: {
        const whiteout = dice.chance(0.2) ? world.nextInode() : undefined;
        const flags = { noReplace: dice.chance(0.15), exchange: dice.chance(0.25), whiteout };
        const body = { ...where, newParent: to.parent, newName: bytes(to.name), ...flags };
        this.#same('rename', world.run('rename', body), model.rename(caller, from, to, flags));
        break;
      }
      case 9:
        this.#same('chmod', world.setAttributes(inode, { mode }), model.chmod(caller, inode, mode));
        break;
      case 10: {
        const owner = { uid: dice.pick([0, ALICE.uid, BOB.uid]), gid: dice.pick([0, 101, 102, 500]) };
        this.#same('chown', world.setAttributes(inode, owner), model.chown(caller, inode, owner));
        break;
      }
      default: {
        const options = { after: bytes(''), limit: 100, withAttributes: true };
        this.#same('list', world.state.list(caller, inode, options), model.list(caller, inode));
        const found = world.state.lookup(caller, from.parent, where.name);
        this.#same('lookup', found, model.lookup(caller, from));
      }
    }
    model.forgetNameless();
  }

  /** The whole tree, seen by root. */
  compare(): void {
    for (const node of this.model.nodes.values()) {
      const { type, mode, uid, gid, linkCount, mtime, ctime } = this.world.attributes(node.id as InodeId);
      this.t.deepEqual(
        { type, mode, uid, gid, linkCount, mtime: mtime.seconds, ctime: ctime.seconds },
        {
          type: TYPES[node.type],
          mode: node.mode,
          uid: node.uid,
          gid: node.gid,
          linkCount: this.model.linkCount(node.id),
          mtime: node.mtime,
          ctime: node.ctime,
        },
        `inode ${node.id}`,
      );
      if (node.type !== 'directory') continue;
      const id = node.id as InodeId;
      this.t.deepEqual(this.world.names(id), [...node.entries.keys()].sort());
      for (const [name, entry] of node.entries) {
        this.t.is(unwrap(this.world.state.lookup(ROOT_CALLER, id, bytes(name))).inode, entry as InodeId);
      }
      this.t.is(
        unwrap(this.world.state.lookup(ROOT_CALLER, id, bytes('..'))).inode,
        this.model.parentOf(id) as InodeId,
      );
    }
  }

  /** For each inode that there is or was, whether a walk along all paths meets it. */
  compareReach(caller: Caller): void {
    const met = this.model.reachable(caller);
    for (const id of this.#ids) {
      if (!this.world.state.attributes(id).ok) continue;
      const refusal = this.world.state.unreachable(caller, id);
      const hasName = this.model.nodes.has(id);
      const expected = met.has(id) || caller.uid === 0 ? 'OK' : hasName ? 'PERMISSION_DENIED' : 'NOT_FOUND';
      this.#same('reach', refusal ?? REACHED, expected);
    }
  }

  #place(): { parent: InodeId; name: string } {
    return { parent: this.#inode(), name: this.dice.pick(NAMES) };
  }

  /** Mostly of what is there, sometimes of what was. */
  #inode(): InodeId {
    const { nodes } = this.model;
    const directories = [...nodes.values()].filter(({ type }) => type === 'directory').map(({ id }) => id);
    const choice = this.dice.next();
    if (choice < 0.6) return this.dice.pick(directories) as InodeId;
    // An unlinked file still has its inode, which the model does not know of.
    const known = this.#ids.filter((id) => nodes.has(id) || !this.world.state.attributes(id).ok);
    return this.dice.pick(known);
  }

  #same(what: string, result: Parameters<typeof codeOf>[0], expected: string): void {
    const key = `${what} ${expected}`;
    this.seen.set(key, (this.seen.get(key) ?? 0) + 1);
    if (codeOf(result) !== expected)
      this.t.fail(`${what}: ${JSON.stringify(result)}, the model says ${expected}`);
  }
}

test('random commands do what a dumb tree does', async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const comparison = new Comparison(t, await newWorld(), `namespace ${seed}`);
    for (let step = 0; step < STEPS; step += 1) {
      comparison.step();
      if (step % 50 === 49) comparison.compare();
    }
    checkInvariants(comparison.world.state);
    t.true(t.passed, `seed ${seed}`);
    if (!t.passed) return;
    for (const key of comparison.seen.keys()) seen.add(key);
  }
  // The dice reached what makes this test worth something.
  for (const key of [
    'rename OK',
    'rename NOT_EMPTY',
    'rename INVALID_ARGUMENT',
    'rename IS_DIRECTORY',
    'rename NOT_DIRECTORY',
    'rename NOT_PERMITTED',
    'rename EXISTS',
    'unlink NOT_PERMITTED',
    'unlink IS_DIRECTORY',
    'removeDirectory NOT_EMPTY',
    'makeLink OK',
    'makeLink EXISTS',
    'replace OK',
    'replace PERMISSION_DENIED',
    'replace NOT_PERMITTED',
    'replace IS_DIRECTORY',
    'chown NOT_PERMITTED',
    'create PERMISSION_DENIED',
    'list PERMISSION_DENIED',
  ]) {
    t.true(seen.has(key), key);
  }
});

test('an inode is reached by its number exactly where a walk along some path reaches it', async (t) => {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const comparison = new Comparison(t, await newWorld(), `reach ${seed}`);
    for (let step = 0; step < STEPS; step += 1) {
      comparison.step();
      if (step % 5 > 0) continue;
      for (const caller of [ROOT_CALLER, ALICE, BOB, CAROL]) comparison.compareReach(caller);
    }
    checkInvariants(comparison.world.state);
    t.true(t.passed, `seed ${seed}`);
    if (!t.passed) return;
    for (const [key, count] of comparison.seen) seen.set(key, (seen.get(key) ?? 0) + count);
  }
  for (const key of ['reach OK', 'reach PERMISSION_DENIED', 'reach NOT_FOUND']) {
    t.true((seen.get(key) ?? 0) > 1000, `${key}: ${seen.get(key)}`);
  }
});

test('a file is reached by whichever of its names is left, wherever that was moved', async (t) => {
  const world = await newWorld();
  const open = world.directory(ROOT, 'open', 0o711);
  const closed = world.directory(ROOT, 'closed', 0o700);
  const inode = world.file(closed, 'first');
  const reaches = () => codeOf(world.state.unreachable(BOB, inode) ?? REACHED);
  const at = (parent: InodeId, name: string) => ({ parent, name: bytes(name) });
  const move = (from: [InodeId, string], to: [InodeId, string]) =>
    unwrap(
      world.run('rename', {
        ...at(...from),
        newParent: to[0],
        newName: bytes(to[1]),
        noReplace: false,
        exchange: false,
      }),
    );
  t.is(reaches(), 'PERMISSION_DENIED');
  unwrap(world.run('makeLink', { inode, ...at(open, 'second'), replace: false }));
  t.is(reaches(), 'OK');
  unwrap(world.run('makeLink', { inode, ...at(open, 'third'), replace: false }));
  unwrap(world.run('unlink', at(closed, 'first')));
  t.is(reaches(), 'OK', 'the first name went');
  move([open, 'second'], [closed, 'second']);
  t.is(reaches(), 'OK', 'the third name is left there');
  move([open, 'third'], [closed, 'third']);
  t.is(reaches(), 'PERMISSION_DENIED');
  unwrap(world.run('unlink', at(closed, 'second')));
  move([closed, 'third'], [open, 'third']);
  t.is(reaches(), 'OK');
  world.file(closed, 'other');
  move([closed, 'other'], [open, 'third']);
  t.is(reaches(), 'NOT_FOUND', 'it was replaced');
  checkInvariants(world.state);
});

test('names: too long, "." and "..", "/" and zero bytes are refused; everything else is a name', async (t) => {
  const world = await newWorld();
  const check = (name: string, expected: string) =>
    t.is(codeOf(world.create(ROOT, name)), expected, JSON.stringify(name));
  check('', 'INVALID_ARGUMENT');
  check('.', 'INVALID_ARGUMENT');
  check('..', 'INVALID_ARGUMENT');
  check('a/b', 'INVALID_ARGUMENT');
  check('a\0b', 'INVALID_ARGUMENT');
  check('x'.repeat(256), 'NAME_TOO_LONG');
  t.is(codeOf(world.state.lookup(ROOT_CALLER, ROOT, bytes('x'.repeat(256)))), 'NAME_TOO_LONG');
  check('x'.repeat(255), 'OK');
  check('...', 'OK');
  check('\x01\xff \n', 'OK');
});

test('a directory is listed in pages, in the order of bytes, while it changes', async (t) => {
  const world = await newWorld();
  const names = Array.from({ length: 50 }, (_, index) => `f${String(index).padStart(2, '0')}`);
  for (const name of names) world.file(ROOT, name);
  const found: string[] = [];
  for (let after = bytes(''), end = false; !end; ) {
    const page = unwrap(world.state.list(ROOT_CALLER, ROOT, { after, limit: 7, withAttributes: false }));
    found.push(...page.entries.map(({ name }) => name.toString()));
    after = page.entries.at(-1)?.name ?? after;
    ({ end } = page);
    world.run('unlink', { parent: ROOT, name: after });
    world.file(ROOT, `a${found.length}`);
  }
  t.deepEqual(found, names);
});

test('a file without a name stays until it is reaped; its chunks are garbage then', async (t) => {
  const world = await newWorld();
  const chunk = world.newChunk();
  const inode = world.file(ROOT, 'a', { firstChunk: chunk });
  const { inode: left } = unwrap(world.run('unlink', { parent: ROOT, name: bytes('a') }));
  t.is(left.linkCount, 0);
  t.deepEqual(world.state.orphans(0, 10), [inode]);
  t.is(world.attributes(inode).linkCount, 0);
  t.is(world.code('makeLink', { inode, parent: ROOT, name: bytes('b'), replace: false }), 'NOT_FOUND');
  t.is(world.code('commitLength', { inode, length: 10, mtime: undefined }), 'OK', 'it may still be written');
  checkInvariants(world.state);
  const named = world.file(ROOT, 'named');
  world.run('reap', { inodes: [inode, named, 999 as InodeId] });
  t.false(world.state.attributes(inode).ok);
  t.true(world.state.attributes(named).ok, 'what has a name is not reaped');
  t.deepEqual(world.state.garbage(0, 10), [{ chunk: chunk.chunk, members: chunk.members }]);
  world.run('forgetGarbage', { chunks: [chunk.chunk] });
  t.deepEqual(world.state.garbage(0, 10), []);
  checkInvariants(world.state);
});

test('a symlink keeps its target, and its length is that of the target', async (t) => {
  const world = await newWorld();
  const target = bytes('../\xff elsewhere');
  const make = (symlinkTarget: Buffer) =>
    world.makeNode(ROOT, 'link', { type: FileType.SYMLINK, symlinkTarget });
  t.is(codeOf(make(bytes('x'.repeat(4096)))), 'NAME_TOO_LONG');
  t.is(codeOf(make(bytes(''))), 'NOT_FOUND');
  const { inode, length, mode } = unwrap(make(target));
  t.deepEqual({ length, mode }, { length: target.length, mode: 0o777 });
  t.deepEqual(unwrap(world.state.readSymlink(inode)), target);
  t.is(codeOf(world.state.readSymlink(ROOT)), 'INVALID_ARGUMENT');
  world.run('unlink', { parent: ROOT, name: bytes('link') });
  t.is(codeOf(world.state.readSymlink(inode)), 'NOT_FOUND');
});

test('only root makes devices, but for whiteouts; a file has a limit of links', async (t) => {
  const world = await newWorld();
  const device = { type: FileType.CHARACTER_DEVICE, rdev: 0x103, mode: 0o666 };
  t.is(codeOf(world.as(ALICE).makeNode(ROOT, 'null', device)), 'NOT_PERMITTED');
  const block = { ...device, type: FileType.BLOCK_DEVICE, rdev: 0 };
  t.is(codeOf(world.as(ALICE).makeNode(ROOT, 'block', block)), 'NOT_PERMITTED');
  t.is(unwrap(world.as(ALICE).makeNode(ROOT, 'whiteout', { ...device, rdev: 0 })).rdev, 0);
  t.is(unwrap(world.as(ROOT_CALLER).makeNode(ROOT, 'null', device)).rdev, 0x103);
  const inode = world.file(ROOT, 'a');
  world.store.transaction(() =>
    world.state.tables.putInode({ ...world.state.inodeOf(inode), linkCount: 65_000 }),
  );
  t.is(world.code('makeLink', { inode, parent: ROOT, name: bytes('b'), replace: false }), 'TOO_MANY_LINKS');
});
