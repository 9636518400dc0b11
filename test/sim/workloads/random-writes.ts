// The workload `random-writes`: files of several chunks, each written at random places, synced and read back by one client
// and read by the other, while machines die around them. Then the faults stop, and all has to come right.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, inodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, MINUTE_MS, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { FileModel } from '../checkers/acknowledged-bytes.ts';
import { compareReplicas } from '../checkers/replicas-identical.ts';
import { CHUNK_SIZE_BYTES, Cluster } from '../cluster.ts';
import { chooseFaults, type FaultMixture, injectFaults } from '../faults/faults.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { Simulation } from '../simulation.ts';

const CLIENTS = 2;
const FILES_PER_CLIENT = 2;
const FILE_BYTES_MAX = 3 * CHUNK_SIZE_BYTES;
const FAULTS_MS = 20 * SECOND_MS;
/** After the last fault; leases and sessions end within a minute, and sleeping retries wake up. */
const CONVERGE_MS = 5 * MINUTE_MS;
const ROOT = { caller: { uid: 0, gid: 0, groups: [] } };

export interface RunOptions {
  readonly onTrace?: (line: string) => void;
  /** Instead of a mixture that the seed chooses. */
  readonly faults?: FaultMixture;
  /** Turns the cluster into one with a bug, which the run has to find. */
  readonly sabotage?: (cluster: Cluster) => void;
}

export interface RunResult {
  readonly traceHash: string;
  readonly eventCount: number;
  /** Writes that a sync covered: a run with few of them proves little. */
  readonly syncedWriteCount: number;
}

type Step = 'write' | 'sync' | 'read' | 'read other' | 'truncate';

/** As often as they stand here. */
const STEPS: readonly Step[] = [
  ...(['write', 'write', 'write', 'write', 'write', 'write'] as const),
  ...(['sync', 'sync', 'read', 'read', 'read other', 'read other', 'truncate'] as const),
];

