// The workload `namespace`: all clients make, link, rename, cut and remove names in the same directories, set and remove
// extended attributes, and look up each other's. An attribute is to the model a name that means its value.
import { assert } from '../../../src/base/assert.ts';
import { codeOf, type ErrorCode, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { LinkOptions, Place } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import type { CommandBody } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/rpc/messages.ts';
import { type NamedNode, NameModel } from '../checkers/acknowledged-names.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

const DIRECTORIES = ['names0', 'names1'] as const;
/** What one program works with; a name whose fate is not known is replaced by another. */
const NAMES_PER_PROGRAM = 8;
const LENGTH_MAX = 100 * KiB;
const LIST_LIMIT = 7;

/** The client gave up, and does not know whether the command has happened or will. */
const UNKNOWN: readonly ErrorCode[] = ['DEADLINE_EXCEEDED', 'CANCELLED', 'UNAVAILABLE', 'SESSION_EXPIRED'];

const ATTRIBUTES = ['user.a', 'user.b', 'trusted.c'] as const;

const COMMANDS = ['remove', 'rename', 'rename', 'exchange', 'link', 'overwrite', 'cut', 'attribute'] as const;

interface Name {
  readonly key: string;
  readonly parent: InodeId;
  readonly name: Buffer;
}

export class Namespace implements Workload {
  readonly #stage: Stage;
  readonly #model = new NameModel();
  readonly #names: Name[] = [];
  readonly #done = new Set<number>();
  readonly #attributes: Attribute[] = [];
  #lastValue = 0;
  readonly #directories = new Map<string, InodeId>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get done(): boolean {
    return this.#done.size === this.#stage.clientCount;
  }

  async run(client: GfsClient, { env }: Process, clientIndex: number): Promise<void> {
    const dice = this.#stage.simulation.random.fork(`${env.name} names`);
    const pause = dice.pick([5, 50, 300]);
    let made = 0;
    const newName = (): Name => {
      made += 1;
      const directory = dice.pick(DIRECTORIES);
      const parent = this.#directories.get(directory) ?? ROOT_INODE;
      const text = `${env.name}.${made}`;
      const name = { key: `${directory}/${text}`, parent, name: Buffer.from(text) };
      this.#names.push(name);
      return name;
    };
    for (const directory of DIRECTORIES) await this.#prepare(client, env, directory);
    const mine = Array.from({ length: NAMES_PER_PROGRAM }, newName);
    while (!this.#stage.calm) {
      await env.sleep(pause * dice.next());
      for (const [index, { key }] of mine.entries()) if (this.#model.isUndone(key)) mine[index] = newName();
      if (dice.chance(0.3)) await this.#lookUp(client, dice.pick(this.#names));
      if (dice.chance(0.2) && this.#attributes.length > 0) {
        await this.#readAttribute(client, dice.pick(this.#attributes));
      }
      const touched = await this.#command(client, dice, mine);
      for (const name of touched) mine[mine.indexOf(name)] = newName();
    }
    this.#done.add(clientIndex);
  }

  powerLost(): void {}

  undone(commands: readonly CommandBody[]): void {
    for (const { $case, value } of commands) {
      if ($case !== 'unlink' && $case !== 'removeDirectory') continue;
      const isMeant = ({ parent, name }: Name) => parent === value.parent && name.equals(value.name);
      const name = this.#names.find(isMeant);
      if (name === undefined) continue;
      this.#model.undone(name.key);
      this.#stage.simulation.count('removals undone');
    }
  }

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const found = new Map<string, { inode: number; length: number; linkCount: number }>();
    for (const [directory, inode] of this.#directories) {
      let after = Buffer.alloc(0);
      for (let end = false; !end; ) {
        const options = { after, limit: LIST_LIMIT, withAttributes: true };
        const page = await client.list(inode, options, ROOT);
        for (const { name, inode: number, attributes } of page.entries) {
          // Who may be writing to a file is asked for its length.
          const { length, linkCount } = attributes ?? (await client.attributes(inodeId(number), ROOT));
          found.set(`${directory}/${Buffer.from(name).toString()}`, { inode: number, length, linkCount });
          after = Buffer.from(name);
        }
        end = page.end;
      }
    }
    const inodes = new Set([...found.values()].map(({ inode }) => inode));
    for (const inode of inodes) {
      for (const attribute of await client.listXattrs(inodeId(inode), ROOT)) {
        const value = await client.getXattr(inodeId(inode), attribute, ROOT);
        found.set(attributeKey(inode, attribute.toString()), { ...AS_NAME, inode: Number(value.toString()) });
      }
    }
    // They went with their inodes.
    for (const { key, inode } of this.#attributes) if (!inodes.has(inode)) this.#model.undone(key);
    this.#model.checkAll(found);
    this.#stage.simulation.count('acknowledged commands', this.#model.acknowledgedCount);
    return [];
  }

  /** Whoever comes first makes it. */
  async #prepare(client: GfsClient, env: Process['env'], directory: string): Promise<void> {
    const name = Buffer.from(directory);
    for (;;) {
      try {
        const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
        const attributes = await client.makeNode(ROOT_INODE, name, node, ROOT).catch((error: unknown) => {
          if (codeOf(error) !== 'EXISTS') throw error;
          return client.lookup(ROOT_INODE, name, ROOT);
        });
        this.#directories.set(directory, inodeId(attributes.inode));
        return;
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        await env.sleep(SECOND_MS);
      }
    }
  }

  async #lookUp(client: GfsClient, { key, parent, name }: Name): Promise<void> {
    const askedAt = this.#model.now();
    try {
      const inode = await client.lookup(parent, name, ROOT).then(
        (attributes) => attributes.inode,
        (error: unknown) => {
          if (codeOf(error) === 'NOT_FOUND') return undefined;
          throw error;
        },
      );
      this.#model.checkSeen(key, inode, askedAt);
      this.#stage.simulation.count('names looked up');
    } catch (error) {
      if (!UNKNOWN.includes(codeOf(error))) throw error;
    }
  }

  async #readAttribute(client: GfsClient, { key, inode, name }: Attribute): Promise<void> {
    const askedAt = this.#model.now();
    try {
      const value = await client.getXattr(inode, name, ROOT).then(
        (found) => Number(found.toString()),
        (error: unknown) => {
          if (codeOf(error) === 'NO_DATA') return undefined;
          throw error;
        },
      );
      this.#model.checkSeen(key, value, askedAt);
      this.#stage.simulation.count('extended attributes found');
    } catch (error) {
      // The inode has no name any more, and nobody has it open.
      if (![...UNKNOWN, 'NOT_FOUND'].includes(codeOf(error))) throw error;
    }
  }

  /** Sets or removes an attribute; with what is to be refused among it. */
  async #changeAttribute(client: GfsClient, dice: Random, inode: InodeId): Promise<void> {
    const text = dice.pick(ATTRIBUTES);
    const attribute = { key: attributeKey(inode, text), inode, name: Buffer.from(text) };
    const { key, name } = attribute;
    if (this.#model.isUnknown(key)) return;
    if (!this.#attributes.some((other) => other.key === key)) this.#attributes.push(attribute);
    const isThere = this.#model.nodeOf(key) !== undefined;
    const how = dice.pick(['set', 'create', 'replace', 'remove'] as const);
    const lacks = (how === 'replace' || how === 'remove') && !isThere;
    const refusal = how === 'create' && isThere ? 'EXISTS' : lacks ? 'NO_DATA' : undefined;
    if (how === 'remove') {
      await this.#send([attribute], [undefined], () => client.removeXattr(inode, name, ROOT), refusal);
      return;
    }
    this.#lastValue += 1;
    const value = this.#lastValue;
    const options = { create: how === 'create', replace: how === 'replace' };
    const set = () => client.setXattr(inode, name, Buffer.from(String(value)), options, ROOT);
    await this.#send([attribute], [{ ...newNode(false), inode: value }], set, refusal);
  }

  /** One command on names of this program, chosen so that it has to succeed. Answers those whose fate is not known now. */
  async #command(client: GfsClient, dice: Random, mine: readonly Name[]): Promise<readonly Name[]> {
    const model = this.#model;
    const [name, other] = dice.shuffled(mine) as [Name, Name];
    const node = model.nodeOf(name.key);
    const there = model.nodeOf(other.key);
    const inode = inodeId(node?.inode ?? 0);
    if (node === undefined) {
      const made = dice.chance(0.2) ? newNode(true) : newNode(false);
      return await this.#send([name], [made], async () => {
        made.inode = await make(client, dice, name, made);
      });
    }
    switch (dice.pick(COMMANDS)) {
      case 'remove':
        return await this.#send([name], [undefined], () =>
          node.isDirectory
            ? client.removeDirectory(name.parent, name.name, ROOT)
            : client.unlink(name.parent, name.name, ROOT),
        );
      case 'rename':
        // POSIX: nothing happens between two names of one file, and kinds do not replace each other.
        if (there === node || (there !== undefined && there.isDirectory !== node.isDirectory)) return [];
        return await this.#send([name, other], [undefined, node], () => client.rename(name, other, {}, ROOT));
      case 'exchange':
        if (there === undefined || there === node) return [];
        return await this.#send([name, other], [there, node], () =>
          client.rename(name, other, { exchange: true }, ROOT),
        );
      case 'link':
        if (node.isDirectory || there === node || there?.isDirectory) return [];
        return await this.#send([other], [node], () =>
          client.makeLink(inode, other, { replace: there !== undefined }, ROOT),
        );
      case 'overwrite': {
        if (node.isDirectory) return [];
        const made = newNode(false);
        return await this.#send([name], [made], async () => {
          made.inode = await makeUnnamed(client, name, { replace: true });
        });
      }
      case 'attribute':
        if (node.inode !== undefined) await this.#changeAttribute(client, dice, inode);
        return [];
      case 'cut': {
        if (node.isDirectory) return [];
        const length = dice.below(LENGTH_MAX);
        const known = node.lengths;
        node.lengths = [...known, length];
        return await this.#send([], [], async () => {
          await client.setAttributes(inode, { length }, ROOT);
          // One whose answer is not known may still come.
          node.lengths = known.length > 1 ? [...known, length] : [length];
        });
      }
    }
  }

  /** `refusal`: how it has to fail. Answers the names whose fate is not known now. */
  async #send<N extends Pick<Name, 'key'>>(
    names: readonly N[],
    nodes: readonly (NamedNode | undefined)[],
    command: () => Promise<unknown>,
    refusal?: ErrorCode,
  ): Promise<readonly N[]> {
    const { simulation } = this.#stage;
    const pending = this.#model.begin(new Map(names.map(({ key }, index) => [key, nodes[index]])));
    const text = names.map(({ key }, index) => `${key} = ${nodes[index]?.inode ?? '-'}`).join(', ');
    simulation.trace(`names: ${text}`);
    try {
      await command();
    } catch (error) {
      simulation.trace(`names: ${text}: ${codeOf(error)}`);
      if (refusal !== undefined && codeOf(error) === refusal) {
        this.#model.refused(pending);
        simulation.count('extended attributes refused');
        return [];
      }
      // Nobody else touches these names: anything but silence is wrong, where power does not.
      if (names.some(({ key }) => this.#model.isUndone(key))) {
        this.#model.unknown(pending);
        return names;
      }
      if (!UNKNOWN.includes(codeOf(error))) throw error;
      this.#model.unknown(pending);
      return names;
    }
    assert(refusal === undefined, `${text} has to fail with ${refusal}`);
    this.#model.acknowledged(pending);
    return [];
  }
}

