// The workload `copies`: each client has some files of several chunks, writes to them, zeroes and cuts them, appends to
// others, and copies whole chunks and files of them to one another, which are shared until one of the two is written to;
// the others read them.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { bytesOf, CELL_BYTES, CellFile, EventCounter } from '../checkers/copied-cells.ts';
import { RecordFile } from '../checkers/copied-records.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

type Step = 'write' | 'zero' | 'truncate' | 'copy' | 'sync' | 'read' | 'read other' | 'append' | 'copy log';

/** As often as they stand here. */
/** Copies that files want, by their names: whoever comes first makes one. Not more than the fewest servers that a seed has. */
const GOALS = [undefined, 2, 4] as const;
const STEPS: readonly Step[] = [
  ...(['write', 'write', 'write', 'write', 'copy', 'copy', 'copy', 'sync', 'sync'] as const),
  ...(['read', 'read', 'read', 'read other', 'zero', 'truncate', 'append', 'append', 'copy log'] as const),
];
const CHUNK_CELLS = CHUNK_SIZE_BYTES / CELL_BYTES;
/** So a file ends in a chunk that is not full. */
const FILE_CELLS = 2.75 * CHUNK_CELLS;
const RECORD_WORDS_MAX = CHUNK_SIZE_BYTES / 4 / 4;

/** What one client writes. */
interface Group {
  readonly files: readonly CellFile[];
  readonly logs: readonly RecordFile[];
}

interface Open {
  readonly files: ReadonlyMap<CellFile, GfsFile>;
  readonly logs: ReadonlyMap<RecordFile, GfsFile>;
}

