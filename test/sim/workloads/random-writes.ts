// The workload `random-writes`: files of several chunks, each written at random places, zeroed, cut, synced and read back by one
// client and read by the others.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { FileModel, type ModelWrite } from '../checkers/acknowledged-bytes.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

type Step = 'write' | 'copy' | 'zero' | 'sync' | 'read' | 'read other' | 'truncate';

/** As often as they stand here. */
const STEPS: readonly Step[] = [
  ...(['write', 'write', 'write', 'write', 'write', 'write'] as const),
  ...([
    'copy',
    'copy',
    'sync',
    'sync',
    'read',
    'read',
    'read other',
    'read other',
    'truncate',
    'zero',
  ] as const),
];

export class RandomWrites implements Workload {
  readonly #stage: Stage;
  readonly #models: readonly FileModel[];
  /** By client: the files it writes. */
  readonly #mine: readonly (readonly FileModel[])[];
  readonly #done = new Set<FileModel>();

  constructor(stage: Stage) {
    this.#stage = stage;
    const fileBytesMax = stage.dice.pick([2, 3]) * CHUNK_SIZE_BYTES;
    const perClient = stage.dice.pick([1, 2]);
    this.#mine = Array.from({ length: stage.clientCount }, (_, client) =>
      Array.from({ length: perClient }, (_, file) => new FileModel(`file${client}.${file}`, fileBytesMax)),
    );
    this.#models = this.#mine.flat();
  }

  get done(): boolean {
    return this.#done.size === this.#models.length;
  }

  async run(client: GfsClient, process: Process, clientIndex: number): Promise<void> {
    await Promise.all((this.#mine[clientIndex] ?? []).map((model) => this.#write(client, process, model)));
  }

  powerLost(): void {
    for (const model of this.#models) model.powerLost();
  }

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const inodes: InodeId[] = [];
    for (const model of this.#models) {
      const inode = await readFresh(client, model, { offset: 0, length: model.sizeMax });
      assert(inode !== undefined, `${model.name} is there`);
      inodes.push(inode);
      this.#stage.simulation.count('synced writes', model.syncedWriteCount);
    }
    return inodes;
  }

  /** One client's work on one file, from the start of its process to its death. */
  async #write(client: GfsClient, { env }: Process, model: FileModel): Promise<void> {
    const { simulation } = this.#stage;
    const dice = simulation.random.fork(`${env.name} ${model.name}`);
    // Whoever wrote before is dead.
    model.lost();
    while (!this.#done.has(model)) {
      try {
        const file = await openToWrite(client, model.name);
        while (!this.#stage.calm) {
          await env.sleep(dice.pick([1, 50, 500]) * dice.next());
          await this.#step(client, file, model, dice);
        }
        await finish(file, model);
        this.#done.add(model);
      } catch (error) {
        // Failures of the world end the open file; what was not synced may be lost with it.
        if (!(error instanceof GfsError)) throw error;
        simulation.trace(`${env.name} fails at ${model.name}: ${codeOf(error)} ${error.message}`);
        model.lost();
        await env.sleep(SECOND_MS);
      }
    }
  }

  async #step(client: GfsClient, file: GfsFile, model: FileModel, dice: Random): Promise<void> {
    const step = dice.pick(STEPS);
    switch (step) {
      case 'write': {
        const { offset, length } = randomRange(dice, model.sizeMax);
        const write = model.begin(offset, length);
        this.#stage.simulation.trace(`${model.name} write ${write.id} ${offset}+${length}`);
        await file.write(offset, [write.bytes]);
        model.taken(write);
        break;
      }
      case 'copy': {
        const { offset, length } = randomRange(dice, model.sizeMax);
        const write = model.begin(offset, length);
        this.#stage.simulation.trace(`${model.name} copy ${write.id} ${offset}+${length}`);
        await copyFromElsewhere(client, file, model, {
          write,
          sourceOffset: 4 * dice.below(CHUNK_SIZE_BYTES / 4),
        });
        model.taken(write);
        break;
      }
      case 'zero': {
        const { offset, length } = dice.chance(0.5)
          ? randomRange(dice, model.sizeMax)
          : wholeChunks(dice, model.sizeMax);
        const zeros = model.beginZeros(offset, length);
        this.#stage.simulation.trace(`${model.name} zeros ${zeros.id} ${offset}+${length}`);
        await file.allocate(offset, length, { zeros: true, keepLength: true, hole: dice.chance(0.5) });
        model.taken(zeros);
        break;
      }
      case 'truncate': {
        const length = 4 * dice.below(model.sizeMax / 4);
        this.#stage.simulation.trace(`${model.name} truncate ${length}`);
        const truncate = model.beginTruncate(length);
        await file.truncate(length);
        model.truncated(truncate);
        break;
      }
      case 'sync':
        this.#stage.simulation.trace(`${model.name} sync`);
        await sync(file, model);
        this.#stage.simulation.trace(`${model.name} synced`);
        break;
      case 'read': {
        const { offset, length } = randomRange(dice, model.sizeMax);
        this.#stage.simulation.trace(`${model.name} read ${offset}+${length}`);
        const bytes = Buffer.from(joined(await file.read(offset, length)));
        if (this.#stage.writesFail) model.check(bytes, offset, model.floorOf(offset, bytes.length));
        else model.checkOwn(bytes, offset);
        break;
      }
      case 'read other':
        await this.#readOther(client, dice);
        break;
    }
  }

  async #readOther(client: GfsClient, dice: Random): Promise<void> {
    const model = dice.pick(this.#models);
    await readFresh(client, model, randomRange(dice, model.sizeMax));
  }
}

