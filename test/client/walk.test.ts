import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import type { WalkOptions } from '../../src/client/api.ts';
import { entriesOf, type Lister, walk } from '../../src/client/walk.ts';
import { Attributes, type DirectoryEntry, FileType } from '../../src/rpc/messages.ts';
import { ME } from './world.ts';

interface Tree {
  readonly [name: string]: Tree | 'file' | 'growing' | 'gone';
}

/** Directories have the numbers in which they are met, from 1 on; what is no directory has others. */
class Fake implements Lister {
  readonly #directories: Tree[];
  readonly #attributes = new Map<number, 'file' | 'gone'>();
  readonly #closed: ReadonlySet<number>;
  /** Of which directory a page was asked for. */
  readonly asked: number[] = [];

  constructor(root: Tree, closed: readonly number[] = []) {
    this.#directories = [root];
    this.#closed = new Set(closed);
  }

  readonly list: Lister['list'] = async (inode, { after, limit, withAttributes = false }) => {
    this.asked.push(inode);
    const tree = this.#directories[inode - 1];
    if (tree === undefined || this.#closed.has(inode)) throw new GfsError('PERMISSION_DENIED', 'closed');
    const names = Object.keys(tree).sort();
    const rest = after === undefined ? names : names.filter((name) => name > Buffer.from(after).toString());
    const entries = rest
      .slice(0, limit)
      .map((name) => this.#entry(name, tree[name] ?? 'gone', withAttributes));
    return { entries, end: rest.length <= limit, parent: inodeId(1) };
  };

  readonly attributes: Lister['attributes'] = async (inode) => {
    const found = this.#attributes.get(inode);
    if (found !== 'file') throw new GfsError(found === 'gone' ? 'NOT_FOUND' : 'PERMISSION_DENIED', 'no');
    return { ...Attributes.create(), inode };
  };

  #entry(name: string, what: Tree[string], withAttributes: boolean): DirectoryEntry {
    const isDirectory = typeof what === 'object';
    const inode = isDirectory ? this.#directories.push(what) : 1000 + this.#attributes.size;
    if (!isDirectory) this.#attributes.set(inode, what === 'gone' ? 'gone' : 'file');
    const isKnown = withAttributes && (isDirectory || what === 'file');
    const attributes = isKnown ? { ...Attributes.create(), inode } : undefined;
    const type = isDirectory ? FileType.FILE_TYPE_DIRECTORY : FileType.FILE_TYPE_REGULAR;
    return { name: Buffer.from(name), inode, type, attributes };
  }
}

async function stepsOf(client: Lister, options: WalkOptions = {}, path = '/top'): Promise<string[]> {
  const root = { inode: 1, type: FileType.FILE_TYPE_DIRECTORY, attributes: undefined };
  const steps: string[] = [];
  const start = { ...root, name: Buffer.from('top'), path: Buffer.from(path) };
  for await (const { kind, entry, depth } of walk(client, start, options, ME)) {
    steps.push(`${kind} ${entry.path} ${depth}`);
  }
  return steps;
}

async function listed(client: Lister, attributes?: 'all' | 'allowed'): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of entriesOf(client, 1 as InodeId, { attributes }, ME)) {
    names.push(`${entry.name}${entry.attributes === undefined ? '' : ' with'}`);
  }
  return names;
}

test('each directory is told before what is in it, and left behind that', async (t) => {
  const tree: Tree = { a: { x: 'file', y: {} }, b: 'file' };
  const all = ['entry /top/a 1', 'entry /top/a/x 2', 'entry /top/a/y 2', 'left /top/a/y 2', 'left /top/a 1'];
  const last = ['entry /top/b 1', 'left /top 0'];
  t.deepEqual(await stepsOf(new Fake(tree)), [...all, ...last]);
  t.deepEqual(await stepsOf(new Fake(tree), { enters: () => false }), ['entry /top/a 1', ...last]);
  t.deepEqual((await stepsOf(new Fake(tree), {}, '')).slice(0, 2), ['entry a 1', 'entry a/x 2']);
  t.deepEqual((await stepsOf(new Fake(tree), {}, '/')).slice(0, 2), ['entry /a 1', 'entry /a/x 2']);
});

test('what cannot be listed is told of, and the walk goes on; what is gone is passed over', async (t) => {
  const tree: Tree = { a: { x: 'file' }, b: { y: 'file' } };
  t.deepEqual(await stepsOf(new Fake(tree, [2])), [
    ...['entry /top/a 1', 'failed /top/a 1', 'left /top/a 1'],
    ...['entry /top/b 1', 'entry /top/b/y 2', 'left /top/b 1', 'left /top 0'],
  ]);
  t.deepEqual(await stepsOf(new Fake(tree, [1])), ['failed /top 0', 'left /top 0']);
  const gone = new Fake(tree);
  const { list } = gone;
  const client: Lister = {
    attributes: gone.attributes,
    list: (inode, options, call) =>
      inode === 2 ? Promise.reject(new GfsError('NOT_FOUND', 'gone')) : list(inode, options, call),
  };
  t.deepEqual((await stepsOf(client)).slice(0, 3), ['entry /top/a 1', 'left /top/a 1', 'entry /top/b 1']);
});

test('attributes that the master left out are asked for, as far as that is wanted and allowed', async (t) => {
  const tree: Tree = { a: 'file', b: 'growing', c: 'gone', d: 'growing' };
  t.deepEqual(await listed(new Fake(tree)), ['a', 'b', 'c', 'd']);
  for (const attributes of ['all', 'allowed'] as const) {
    t.deepEqual(await listed(new Fake(tree), attributes), ['a with', 'b with', 'd with']);
  }
  const closed: Lister = {
    list: new Fake({ a: 'growing', b: 'growing' }).list,
    attributes: () => Promise.reject(new GfsError('PERMISSION_DENIED', 'no')),
  };
  t.deepEqual(await listed(closed, 'allowed'), ['a', 'b']);
  await t.throwsAsync(listed(closed, 'all'), { message: 'no' });
});

test('a large directory comes in pages, one ahead of what is told', async (t) => {
  const names = Array.from({ length: 2500 }, (_, index) => `${10_000 + index}`);
  const client = new Fake(Object.fromEntries(names.map((name) => [name, 'file'])));
  const entries = entriesOf(client, 1 as InodeId, {}, ME);
  const first = await entries.next();
  t.is(`${first.value?.name}`, '10000');
  t.deepEqual(client.asked, [1, 1]);
  const rest: string[] = [];
  for await (const { name } of entries) rest.push(name.toString());
  t.deepEqual(rest, names.slice(1));
  t.is(client.asked.length, 3);
});
