import test from 'ava';
import { createContext } from '../../../mount/gfs/context.ts';
import { GfsFiles } from '../../../mount/gfs/files.ts';
import { KernelBelief, type KernelNotifier, NOBODY } from '../../../mount/gfs/kernel-belief.ts';
import { GfsNamespace } from '../../../mount/gfs/namespace.ts';
import { OpenFiles } from '../../../mount/gfs/open-files.ts';
import { ReadyDirectories } from '../../../mount/gfs/ready-directories.ts';
import { TYPE } from '../../../mount/wire/numbers.ts';
import type { Env } from '../../../src/base/env.ts';
import { type InodeId, inodeId } from '../../../src/base/ids.ts';
import { nameKey } from '../../../src/base/name-key.ts';
import type { GfsClient } from '../../../src/client/api.ts';
import { RecentChanges } from '../../../src/client/recent-changes.ts';
import { type Attributes, FileType } from '../../../src/rpc/messages.ts';

const A = inodeId(7);
const B = inodeId(8);

/** A kernel whose questions about what is ready are answered without us. */
class World {
  readonly changes = new RecentChanges();
  readonly ready: ReadyDirectories;
  forMs = 900;
  readonly known = new Map<InodeId, number>();
  readonly #modes = new Map<number, string>();

  constructor() {
    this.changes.see();
    const env = { monotonicMs: () => 0, setTimer: () => ({ cancel: () => undefined }) } as unknown as Env;
    const attributes = (inode: InodeId, mode: number) =>
      ({ inode, mode, type: FileType.FILE_TYPE_DIRECTORY }) as unknown as Attributes;
    const world = this;
    const client = {
      changes: this.changes,
      get knownForMs() {
        return world.forMs;
      },
      known: (inode: InodeId) => {
        const mode = this.known.get(inode);
        return mode === undefined ? undefined : attributes(inode, mode);
      },
    } as unknown as GfsClient;
    const timeouts = { attributeTimeoutMs: 1000, entryTimeoutMs: 1000 };
    const belief = new KernelBelief({ env, client, timeouts, openFiles: new OpenFiles() });
    this.ready = new ReadyDirectories({ client, belief });
    const kernel: KernelNotifier = {
      ...NOBODY,
      ready: ({ attributes: { node, mode } }, forMs) => this.#modes.set(node, `${mode & 0o777} for ${forMs}`),
      unready: (node) => (node === undefined ? this.#modes.clear() : this.#modes.delete(node)),
    };
    this.ready.attach(kernel);
  }

  /** What the kernel would be told of A and B without us. */
  get answers(): (string | undefined)[] {
    return [A, B].map((inode) => this.#modes.get(inode));
  }
}

test('a directory that was changed here is ready as it is known, until something of it changes', (t) => {
  const world = new World();
  world.known.set(A, 1).set(B, 2);
  world.ready.changed(A);
  world.ready.changed(B);
  t.deepEqual(world.answers, ['1 for 900', '2 for 900']);
  world.changes.note(nameKey(A, Buffer.from('name')));
  t.deepEqual(world.answers, ['1 for 900', '2 for 900'], 'the names in it are not asked about');
  world.changes.note(A);
  t.deepEqual(world.answers, [undefined, '2 for 900']);
  world.ready.drop(B);
  t.deepEqual(world.answers, [undefined, undefined]);
  world.known.set(A, 3);
  world.ready.changed(A);
  t.deepEqual(world.answers, ['3 for 900', undefined]);
});

test('nothing is ready when what others change is not told, or may be anything', (t) => {
  const world = new World();
  world.known.set(A, 1).set(B, 2);
  world.ready.changed(A);
  world.changes.goBlind();
  t.deepEqual(world.answers, [undefined, undefined]);
  world.changes.see();
  world.ready.changed(A);
  world.ready.changed(B);
  world.changes.noteEverything();
  t.deepEqual(world.answers, [undefined, undefined]);
});

test('what is not known, or by a master that was not heard of late, is asked for', (t) => {
  const world = new World();
  world.ready.changed(A);
  world.known.set(A, 1);
  world.forMs = 0;
  world.ready.changed(A);
  t.deepEqual(world.answers, [undefined, undefined]);
});

test('of very many directories the first ones give way', (t) => {
  const world = new World();
  world.known.set(A, 1).set(B, 2);
  world.ready.changed(A);
  for (let node = 1000; node < 1255; node += 1) {
    world.known.set(inodeId(node), 5);
    world.ready.changed(inodeId(node));
  }
  t.deepEqual(world.answers, ['1 for 900', undefined]);
  world.ready.changed(B);
  t.deepEqual(world.answers, [undefined, '2 for 900']);
});

const ROOT = { uid: 0, gid: 0, pid: 0 };
const NAME = Buffer.from('name');
const FLAGS = { flags: 0 };

test('each change of names leaves its directories ready', async (t) => {
  const made = { inode: 9, type: FileType.FILE_TYPE_REGULAR } as unknown as Attributes;
  const opened = { file: { close: async () => undefined }, attributes: made, unchanged: true };
  const gone = async () => undefined;
  const answered = async () => made;
  const client = {
    changes: new RecentChanges(),
    onChange: () => undefined,
    knownForMs: 1000,
    known: (inode: InodeId) => ({ inode, type: FileType.FILE_TYPE_DIRECTORY }),
    knownName: () => undefined,
    ...{ unlink: gone, removeDirectory: gone, rename: gone, makeLink: answered, makeNode: answered },
    create: async () => opened,
  } as unknown as GfsClient;
  const env = { monotonicMs: () => 0, setTimer: () => ({ cancel: () => undefined }) } as unknown as Env;
  const context = createContext({ env, client, timeouts: { attributeTimeoutMs: 0, entryTimeoutMs: 0 } });
  const readied: number[] = [];
  context.ready.attach({ ...NOBODY, ready: ({ attributes: { node } }) => readied.push(node) });
  const names = new GfsNamespace(context);
  const at = { parent: A, name: NAME };
  const making = { ...at, umask: 0, rdev: 0 };
  const moving = { kind: 'rename', ...at, newName: NAME, ...FLAGS } as const;
  const changes: Record<string, () => Promise<unknown>> = {
    unlink: () => names.unlink({ kind: 'unlink', ...at }, ROOT),
    removeDirectory: () => names.removeDirectory({ kind: 'removeDirectory', ...at }, ROOT),
    makeDirectory: () => names.makeDirectory({ kind: 'makeDirectory', ...making, mode: 0o755 }, ROOT),
    makeSymlink: () => names.makeSymlink({ kind: 'makeSymlink', ...at, target: NAME }, ROOT),
    makeFifo: () => names.makeNode({ kind: 'makeNode', ...making, mode: TYPE.FIFO }, ROOT),
    makeFile: () => names.makeNode({ kind: 'makeNode', ...making, mode: TYPE.REGULAR }, ROOT),
    create: () => new GfsFiles(context).create({ kind: 'create', ...making, mode: 0, ...FLAGS }, ROOT),
    makeLink: () => names.makeLink({ kind: 'makeLink', node: 9, newParent: A, newName: NAME }, ROOT),
    renameHere: () => names.rename({ ...moving, newParent: A }, ROOT),
    renameThere: () => names.rename({ ...moving, newParent: B }, ROOT),
  };
  for (const [what, change] of Object.entries(changes)) {
    await change();
    t.deepEqual(readied.splice(0), what === 'renameThere' ? [A, B] : [A], what);
  }
});
