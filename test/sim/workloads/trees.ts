// The workload `trees`: everybody makes trees and removes them whole, looks at each other's, and keeps files of them by further
// names or open. A tree is there as a whole or not at all, whatever dies; what else has a name stays; and in the end nothing is left
// of what was removed.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, type ErrorCode, GfsError, messageOf } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { FileType } from '../../../src/rpc/messages.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

/** The master looks whether he may. */
const ALICE = { caller: { uid: 1000, gid: 1000, groups: [] } };
const PLACES = ['trees', 'kept'] as const;
const DIRECTORIES_MAX = 4;
const FILES_MAX = 6;
const FILE_BYTES = 3000;
const LIST_LIMIT = 100;
/** Sessions of clients that died may have files open for so long. */
const GONE_MS_MAX = 4 * 60 * SECOND_MS;

/** What is there is not as it was promised. */
class WrongTree extends Error {
  override name = 'WrongTree';
}

/** `removing`: it may be there or not, and if the answer did not come, for ever. */
type Fate = 'made' | 'removing' | 'removed';

interface Tree {
  readonly name: Buffer;
  readonly top: InodeId;
  /** By directory, the names in it. */
  readonly names: ReadonlyMap<InodeId, readonly string[]>;
  fate: Fate;
}

interface Kept {
  readonly name: Buffer;
  readonly inode: InodeId;
  readonly content: Buffer;
}