export class Copies implements Workload {
  readonly #stage: Stage;
  readonly #events = new EventCounter();
  readonly #groups: readonly Group[];
  readonly #done = new Set<number>();
  #powerWasLost = false;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#groups = Array.from({ length: stage.clientCount }, (_, client) => ({
      files: ['a', 'b', 'c'].map(
        (name) =>
          new CellFile(`cells${client}${name}`, FILE_CELLS, {
            events: this.#events,
            writesFail: stage.writesFail,
          }),
      ),
      logs: ['a', 'b'].map((name) => new RecordFile(`records${client}${name}`)),
    }));
  }

  get done(): boolean {
    return this.#done.size === this.#groups.length;
  }

  async run(client: GfsClient, process: Process, clientIndex: number): Promise<void> {
    const group = this.#groups[clientIndex];
    if (group === undefined) return;
    const { env } = process;
    const { simulation } = this.#stage;
    const dice = simulation.random.fork(`${env.name} copies`);
    // Whoever wrote before is dead.
    for (const model of group.files) model.lost(true);
    while (!this.#done.has(clientIndex)) {
      const open = { files: new Map<CellFile, GfsFile>(), logs: new Map<RecordFile, GfsFile>() };
      try {
        await openAll(client, group, open);
        while (!this.#stage.calm) {
          await env.sleep(dice.pick([1, 50, 500]) * dice.next());
          await this.#step(client, group, open, dice);
        }
        await this.#finish(open);
        this.#done.add(clientIndex);
      } catch (error) {
        // Failures of the world end the open files; what was not synced may be lost with them.
        if (!(error instanceof GfsError)) throw error;
        simulation.trace(`${env.name} fails at its copies: ${codeOf(error)} ${error.message}`);
        for (const file of [...open.files.values(), ...open.logs.values()])
          await file.close().catch((failure: unknown) => mustBeOfTheWorld(failure));
        for (const model of group.files) model.lost(true);
        await env.sleep(SECOND_MS);
      }
    }
  }

  powerLost(): void {
    this.#powerWasLost = true;
    for (const { files, logs } of this.#groups) {
      for (const model of files) model.lost(false);
      for (const model of logs) model.powerLost();
    }
  }

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const inodes: InodeId[] = [];
    for (const { files, logs } of this.#groups) {
      for (const model of files) inodes.push(await this.#readFresh(client, model));
      for (const model of logs) {
        const { inode, bytes } = await readWhole(client, model.name);
        model.check(bytes, this.#powerWasLost);
        if (bytes.length > 0) inodes.push(inode);
      }
    }
    return inodes;
  }

  async #step(client: GfsClient, group: Group, open: Open, dice: Random): Promise<void> {
    const model = dice.pick(group.files);
    const file = openOf(open.files, model);
    const step = dice.pick(STEPS);
    const trace = (what: string) => this.#stage.simulation.trace(`${model.name} ${step} ${what}`);
    switch (step) {
      case 'write':
      case 'zero': {
        const { first, end } = step === 'zero' && dice.chance(0.5) ? wholeChunk(dice) : randomCells(dice);
        const event = model.begin(first, end, step === 'write' ? 'write' : 'zeros');
        trace(`${event.event} ${first}-${end}`);
        const [start, length] = [first * CELL_BYTES, (end - first) * CELL_BYTES];
        if (step === 'write') await file.write(start, [bytesOf(event)]);
        else await file.allocate(start, length, { zeros: true, keepLength: true });
        model.taken(event);
        break;
      }
      case 'truncate': {
        const { first } = randomCells(dice);
        const event = model.begin(first, model.cellCount, 'zeros');
        trace(`${event.event} ${first}`);
        await file.truncate(first * CELL_BYTES);
        await file.truncate(model.lengthBytes);
        model.settled(event);
        break;
      }
      case 'copy': {
        const from = dice.pick(group.files.filter((one) => one !== model));
        await this.#copy(client, open, dice, from, model, trace);
        break;
      }
      case 'sync':
        await sync(file, model);
        break;
      case 'read': {
        const { first, end } = randomCells(dice);
        const bytes = await file.read(first * CELL_BYTES, (end - first) * CELL_BYTES);
        model.checkOwn(Buffer.from(joined(bytes)), first, end);
        break;
      }
      case 'read other': {
        const other = dice.pick(dice.pick(this.#groups).files);
        await this.#readFresh(client, other).catch((error: unknown) => {
          if (codeOf(error) !== 'NOT_FOUND') throw error;
        });
        break;
      }
      case 'append':
        await this.#append(open, dice.pick(group.logs), dice);
        break;
      case 'copy log':
        await this.#copyLog(group, open, dice);
        break;
    }
  }

  /** All of a file, or some whole chunks of it, to the same place or to that of other chunks. */
  async #copy(
    client: GfsClient,
    open: Open,
    dice: Random,
    from: CellFile,
    to: CellFile,
    trace: (what: string) => void,
  ): Promise<void> {
    const isWhole = dice.chance(0.5);
    const source = isWhole ? 0 : CHUNK_CELLS * dice.below(2);
    const first = isWhole || dice.chance(0.5) ? source : CHUNK_CELLS - source;
    const count = isWhole ? FILE_CELLS : CHUNK_CELLS;
    const event = to.beginCopy(from, source, first, count);
    trace(`${event.event} ${from.name} ${source}+${count} to ${first}`);
    const file = openOf(open.files, to);
    const bytes = count * CELL_BYTES;
    for (let done = 0; done < bytes; ) {
      const range = { sourceOffset: source * CELL_BYTES + done, fileOffset: first * CELL_BYTES + done };
      const copied = await file.copyFrom(openOf(open.files, from), { ...range, length: bytes - done });
      assert(copied > 0, `${to.name} gets what ${from.name} has`);
      done += copied;
    }
    to.taken(event);
    // Not each time, for then all places would be known anew before the next write.
    if (dice.chance(0.2)) await this.#countShared(client, openOf(open.files, from), file);
  }

  async #countShared(client: GfsClient, ...files: readonly [GfsFile, GfsFile]): Promise<void> {
    const [one, other] = await Promise.all(
      files.map(async ({ inode }) => (await client.statFile(inode, ROOT)).extents),
    );
    const chunks = new Set(one?.map(({ chunk }) => chunk));
    this.#stage.simulation.count(
      'extents shared',
      other?.filter(({ chunk }) => chunks.has(chunk)).length ?? 0,
    );
  }

  async #append(open: Open, model: RecordFile, dice: Random): Promise<void> {
    const words = 1 + dice.below(dice.pick([10, RECORD_WORDS_MAX]));
    const { record, bytes } = model.begin(this.#events.next(), words);
    this.#stage.simulation.trace(`${model.name} append ${record.id} ${words}`);
    await openOf(open.logs, model).append([bytes]);
    // What lost its power since may have lost it.
    if (!this.#stage.powerFails) record.isCertain = true;
    else await this.#syncRecord(open, model, record);
  }

  async #syncRecord(open: Open, model: RecordFile, record: { isCertain: boolean; isSynced: boolean }) {
    await openOf(open.logs, model).sync();
    record.isCertain = true;
    record.isSynced = true;
  }

  /** One takes the place of the other, and both are appended to then. */
  async #copyLog({ logs }: Group, open: Open, dice: Random): Promise<void> {
    const [from, to] = dice.chance(0.5) ? logs : [...logs].reverse();
    if (from === undefined || to === undefined) return;
    this.#stage.simulation.trace(`${to.name} is a copy of ${from.name}`);
    const [source, file] = [openOf(open.logs, from), openOf(open.logs, to)];
    to.breakOff();
    await file.truncate(0);
    const { length } = await source.attributes();
    for (let done = 0; done < length; ) {
      const count = await file.copyFrom(source, {
        sourceOffset: done,
        fileOffset: done,
        length: length - done,
      });
      if (count === 0) break;
      done += count;
    }
    await file.sync();
    to.copied(from);
  }

  async #finish({ files, logs }: Open): Promise<void> {
    for (const [model, file] of files) {
      // What failed at some chunk is settled with the next write to it.
      for (let first = 0; first < model.cellCount; first += CHUNK_CELLS) {
        const event = model.begin(first, first + 1, 'write');
        await file.write(first * CELL_BYTES, [bytesOf(event)]);
        model.taken(event);
      }
      await sync(file, model);
      await file.close();
    }
    for (const [model, file] of logs) {
      const point = model.syncPoint();
      await file.sync();
      model.synced(point);
      await file.close();
    }
  }

  async #readFresh(client: GfsClient, model: CellFile): Promise<InodeId> {
    const floors = model.floors();
    const { inode, bytes } = await readWhole(client, model.name);
    model.check(bytes, floors);
    return inode;
  }
}

