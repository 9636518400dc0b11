// The workload `turns`: files that one client after the other writes, appends to, truncates and allocates. Whoever has the turn sees
// all that was done before, at its true length, and nothing that somebody cut off comes back.
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { WrongBytes } from '../checkers/acknowledged-bytes.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

const FILE_COUNT = 2;
/** What is written at places of its choice lies below; records may come to lie behind. */
const FILE_BYTES_MAX = 2.5 * CHUNK_SIZE_BYTES;
const READ_BYTES = 4 * FILE_BYTES_MAX;

type Step = 'write' | 'append' | 'truncate' | 'allocate' | 'sync' | 'read' | 'look';

/** As often as they stand here. */
const STEPS: readonly Step[] = [
  ...(['write', 'write', 'write', 'append', 'append', 'truncate', 'truncate', 'allocate'] as const),
  ...(['sync', 'read', 'look'] as const),
];

/** What everybody agrees that the file has. */
class SharedFile {
  readonly base: string;
  /** Whoever failed in the middle of a turn leaves nobody knows what: all go on with a new file. */
  generation = 0;
  content = Buffer.alloc(0);
  /** The last turn ended with a record from here on that is not synced, and the master was not told of it. */
  loose: number | undefined;
  turnOf: number | undefined;
  isSynced = true;

  constructor(base: string) {
    this.base = base;
  }

  get name(): string {
    return `${this.base}.${this.generation}`;
  }

  giveUp(): void {
    this.generation += 1;
    this.content = Buffer.alloc(0);
    this.loose = undefined;
    this.turnOf = undefined;
    this.isSynced = true;
  }

  resize(length: number): void {
    const content = Buffer.alloc(length);
    this.content.copy(content);
    this.content = content;
  }

  put(offset: number, bytes: Buffer): void {
    this.isSynced = false;
    if (offset + bytes.length > this.content.length) this.resize(offset + bytes.length);
    bytes.copy(this.content, offset);
  }
}

/** One client's open files of a shared one. */
interface Handles {
  readonly generation: number;
  readonly file: GfsFile;
  readonly appending: GfsFile;
}

