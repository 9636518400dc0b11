import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import { KiB } from '../../src/base/units.ts';
import type { Mutation } from '../../src/core/replica-types.ts';
import type { Replica } from '../../src/storage/replica-store.ts';
import type { Random } from '../sim/random.ts';
import {
  BLOCK,
  ChunkModel as Chunk,
  type ChunkModel,
  dataOf,
  firstSnapshot,
  mutated,
  type ReplicaWorld,
  readAll,
  type Snapshot,
  settled,
  Violation,
  versionRecord,
  written,
} from './replica-world.ts';

const LENGTH_MAX = 6 * BLOCK;
const CHUNKS_MAX = 4;
const IN_FLIGHT_MAX = 6;

/** Which operations this run does, and how often: skewed dice find more than even ones. */
type Weights = Readonly<Record<Operation, number>>;
type Operation = (typeof OPERATIONS)[number];
const OPERATIONS = [
  ...(['create', 'write', 'extend', 'zero', 'append', 'seal', 'cut', 'sync', 'raise'] as const),
  ...(['read', 'settle', 'drain', 'delete', 'repeat'] as const),
];

/** Does random things to the chunks of the world until it is told that time is over, or for ever, when it is killed. */
export class Workload {
  readonly #world: ReplicaWorld;
  readonly #dice: Random;
  readonly #weights: Weights;
  readonly #flying = new Set<Promise<void>>();
  #error: unknown;

  constructor(world: ReplicaWorld, weights: Weights) {
    this.#world = world;
    this.#dice = world.dice;
    this.#weights = weights;
  }

  static swarm(dice: Random): Weights {
    const weights = Object.fromEntries(
      OPERATIONS.map((name) => [name, dice.chance(0.25) ? 0 : dice.next() ** 2]),
    ) as Record<Operation, number>;
    const rare = ['delete', 'seal', 'repeat'] as const;
    for (const name of rare) weights[name] *= 0.1;
    return { ...weights, create: 0.2, raise: weights.raise + 0.1, write: weights.write + 0.2 };
  }