export class Trees implements Workload {
  readonly #stage: Stage;
  readonly #places = new Map<string, InodeId>();
  readonly #trees: Tree[] = [];
  readonly #kept: Kept[] = [];
  readonly #done = new Set<number>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get done(): boolean {
    return this.#done.size === this.#stage.clientCount;
  }

  powerLost(): void {
    // What is relied on is synced.
  }

  async run(client: GfsClient, { env }: Process, clientIndex: number): Promise<void> {
    const dice = this.#stage.simulation.random.fork(`${env.name} trees`);
    const pause = dice.pick([5, 50, 300]);
    for (const place of PLACES) await this.#prepare(client, env, place);
    for (let made = 0; !this.#stage.calm; made += 1) {
      await env.sleep(pause * dice.next());
      try {
        await this.#lookAtAny(client, dice);
        const tree = await this.#make(client, dice, Buffer.from(`${env.name}.${made}`));
        await env.sleep(pause * dice.next());
        await this.#lookAtAny(client, dice);
        await this.#remove(client, dice, tree);
      } catch (error) {
        if (!GIVEN_UP.includes(codeOf(error))) throw error;
        this.#stage.simulation.trace(`${env.name} fails at a tree: ${codeOf(error)} ${messageOf(error)}`);
        await env.sleep(0.1 * SECOND_MS);
      }
    }
    this.#done.add(clientIndex);
  }

  async verify(client: GfsClient, { env }: Process): Promise<readonly InodeId[]> {
    for (const tree of this.#trees) await this.#look(client, tree);
    for (const { name, inode, content } of this.#kept) {
      const there = await client.lookup(this.#place('kept'), name, ROOT);
      if (there.inode !== inode) throw new WrongTree(`${name} means inode ${there.inode}, not ${inode}`);
      const { file } = await client.open(inode, { read: true }, ROOT);
      checkContent(content, await read(file));
      await file.close();
    }
    const deadlineMs = env.monotonicMs() + GONE_MS_MAX;
    for (;;) {
      const { inodeCount, longCommands } = await client.status();
      const thereCount = await countInodes(client);
      if (longCommands.length === 0 && inodeCount === thereCount) break;
      if (env.monotonicMs() > deadlineMs) {
        const what = `${inodeCount} inodes are counted, ${thereCount} are there`;
        throw new WrongTree(`${what}, and ${longCommands.length} removals go on`);
      }
      await env.sleep(SECOND_MS);
    }
    return this.#kept.map(({ inode }) => inode);
  }

  async #make(client: GfsClient, dice: Random, name: Buffer): Promise<Tree> {
    const top = await directory(client, this.#place('trees'), name);
    const names = new Map<InodeId, string[]>([[top, []]]);
    for (let count = dice.below(DIRECTORIES_MAX); count > 0; count -= 1) {
      const parent = dice.pick([...names.keys()]);
      const text = `d${count}`;
      names.get(parent)?.push(text);
      names.set(await directory(client, parent, Buffer.from(text)), []);
    }
    for (let count = 1 + dice.below(FILES_MAX); count > 0; count -= 1) {
      const parent = dice.pick([...names.keys()]);
      const text = `f${count}`;
      names.get(parent)?.push(text);
      await this.#makeFile(client, dice, { parent, name: Buffer.from(text), tree: name });
    }
    const tree: Tree = { name, top, names, fate: 'made' };
    this.#trees.push(tree);
    return tree;
  }

  async #makeFile(
    client: GfsClient,
    dice: Random,
    { parent, name, tree }: { parent: InodeId; name: Buffer; tree: Buffer },
  ): Promise<void> {
    const { file } = await client.create(
      parent,
      name,
      { read: true, write: true, mode: 0o644, exclusive: true },
      ALICE,
    );
    try {
      if (dice.chance(0.5)) return;
      const content = dice.bytes(FILE_BYTES);
      await file.write(0, [content]);
      await file.sync();
      if (!dice.chance(0.3)) return;
      const kept = Buffer.from(`${tree.toString()}.${name.toString()}`);
      await client.makeLink(file.inode, { parent: this.#place('kept'), name: kept }, {}, ALICE);
      this.#kept.push({ name: kept, inode: file.inode, content });
    } finally {
      await file.close();
    }
  }

  async #remove(client: GfsClient, dice: Random, tree: Tree): Promise<void> {
    const { simulation } = this.#stage;
    const held = dice.chance(0.5) ? await this.#hold(client, dice, tree) : undefined;
    const caller = dice.pick([ALICE, ROOT]);
    tree.fate = 'removing';
    simulation.trace(`trees: ${tree.name} is removed`);
    try {
      const { count } = await client.removeTree(this.#place('trees'), tree.name, caller);
      const namesCount = [...tree.names.values()].reduce((sum, names) => sum + names.length, 1);
      // A restarted master does not know any more.
      if (count > 1 && count !== namesCount) throw new WrongTree(`${count} of ${namesCount} names went`);
      tree.fate = 'removed';
      simulation.count('trees removed');
      await this.#checkRemoved(client, dice, tree);
      if (held !== undefined) {
        checkContent(held.content, await read(held.file));
        simulation.count('removed files read');
      }
    } finally {
      await held?.file.close();
    }
  }

  /** A new file in it, which stays open. */
  async #hold(client: GfsClient, dice: Random, { names }: Tree): Promise<{ file: GfsFile; content: Buffer }> {
    const [parent, there] = dice.pick([...names]);
    const content = dice.bytes(FILE_BYTES);
    const { file } = await client.create(
      parent,
      Buffer.from('held'),
      { read: true, write: true, mode: 0o600, exclusive: true },
      ALICE,
    );
    (there as string[]).push('held');
    await file.write(0, [content]);
    await file.sync();
    return { file, content };
  }

  /** Nothing is made in it, and nothing found, by whoever still knows its numbers. */
  async #checkRemoved(client: GfsClient, dice: Random, { name, names }: Tree): Promise<void> {
    const [inode] = dice.pick([...names]);
    const mode = { read: true, mode: 0o600, exclusive: true };
    const code = await codeFrom(client.create(inode, Buffer.from('late'), mode, ROOT));
    if (code !== 'NOT_FOUND' && !UNKNOWN.includes(code)) {
      throw new WrongTree(`a file in ${name}, which was removed: ${code}`);
    }
  }

  async #lookAtAny(client: GfsClient, dice: Random): Promise<void> {
    if (this.#trees.length > 0) await this.#look(client, dice.pick(this.#trees));
  }

  /** As the tree is there by its name; then each directory, by its number, has all its names, or is gone. */
  async #look(client: GfsClient, tree: Tree): Promise<void> {
    const before = tree.fate;
    const found = await codeFrom(client.lookup(this.#place('trees'), tree.name, ROOT));
    if (UNKNOWN.includes(found)) return;
    this.#check(tree, before, found);
    for (const [inode, names] of tree.names) {
      const listed = await list(client, inode);
      if (typeof listed === 'string') {
        if (UNKNOWN.includes(listed)) return;
        this.#check(tree, before, listed);
        continue;
      }
      this.#check(tree, before, 'OK');
      // One that is held comes last, and may not be there yet.
      const missing = names.filter((name) => !listed.includes(name) && name !== 'held');
      if (missing.length > 0) throw new WrongTree(`${tree.name} lacks ${missing.join(', ')}`);
    }
    this.#stage.simulation.count('trees looked at');
  }

  #check({ name, fate }: Tree, before: Fate, found: string): void {
    if (found === 'OK' && before !== 'removed') return;
    if (found === 'NOT_FOUND' && fate !== 'made') return;
    throw new WrongTree(`${name} was ${before}, is ${fate}, and was answered as ${found}`);
  }

  /** Whoever comes first makes it. */
  async #prepare(client: GfsClient, env: Process['env'], place: string): Promise<void> {
    for (;;) {
      try {
        const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o777 };
        const attributes = await client
          .makeNode(ROOT_INODE, Buffer.from(place), node, ROOT)
          .catch((error: unknown) => {
            if (codeOf(error) !== 'EXISTS') throw error;
            return client.lookup(ROOT_INODE, Buffer.from(place), ROOT);
          });
        this.#places.set(place, inodeId(attributes.inode));
        return;
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        await env.sleep(SECOND_MS);
      }
    }
  }

  #place(name: (typeof PLACES)[number]): InodeId {
    return this.#places.get(name) ?? ROOT_INODE;
  }
}