interface Attribute {
  readonly key: string;
  readonly inode: InodeId;
  readonly name: Buffer;
}

/** What the model asks of a name beside what it means. */
const AS_NAME = { length: 0, linkCount: 1 };

function attributeKey(inode: number, name: string): string {
  return `${name} of ${inode}`;
}

function newNode(isDirectory: boolean): NamedNode {
  return { isDirectory, inode: undefined, lengths: [0], linksUnknown: false };
}

async function make(
  client: GfsClient,
  dice: Random,
  { parent, name }: Name,
  { isDirectory }: NamedNode,
): Promise<number> {
  if (isDirectory) {
    const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
    return (await client.makeNode(parent, name, node, ROOT)).inode;
  }
  if (dice.chance(0.3)) return await makeUnnamed(client, { parent, name }, {});
  const mode = { read: true, mode: 0o644, exclusive: true };
  const { file } = await client.create(parent, name, mode, ROOT);
  await file.close();
  return file.inode;
}

/** Without a name at first. */
async function makeUnnamed(client: GfsClient, place: Place, options: LinkOptions): Promise<number> {
  const { session } = client;
  const mode = { read: true, mode: 0o644, umask: 0, linkable: true };
  const { file } = await client.createUnnamed(place.parent, mode, ROOT);
  try {
    await client.makeLink(file.inode, place, options, ROOT);
  } catch (error) {
    if (codeOf(error) !== 'NOT_FOUND' || client.session === session) throw error;
    throw new GfsError('SESSION_EXPIRED', 'the file without a name went with its session', { cause: error });
  } finally {
    await file.close();
  }
  return file.inode;
}