  async run(operationCount: number): Promise<void> {
    for (let count = 0; count < operationCount; count += 1) {
      await this.#step();
      if (this.#error !== undefined) throw this.#error;
    }
    await this.drain();
  }

  async drain(): Promise<void> {
    await Promise.all(this.#flying);
    if (this.#error !== undefined) throw this.#error;
  }

  async #step(): Promise<void> {
    const operation = this.#pick();
    const living = this.#world.chunks.filter(({ deleted }) => deleted === 'no');
    if (operation === 'create' || living.length === 0) {
      if (living.length < CHUNKS_MAX) await this.#create();
      return;
    }
    if (operation === 'drain' || this.#flying.size > IN_FLIGHT_MAX) {
      await this.drain();
      return;
    }
    const model = this.#dice.pick(living);
    const { replica, last } = model;
    if (replica === undefined || last === undefined) {
      if (model.quiet) await this.#make(model);
      return;
    }
    const isActive = !model.restarted && last.reconciledVersion === last.record.version;
    if (!isActive || operation === 'raise') {
      await this.#raise(model, replica);
      return;
    }
    await this.#perform(operation, model, replica, last);
  }

  async #perform(
    operation: Exclude<Operation, 'create' | 'drain' | 'raise'>,
    model: ChunkModel,
    replica: Replica,
    last: Snapshot,
  ): Promise<void> {
    const { length } = last.content;
    switch (operation) {
      case 'write':
        this.#write(model, replica, this.#dice.below(Math.min(LENGTH_MAX, length + 1 + this.#gap())));
        break;
      case 'extend':
        this.#write(model, replica, length);
        break;
      case 'zero':
        this.#zero(model, replica, last);
        break;
      case 'append':
        this.#append(model, replica, last);
        break;
      case 'seal':
        this.#seal(model, replica, last);
        break;
      case 'cut': {
        const to = this.#dice.chance(0.3) ? BLOCK * this.#dice.below(4) : this.#dice.below(length + 10);
        this.#mutate(model, replica, { kind: 'cut', ...order(last), length: to }, Buffer.alloc(0));
        break;
      }
      case 'sync':
        this.#fly(replica.sync(), model.syncing());
        break;
      case 'settle':
        this.#fly(replica.settle(), model.syncing());
        break;
      case 'read':
        await this.#read(model, replica);
        break;
      case 'repeat':
        await this.#repeat(model, replica, last);
        break;
      case 'delete': {
        await this.drain();
        model.deleted = 'asked';
        await this.#world.store?.delete(model.chunk);
        model.deleted = 'yes';
        break;
      }
    }
  }

  async #create(): Promise<void> {
    const model = new Chunk(this.#world.chunks.length + 1 + 256 * this.#dice.below(3));
    if (this.#world.chunks.some(({ chunk }) => chunk === model.chunk)) return;
    this.#world.chunks.push(model);
    await this.#make(model);
  }

  /** A chunk that is not there: by its first mutation, or as a copy. */
  async #make(model: ChunkModel): Promise<void> {
    const { store } = this.#world;
    if (store === undefined) return;
    const version = 1 + this.#dice.below(3);
    const kind = this.#dice.chance(0.8) ? 'first' : 'copy';
    const record = versionRecord(model.chunk, version);
    model.replica = store.create(record, kind);
    model.restarted = false;
    const first = firstSnapshot(record, kind);
    // The base can be found alone, where what was written behind it is torn.
    model.next(first);
    if (kind === 'first') {
      const data = dataOf(this.#dice, this.#size());
      const checksums = checksumsOf([data], 0);
      const mutation = { kind: 'write', ...order(first), chunkOffset: 0, checksums } as const;
      this.#fly(model.replica.apply(mutation, [data]), model.next(mutated(first, mutation, data)));
    } else {
      this.#fly(model.replica.sync(), model.syncing());
      await this.#reconcile(model, model.replica);
    }
  }

  #write(model: ChunkModel, replica: Replica, chunkOffset: number): void {
    const { last } = model;
    if (last === undefined || last.sealed) return;
    const size = Math.min(this.#size(), LENGTH_MAX - chunkOffset);
    if (size <= 0) return;
    const data = dataOf(this.#dice, size);
    const checksums = checksumsOf([data], chunkOffset);
    this.#mutate(model, replica, { kind: 'write', ...order(last), chunkOffset, checksums }, data);
  }

  #zero(model: ChunkModel, replica: Replica, last: Snapshot): void {
    const chunkOffset = this.#dice.below(last.content.length + 1);
    const length = Math.min(
      this.#dice.chance(0.3) ? LENGTH_MAX : this.#size(),
      last.content.length - chunkOffset,
    );
    if (length === 0) return;
    this.#mutate(model, replica, { kind: 'zero', ...order(last), chunkOffset, length }, Buffer.alloc(0));
  }

  #append(model: ChunkModel, replica: Replica, last: Snapshot): void {
    const chunkOffset = last.content.length;
    if (last.sealed || chunkOffset > LENGTH_MAX) return;
    const data = dataOf(this.#dice, 1 + this.#dice.below(5000));
    const writer = 1 + this.#dice.below(3);
    const mutation = {
      kind: 'append',
      ...order(last),
      ...{ chunkOffset, checksums: checksumsOf([data], chunkOffset), writer },
      ...{ number: (last.table.get(writer)?.number ?? 0) + 1, recordChecksum: crc32(data) },
    } as const;
    this.#mutate(model, replica, mutation, data);
  }

  #seal(model: ChunkModel, replica: Replica, last: Snapshot): void {
    const longer = last.sealed || this.#dice.chance(0.5) ? 0 : this.#gap();
    const length = Math.min(Math.max(LENGTH_MAX, last.content.length), last.content.length + longer);
    this.#mutate(model, replica, { kind: 'seal', ...order(last), length }, Buffer.alloc(0));
  }

  #mutate(model: ChunkModel, replica: Replica, mutation: Mutation, data: Buffer): void {
    const { last } = model;
    if (last === undefined) return;
    this.#fly(replica.apply(mutation, [data]), model.next(mutated(last, mutation, data)));
  }

  /** A new version, then what a primary does to make this replica equal to its own (P8). */
  async #raise(model: ChunkModel, replica: Replica): Promise<void> {
    const { last } = model;
    if (last === undefined) return;
    const version = last.record.version + 1 + this.#dice.below(2);
    const cut = this.#dice.chance(0.2) ? this.#dice.below(last.content.length + 100) : undefined;
    const record = versionRecord(model.chunk, version, cut);
    const content = last.content.subarray(0, Math.min(cut ?? last.content.length, last.settledLength));
    const reached = model.next(settled({ ...last, record, content }), 'synced');
    await replica.setVersion(record);
    reached();
    model.restarted = false;
    if (this.#dice.chance(0.1)) return;
    await this.#reconcile(model, replica);
  }