/** The client gave up, and does not know. */
const UNKNOWN: readonly (ErrorCode | 'OK')[] = [
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'UNAVAILABLE',
  'SESSION_EXPIRED',
  'NOT_READY',
];

/** Of a tree that is being made, too. */
const GIVEN_UP: readonly ErrorCode[] = [
  ...(['DEADLINE_EXCEEDED', 'CANCELLED', 'UNAVAILABLE', 'SESSION_EXPIRED'] as const),
  ...(['NO_SPACE', 'WRITES_LOST', 'CHUNK_LOST'] as const),
];

async function codeFrom(call: Promise<unknown>): Promise<ErrorCode | 'OK'> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    return error.code;
  }
}

async function directory(client: GfsClient, parent: InodeId, name: Buffer): Promise<InodeId> {
  const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
  return inodeId((await client.makeNode(parent, name, node, ALICE)).inode);
}

async function list(client: GfsClient, inode: InodeId): Promise<string[] | ErrorCode> {
  try {
    const { entries, end } = await client.list(inode, { limit: LIST_LIMIT }, ROOT);
    assert(end, 'the trees are small');
    return entries.map(({ name }) => Buffer.from(name).toString());
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    return error.code;
  }
}

async function read(file: GfsFile): Promise<Buffer> {
  return Buffer.from(joined(await file.read(0, 2 * FILE_BYTES)));
}

function checkContent(expected: Buffer, found: Buffer): void {
  if (!expected.equals(found)) throw new WrongTree('a file has not what was written to it');
}

/** All that can be found from the root on, and the root. */
async function countInodes(client: GfsClient): Promise<number> {
  const seen = new Set<number>([ROOT_INODE]);
  const waiting: InodeId[] = [ROOT_INODE];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (let after = Buffer.alloc(0), end = false; !end; ) {
      const page = await client.list(at, { after, limit: LIST_LIMIT }, ROOT);
      for (const { name, inode, type } of page.entries) {
        after = Buffer.from(name);
        if (type === FileType.FILE_TYPE_DIRECTORY) waiting.push(inodeId(inode));
        seen.add(inode);
      }
      end = page.end;
    }
  }
  return seen.size;
}