/** Rejects with what the seed found. */
export async function randomWrites(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const simulation = new Simulation(`random-writes ${seed}`);
  simulation.onTrace = options.onTrace;
  const run = new RandomWrites(simulation, options.faults);
  options.sabotage?.(run.cluster);
  const { stackTraceLimit } = Error;
  // Refusals are many here, and a fifth of the time went into where they come from.
  if (options.onTrace === undefined) Error.stackTraceLimit = 0;
  try {
    await simulation.run(() => run.main(), { untilMs: FAULTS_MS + CONVERGE_MS });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  const { traceHash, eventCount } = simulation;
  return { traceHash, eventCount, syncedWriteCount: run.syncedWriteCount };
}

class RandomWrites {
  readonly cluster: Cluster;
  readonly #simulation: Simulation;
  readonly #faults: FaultMixture;
  readonly #models: readonly FileModel[];
  /** No fault any more: files are brought to their end. */
  #calm = false;
  readonly #done = new Set<FileModel>();

  constructor(simulation: Simulation, faults: FaultMixture | undefined) {
    this.#simulation = simulation;
    this.#faults = faults ?? chooseFaults(simulation.random.fork('mixture'));
    const names = Array.from({ length: CLIENTS * FILES_PER_CLIENT }, (_, index) => `file${index}`);
    this.#models = names.map((name) => new FileModel(name, FILE_BYTES_MAX));
    const clients = Array.from({ length: CLIENTS }, (_, index) => (client: GfsClient, process: Process) => {
      const mine = this.#models.filter((_, file) => file % CLIENTS === index);
      return Promise.all(mine.map((model) => this.#write(client, process, model))).then(() => undefined);
    });
    this.cluster = new Cluster(simulation, { serverCount: simulation.random.pick([3, 4]), clients });
    for (const { onPowerLost } of this.cluster.servers) {
      onPowerLost.push(() => {
        for (const model of this.#models) model.powerLost();
      });
    }
  }

  get syncedWriteCount(): number {
    return this.#models.reduce((count, model) => count + model.syncedWriteCount, 0);
  }

  async main(): Promise<void> {
    this.cluster.start();
    const { faults, pauseMsMax } = this.#faults;
    this.#simulation.trace(`faults: ${faults.join(', ')}; every ${pauseMsMax} ms`);
    await injectFaults(this.cluster, this.#faults, FAULTS_MS);
    while (this.#simulation.nowMs < FAULTS_MS) await this.#simulation.sleep(SECOND_MS);
    this.#simulation.trace('calm');
    this.#calm = true;
    while (this.#done.size < this.#models.length) await this.#simulation.sleep(0.1 * SECOND_MS);
    await new Promise<void>((resolve) => {
      this.cluster.addClient('verifier', async (client, process) => {
        for (const model of this.#models) await this.#verify(client, process, model);
        resolve();
      });
    });
  }

  /** One client's work on one file, from the start of its process to its death. */
  async #write(client: GfsClient, { env }: Process, model: FileModel): Promise<void> {
    const dice = this.#simulation.random.fork(`${env.name} ${model.name}`);
    // Whoever wrote before is dead.
    model.lost();
    while (!this.#done.has(model)) {
      try {
        const file = await openToWrite(client, model.name);
        while (!this.#calm) {
          await env.sleep(dice.pick([1, 50, 500]) * dice.next());
          await this.#step(client, file, model, dice);
        }
        await finish(file, model);
        this.#done.add(model);
      } catch (error) {
        // Failures of the world end the open file; what was not synced may be lost with it.
        if (!(error instanceof GfsError)) throw error;
        this.#simulation.trace(`${env.name} fails at ${model.name}: ${codeOf(error)} ${error.message}`);
        model.lost();
        await env.sleep(SECOND_MS);
      }
    }
  }

  async #step(client: GfsClient, file: GfsFile, model: FileModel, dice: Random): Promise<void> {
    const step = dice.pick(STEPS);
    switch (step) {
      case 'write': {
        const { offset, length } = randomRange(dice);
        const write = model.begin(offset, length);
        this.#simulation.trace(`${model.name} write ${write.id} ${offset}+${length}`);
        await file.write(offset, [write.bytes]);
        model.taken(write);
        break;
      }
      case 'truncate': {
        const length = 4 * dice.below(FILE_BYTES_MAX / 4);
        this.#simulation.trace(`${model.name} truncate ${length}`);
        const truncate = model.beginTruncate(length);
        await file.truncate(length);
        model.truncated(truncate);
        break;
      }
      case 'sync':
        this.#simulation.trace(`${model.name} sync`);
        await sync(file, model);
        this.#simulation.trace(`${model.name} synced`);
        break;
      case 'read': {
        const { offset, length } = randomRange(dice);
        this.#simulation.trace(`${model.name} read ${offset}+${length}`);
        model.checkOwn(Buffer.from(joined(await file.read(offset, length))), offset);
        break;
      }
      case 'read other':
        await readFresh(client, dice.pick(this.#models), randomRange(dice));
        break;
    }
  }

  async #verify(client: GfsClient, { network }: Process, model: FileModel): Promise<void> {
    const inode = await readFresh(client, model, { offset: 0, length: FILE_BYTES_MAX });
    assert(inode !== undefined, `${model.name} is there`);
    const { extents } = await client.statFile(inode, ROOT);
    for (const extent of extents) await compareReplicas(network, extent);
  }
}

/** Small ones ride in the order, larger ones are pushed; both meet borders of blocks and chunks. */
function randomRange(dice: Random): { offset: number; length: number } {
  const lengthMax = dice.pick([4, 512, 4 * KiB, 64 * KiB, 150 * KiB, 300 * KiB]);
  const length = 4 * (1 + dice.below(lengthMax / 4));
  const border = dice.pick([4, 64 * KiB, CHUNK_SIZE_BYTES]);
  const near = border * dice.below(FILE_BYTES_MAX / border) - 4 * dice.below(length / 4 + 1);
  return { offset: Math.min(Math.max(0, near), FILE_BYTES_MAX - length), length };
}

async function openToWrite(client: GfsClient, name: string): Promise<GfsFile> {
  const mode = { read: true, write: true, mode: 0o644 };
  return (await client.create(ROOT_INODE, Buffer.from(name), mode, ROOT)).file;
}

async function sync(file: GfsFile, model: FileModel): Promise<void> {
  const point = model.syncPoint();
  await file.sync();
  model.synced(point);
}

/** Touches each chunk, so that what failed there is settled, and syncs. */
async function finish(file: GfsFile, model: FileModel): Promise<void> {
  for (let offset = 0; offset < FILE_BYTES_MAX; offset += CHUNK_SIZE_BYTES) {
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
  const floor = model.snapshot();
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