/** Small ones ride in the order, larger ones are pushed; both meet borders of blocks and chunks. */
function randomRange(dice: Random, sizeMax: number): { offset: number; length: number } {
  const lengthMax = dice.pick([4, 512, 4 * KiB, 64 * KiB, 150 * KiB, 300 * KiB]);
  const length = 4 * (1 + dice.below(lengthMax / 4));
  const border = dice.pick([4, 64 * KiB, CHUNK_SIZE_BYTES]);
  const near = border * dice.below(sizeMax / border) - 4 * dice.below(length / 4 + 1);
  return { offset: Math.min(Math.max(0, near), sizeMax - length), length };
}

/** Whose extents go when they become zeros. */
function wholeChunks(dice: Random, sizeMax: number): { offset: number; length: number } {
  const count = sizeMax / CHUNK_SIZE_BYTES;
  const first = dice.below(count);
  const length = CHUNK_SIZE_BYTES * (1 + dice.below(count - first));
  return { offset: first * CHUNK_SIZE_BYTES, length };
}

async function openToWrite(client: GfsClient, name: string): Promise<GfsFile> {
  const mode = { read: true, write: true, mode: 0o644 };
  return (await client.create(ROOT_INODE, Buffer.from(name), mode, ROOT)).file;
}

/** Writes what belongs to the file to another one, and has the servers copy it from there. */
async function copyFromElsewhere(
  client: GfsClient,
  file: GfsFile,
  model: FileModel,
  { write, sourceOffset }: { write: ModelWrite; sourceOffset: number },
): Promise<void> {
  const source = await openToWrite(client, `${model.name}.source`);
  try {
    const { bytes, offset } = write;
    await source.write(sourceOffset, [bytes]);
    // What is lost with the power there would be missing here.
    await source.sync();
    for (let done = 0; done < bytes.length; ) {
      const length = bytes.length - done;
      const range = { sourceOffset: sourceOffset + done, fileOffset: offset + done, length };
      const count = await file.copyFrom(source, range);
      assert(count > 0, `${model.name} gets what its source has`);
      done += count;
    }
  } finally {
    await source.close();
  }
}

async function sync(file: GfsFile, model: FileModel): Promise<void> {
  const point = model.syncPoint();
  await file.sync();
  model.synced(point);
}

/** Touches each chunk, so that what failed there is settled, and syncs. */
async function finish(file: GfsFile, model: FileModel): Promise<void> {
  for (let offset = 0; offset < model.sizeMax; offset += CHUNK_SIZE_BYTES) {
    const write = model.begin(offset, 4);
    await file.write(offset, [write.bytes]);
    model.taken(write);
  }
  await sync(file, model);
  await file.close();
}

/** As somebody who opens the file for it. Undefined: the file is not there yet, and need not be. */
async function readFresh(
  client: GfsClient,
  model: FileModel,
  { offset, length }: { offset: number; length: number },
): Promise<InodeId | undefined> {
  const floor = model.floorOf(offset, length);
  const { lengthSynced } = model;
  const attributes = await client
    .lookup(ROOT_INODE, Buffer.from(model.name), ROOT)
    .catch((error: unknown) => {
      if (codeOf(error) === 'NOT_FOUND' && lengthSynced === 0) return undefined;
      throw error;
    });
  if (attributes === undefined) return undefined;
  const inode = inodeId(attributes.inode);
  const { file } = await client.open(inode, { read: true }, ROOT);
  try {
    const bytes = Buffer.from(joined(await file.read(offset, length)));
    // Its writer may have cut it meanwhile.
    const expected = Math.min(length, Math.min(lengthSynced, model.lengthSynced) - offset);
    assert(
      bytes.length >= expected,
      `${model.name} is ${lengthSynced} bytes long, but a read at ${offset} ends early`,
    );
    model.check(bytes, offset, floor);
  } finally {
    await file.close();
  }
  return inode;
}