export class Turns implements Workload {
  readonly #stage: Stage;
  readonly #files: readonly SharedFile[];
  /** By client and file. */
  readonly #done = new Set<string>();

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#files = Array.from({ length: FILE_COUNT }, (_, index) => new SharedFile(`turns${index}`));
  }

  get done(): boolean {
    return this.#done.size === this.#files.length * this.#stage.clientCount;
  }

  async run(client: GfsClient, process: Process, clientIndex: number): Promise<void> {
    await Promise.all(this.#files.map((shared) => this.#takePart(shared, client, process, clientIndex)));
  }

  powerLost(): void {
    // What is known is synced.
  }

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const inodes: InodeId[] = [];
    for (const shared of this.#files) {
      const attributes = await client.lookup(ROOT_INODE, Buffer.from(shared.name), ROOT);
      const inode = inodeId(attributes.inode);
      const { file } = await client.open(inode, { read: true }, ROOT);
      this.#check(shared, differenceOf(shared, Buffer.from(joined(await file.read(0, READ_BYTES)))));
      await file.close();
      inodes.push(inode);
    }
    return inodes;
  }

  /** What one client does to one file, from the start of its process to its death. */
  async #takePart(
    shared: SharedFile,
    client: GfsClient,
    { env }: Process,
    clientIndex: number,
  ): Promise<void> {
    const { simulation } = this.#stage;
    const dice = simulation.random.fork(`${env.name} ${shared.name}`);
    // Whoever had the turn is dead.
    if (shared.turnOf === clientIndex) shared.giveUp();
    let handles: Handles | undefined;
    for (let last = false; !last; ) {
      await env.sleep(dice.pick([5, 50, 300]) * dice.next());
      if (shared.turnOf !== undefined) continue;
      const { name } = shared;
      shared.turnOf = clientIndex;
      last = this.#stage.calm;
      try {
        handles = await this.#begin(shared, client, handles, dice);
        if (last) await finish(shared, handles);
        else await this.#turn(shared, handles, env, dice);
        shared.turnOf = undefined;
        simulation.count('turns');
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        simulation.trace(`${env.name} fails at ${name}: ${codeOf(error)} ${error.message}`);
        shared.giveUp();
        close(handles);
        handles = undefined;
        last = false;
        await env.sleep(SECOND_MS);
      }
    }
    this.#done.add(`${clientIndex} ${shared.base}`);
  }

  /** Opens the file, or goes on with what it has open since an earlier turn. */
  async #begin(
    shared: SharedFile,
    client: GfsClient,
    before: Handles | undefined,
    dice: Random,
  ): Promise<Handles> {
    let handles = before;
    if (handles !== undefined && (handles.generation !== shared.generation || dice.chance(0.5))) {
      for (const file of [handles.file, handles.appending]) await file.close();
      handles = undefined;
    }
    handles ??= await open(client, shared);
    if (dice.chance(0.7)) await this.#look(shared, handles);
    if (shared.loose !== undefined) {
      // A power cut may take it.
      const length = dice.below(shared.loose + 1);
      await this.#truncate(shared, handles, length);
      shared.loose = undefined;
    }
    return handles;
  }

  async #turn(shared: SharedFile, handles: Handles, env: Process['env'], dice: Random): Promise<void> {
    for (let count = 1 + dice.below(4); count > 0; count -= 1) {
      await this.#step(shared, handles, dice);
      await env.sleep(dice.pick([0, 1, 100]) * dice.next());
    }
    await sync(shared, handles);
    await this.#look(shared, handles);
    if (dice.chance(0.3)) {
      shared.loose = shared.content.length;
      await this.#append(shared, handles, dice);
    }
  }

  async #step(shared: SharedFile, handles: Handles, dice: Random): Promise<void> {
    const { simulation } = this.#stage;
    switch (dice.pick(STEPS)) {
      case 'write': {
        const bytes = dice.bytes(1 + dice.below(dice.pick([100, 4 * KiB, 100 * KiB, CHUNK_SIZE_BYTES])));
        const offset = dice.below(dice.pick([1, shared.content.length + 1, FILE_BYTES_MAX - bytes.length]));
        simulation.trace(`${shared.name} write ${offset}+${bytes.length}`);
        await handles.file.write(offset, [bytes]);
        shared.put(offset, bytes);
        break;
      }
      case 'append':
        await this.#append(shared, handles, dice);
        break;
      case 'truncate':
        await this.#truncate(shared, handles, dice.below(dice.pick([1, 100, FILE_BYTES_MAX])));
        break;
      case 'allocate':
        await this.#allocate(shared, handles, dice);
        break;
      case 'sync':
        await sync(shared, handles);
        break;
      case 'read': {
        await this.#look(shared, handles);
        const bytes = Buffer.from(joined(await handles.file.read(0, READ_BYTES)));
        this.#check(shared, differenceOf(shared, bytes));
        break;
      }
      case 'look':
        await this.#look(shared, handles);
        break;
    }
  }

  async #append(shared: SharedFile, { appending }: Handles, dice: Random): Promise<void> {
    const { simulation } = this.#stage;
    const bytes = dice.bytes(1 + dice.below(dice.pick([100, 50 * KiB])));
    const { length } = shared.content;
    simulation.trace(`${shared.name} append ${length}+${bytes.length}`);
    const offset = await appending.append([bytes]);
    this.#check(shared, offset === length ? undefined : `a record came to ${offset}, not ${length}`);
    shared.put(offset, bytes);
  }

  async #truncate(shared: SharedFile, { file }: Handles, length: number): Promise<void> {
    this.#stage.simulation.trace(`${shared.name} truncate ${length}`);
    await file.truncate(length);
    shared.resize(length);
  }

  /** Now a hole, now a longer file, now both. */
  async #allocate(shared: SharedFile, { file }: Handles, dice: Random): Promise<void> {
    const how = { zeros: dice.chance(0.6), keepLength: dice.chance(0.4) };
    const length = 1 + dice.below(dice.pick([100, 100 * KiB, 2 * CHUNK_SIZE_BYTES]));
    const offset = dice.below(dice.pick([shared.content.length + 1, FILE_BYTES_MAX]));
    this.#stage.simulation.trace(`${shared.name} allocate ${offset}+${length} ${JSON.stringify(how)}`);
    await file.allocate(offset, length, how);
    const end = offset + length;
    if (!how.keepLength && end > shared.content.length) shared.resize(end);
    if (!how.zeros) return;
    shared.isSynced = false;
    shared.content.fill(0, Math.min(offset, shared.content.length), Math.min(end, shared.content.length));
  }

  async #look(shared: SharedFile, { file }: Handles): Promise<void> {
    const { length } = await file.attributes();
    const expected = shared.content.length;
    this.#check(shared, length === expected ? undefined : `it is ${length} bytes long, not ${expected}`);
  }

  /** What was not synced, a power cut or a full disk may have taken: then nobody knows what the file has. */
  #check(shared: SharedFile, difference: string | undefined): void {
    if (difference === undefined) return;
    const { powerFails, writesFail, simulation } = this.#stage;
    if (!shared.isSynced && (powerFails || writesFail)) throw new GfsError('WRITES_LOST', difference);
    simulation.check(() => {
      throw new WrongBytes(`${shared.name}: ${difference}`);
    });
  }
}

async function open(client: GfsClient, { name, generation }: SharedFile): Promise<Handles> {
  const mode = { read: true, write: true, mode: 0o644 };
  const { file } = await client.create(ROOT_INODE, Buffer.from(name), mode, ROOT);
  const { file: appending } = await client.open(file.inode, { append: true, write: true }, ROOT);
  return { generation, file, appending };
}

function close(handles: Handles | undefined): void {
  for (const file of [handles?.file, handles?.appending]) file?.close().catch(() => undefined);
}

async function sync(shared: SharedFile, { file }: Handles): Promise<void> {
  await file.sync();
  shared.isSynced = true;
}

/** It has a byte at least, and nothing of it is loose. */
async function finish(shared: SharedFile, handles: Handles): Promise<void> {
  const bytes = Buffer.from('x');
  shared.put(0, bytes);
  await handles.file.write(0, [bytes]);
  await sync(shared, handles);
  await handles.file.close();
  await handles.appending.close();
}

function differenceOf({ content }: SharedFile, found: Buffer): string | undefined {
  if (found.equals(content)) return undefined;
  const { length } = content;
  if (found.length !== length) return `it is ${length} bytes long, but ${found.length} were read`;
  const at = found.findIndex((byte, index) => byte !== content[index]);
  return `it has ${found[at]} at ${at}, where ${content[at]} was written`;
}