async function openAll(
  client: GfsClient,
  { files, logs }: Group,
  open: { files: Map<CellFile, GfsFile>; logs: Map<RecordFile, GfsFile> },
): Promise<void> {
  for (const model of files) {
    const file = await create(client, model.name, { read: true, write: true });
    open.files.set(model, file);
    // One that was being cut when its writer died is as long as it should be again.
    const { length } = await file.attributes();
    if (length < model.lengthBytes) await file.truncate(model.lengthBytes);
  }
  for (const model of logs) {
    const file = await create(client, model.name, { read: true, write: true, append: true });
    open.logs.set(model, file);
    if (!model.isBrokenOff) continue;
    await file.truncate(0);
    model.cut();
  }
}

async function create(
  client: GfsClient,
  name: string,
  mode: { read: boolean; write: boolean; append?: boolean },
): Promise<GfsFile> {
  const goal = GOALS[Buffer.from(name).reduce((sum, byte) => sum + byte, 0) % GOALS.length];
  return (await client.create(ROOT_INODE, Buffer.from(name), { ...mode, mode: 0o644, goal }, ROOT)).file;
}

async function readWhole(client: GfsClient, name: string): Promise<{ inode: InodeId; bytes: Buffer }> {
  const { inode: number } = await client.lookup(ROOT_INODE, Buffer.from(name), ROOT);
  const inode = inodeId(number);
  const { file } = await client.open(inode, { read: true }, ROOT);
  try {
    const { length } = await file.attributes();
    return { inode, bytes: Buffer.from(joined(await file.read(0, length))) };
  } finally {
    await file.close();
  }
}

async function sync(file: GfsFile, model: CellFile): Promise<void> {
  const point = model.syncPoint();
  await file.sync();
  model.synced(point);
}

function randomCells(dice: Random): { first: number; end: number } {
  const count = dice.pick([1, 3, 16, CHUNK_CELLS]);
  const border = CHUNK_CELLS * dice.below(3);
  const first = Math.max(0, Math.min(FILE_CELLS - count, border + dice.below(CHUNK_CELLS) - count + 1));
  return { first, end: first + count };
}

/** Whose extent goes when it becomes zeros. */
function wholeChunk(dice: Random): { first: number; end: number } {
  const first = CHUNK_CELLS * dice.below(2);
  return { first, end: first + CHUNK_CELLS };
}

function openOf<Model, File>(files: ReadonlyMap<Model, File>, model: Model): File {
  const file = files.get(model);
  if (file === undefined) throw new Error('all files are open');
  return file;
}

function mustBeOfTheWorld(error: unknown): void {
  if (!(error instanceof GfsError)) throw error;
}