  async #reconcile(model: ChunkModel, replica: Replica): Promise<void> {
    const mixture = { version: 0, nextSerial: 0 };
    let { last } = model;
    if (last === undefined) return;
    const { version } = last.record;
    if (this.#dice.chance(0.3)) {
      const length = this.#dice.below(last.content.length + 1);
      const [dropped] = this.#dice.chance(0.5) ? last.table.keys() : [];
      const table = new Map(last.table);
      if (dropped !== undefined) table.delete(dropped);
      if (length < last.content.length || dropped !== undefined) {
        const settledLength = Math.min(length, last.settledLength);
        last = { ...last, content: last.content.subarray(0, length), settledLength, table, stream: mixture };
        const cut = { lowered: [], dropped: dropped === undefined ? [] : [dropped] };
        this.#fly(replica.reconcileCut(version, length, cut), model.next(last));
      }
    }
    const blocks = this.#dice.chance(0.5) ? 0 : this.#dice.below(4);
    for (let count = 0; count < blocks; count += 1) {
      const blockIndex = this.#dice.below(Math.ceil(last.content.length / BLOCK) + 1);
      const there = Math.min(BLOCK, Math.max(0, last.content.length - blockIndex * BLOCK));
      const data = dataOf(this.#dice, Math.max(1, this.#dice.chance(0.5) ? BLOCK : there));
      last = { ...last, content: written(last.content, blockIndex * BLOCK, data), stream: mixture };
      this.#fly(replica.reconcileBlock(version, blockIndex, [data], crc32(data)), model.next(last));
    }
    // Its primary dies: what it began goes with the next version.
    if (this.#dice.chance(0.15)) return;
    const length = this.#dice.chance(0.8)
      ? last.content.length
      : this.#dice.below(last.content.length + 1000);
    const sealed = last.sealed && this.#dice.chance(0.5);
    if (length !== last.content.length) {
      const content = Buffer.alloc(length);
      last.content.copy(content);
      const settledLength = Math.min(length, last.settledLength);
      last = { ...last, content, settledLength, stream: mixture };
      // It may be found without its end, too.
      model.next(last);
    }
    const stream = { version, nextSerial: 0 };
    const end = settled({ ...last, sealed, stream, whole: true, reconciledVersion: version });
    const reached = model.next(end, 'synced');
    await replica.reconcileFinish(version, { length, sealed, table: [...last.table.values()] });
    reached();
  }

  async #read(model: ChunkModel, replica: Replica): Promise<void> {
    const quietBefore = model.quiet;
    const { last } = model;
    const content = await readAll(replica);
    if (quietBefore && model.last === last && last !== undefined && !content.equals(last.content)) {
      throw new Violation(`chunk ${model.chunk}: read something else than was written`);
    }
  }

  /** An order that arrives twice changes nothing. */
  async #repeat(model: ChunkModel, replica: Replica, last: Snapshot): Promise<void> {
    const { version, nextSerial } = last.stream;
    if (nextSerial === 0) return;
    const data = Buffer.from('again');
    const checksums = checksumsOf([data], 0);
    await replica.apply({ kind: 'write', version, serial: nextSerial - 1, chunkOffset: 0, checksums }, [
      data,
    ]);
    await this.drain();
    await this.#read(model, replica);
  }

  #fly(work: Promise<unknown>, reached: () => void): void {
    const flight: Promise<void> = work.then(reached, (error) => {
      this.#error ??= error;
    });
    const tracked: Promise<void> = flight.finally(() => this.#flying.delete(tracked));
    this.#flying.add(tracked);
  }

  #pick(): Operation {
    const total = OPERATIONS.reduce((sum, name) => sum + this.#weights[name], 0);
    let left = this.#dice.next() * total;
    for (const name of OPERATIONS) {
      left -= this.#weights[name];
      if (left < 0) return name;
    }
    return 'write';
  }

  #gap(): number {
    return this.#dice.chance(0.1) ? this.#dice.below(3 * BLOCK) : 0;
  }

  #size(): number {
    switch (this.#dice.below(4)) {
      case 0:
        return 1 + this.#dice.below(300);
      case 1:
        return 4 * KiB;
      case 2:
        return BLOCK;
      default:
        return 1 + this.#dice.below(2 * BLOCK + 500);
    }
  }
}

function order(last: Snapshot): { version: number; serial: number } {
  return { version: last.stream.version, serial: last.stream.nextSerial };
}
