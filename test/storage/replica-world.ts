// Replicas on a simulated machine, beside a model that is dumb: per chunk the list of all states it went through, whole
// contents and all. A crash may leave any state from the last one that was promised to the last one that was asked for,
// and nothing else.
import { checksumsOf } from '../../src/base/crc.ts';
import { codeOf } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import type { AppendEntry, Mutation, SerialStream, VersionRecord } from '../../src/core/replica-types.ts';
import { type Replica, ReplicaStore } from '../../src/storage/replica-store.ts';
import { Random } from '../sim/random.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';

export const BLOCK = 64 * KiB;
export const DIRECTORY = '/machine/data';

/** A violation of what the storage promises; everything else that goes wrong is thrown as it is. */
export class Violation extends Error {
  override name = 'Violation';
}

export interface Snapshot {
  readonly record: VersionRecord;
  readonly reconciledVersion: number;
  readonly whole: boolean;
  readonly stream: SerialStream;
  readonly sealed: boolean;
  /** With what blocks of a reconcile put behind its end. */
  readonly content: Buffer;
  /** Where it ends before that reconcile does. */
  readonly settledLength: number;
  readonly table: ReadonlyMap<number, AppendEntry>;
}

/** One chunk, as it should be. State 0 is: not there. */
export class ChunkModel {
  readonly chunk: number;
  states: (Snapshot | undefined)[] = [undefined];
  /** Indexes of the last states that were acknowledged, and that were promised to be on disk. */
  acknowledged = 0;
  synced = 0;
  replica: Replica | undefined;
  /** Recorded by an earlier process: refuses orders until a version is set. */
  restarted = false;
  deleted: 'no' | 'asked' | 'yes' = 'no';

  constructor(chunk: number) {
    this.chunk = chunk;
  }

  get last(): Snapshot | undefined {
    return this.states.at(-1);
  }
  get quiet(): boolean {
    return this.acknowledged === this.states.length - 1;
  }

  /** A state that the chunk will be in when what is about to be asked for is done; returns what to call then. */
  next(state: Snapshot, promise: 'acknowledged' | 'synced' = 'acknowledged'): () => void {
    const index = this.states.push(state) - 1;
    return () => this.#reached(index, promise);
  }

  /** What a sync that begins now promises. */
  syncing(): () => void {
    const index = this.states.length - 1;
    return () => this.#reached(index, 'synced');
  }

  /** After a crash: what was found is the `index`th state. */
  resumeAt(index: number, { powerLost, whole }: { powerLost: boolean; whole: boolean | undefined }): void {
    this.states = this.states.slice(0, index + 1);
    this.acknowledged = index;
    const found = this.states[index];
    if (powerLost) {
      this.synced = index;
      if (found !== undefined) this.states[index] = { ...found, whole: whole ?? false };
    }
    this.restarted = true;
  }

  #reached(index: number, promise: 'acknowledged' | 'synced'): void {
    this.acknowledged = Math.max(this.acknowledged, index);
    if (promise === 'synced') this.synced = Math.max(this.synced, index);
  }
}

export function versionRecord(
  chunk: number,
  version: number,
  cut?: VersionRecord['cutLength'],
): VersionRecord {
  const members = [{ server: 7, address: 'host:7', rack: 'r' }];
  const cuts = cut === undefined ? {} : { cutVersion: version, cutLength: cut };
  return { chunk, version, members, primary: 7, loss: 0, ...cuts };
}

export function firstSnapshot(record: VersionRecord, kind: 'first' | 'copy'): Snapshot {
  const isFirst = kind === 'first';
  return {
    record,
    reconciledVersion: isFirst ? record.version : 0,
    whole: isFirst,
    stream: { version: isFirst ? record.version : 0, nextSerial: 0 },
    sealed: false,
    content: Buffer.alloc(0),
    settledLength: 0,
    table: new Map(),
  };
}

export class ReplicaWorld {
  readonly simulation: Simulation;
  readonly disk: SimDisk;
  readonly dice: Random;
  readonly chunks: ChunkModel[] = [];
  readonly logBytesMax: number;
  env: SimEnv;
  store: ReplicaStore | undefined;
  /** Nobody has written since a store ended with everything synced; undefined: whether its mark stands is unknown. */
  #clean: boolean | undefined = true;
  /** Power was lost under what was written since the last verification, or may have been. */
  #loss: boolean | undefined = false;
  #lives = 0;

  constructor(seed: string, options: { logBytesMax?: number; capacityBytes?: number } = {}) {
    this.simulation = new Simulation(seed);
    const { capacityBytes } = options;
    this.disk = new SimDisk(this.simulation, 'machine', capacityBytes === undefined ? {} : { capacityBytes });
    // Of the directory that a person chose, the parents are theirs.
    const { names } = this.disk;
    names.makeDirectory('/machine');
    names.sync(names.syncPoint(names.directory('/')));
    this.dice = new Random(`${seed}/workload`);
    this.logBytesMax = options.logBytesMax ?? 96 * KiB;
    this.env = new SimEnv(this.simulation, 'nobody');
  }

  async start(): Promise<ReplicaStore> {
    this.#lives += 1;
    if (this.#clean) this.#clean = undefined;
    this.env = new SimEnv(this.simulation, `process ${this.#lives}`);
    this.store = await ReplicaStore.open({
      env: this.env,
      disk: this.disk.processView(this.env),
      directory: DIRECTORY,
      openReplicasMax: 2,
      logBytesMax: this.logBytesMax,
      onFatal: (error) => {
        throw error;
      },
    });
    this.#clean = false;
    return this.store;
  }

  /** The process dies; what it had in flight is done, half done or not. */
  async kill(): Promise<void> {
    this.env.kill();
    await this.simulation.sleep(50);
  }

  powerCut(): void {
    this.disk.powerCut();
    // Deletions may be undone, wholly or in part; the master orders them again.
    for (const model of this.chunks) if (model.deleted === 'yes') model.deleted = 'asked';
    if (this.#clean === false) this.#loss = true;
    else if (this.#clean === undefined && this.#loss === false) this.#loss = undefined;
  }

  async close(): Promise<void> {
    await this.store?.close();
    this.#clean = true;
    for (const model of this.chunks) {
      model.synced = Math.max(model.synced, model.acknowledged);
    }
  }

  /** Compares everything that a new process finds with what may be there. */
  async verify(): Promise<void> {
    const store = this.store;
    if (store === undefined) throw new Error('start first');
    const powerLost = this.#loss;
    if (store.powerLost && powerLost === false) throw new Violation('the store takes it that power was lost');
    for (const model of this.chunks) {
      if (model.deleted === 'no') await this.#verifyChunk(store, model, powerLost);
      else if (model.deleted === 'yes') {
        if ((await store.get(model.chunk)) !== undefined) throw new Violation('a deleted chunk is back');
      }
    }
    this.#loss = false;
  }

  async #verifyChunk(store: ReplicaStore, model: ChunkModel, powerLost: boolean | undefined): Promise<void> {
    const floor = powerLost ? model.synced : model.acknowledged;
    const found = await this.#find(store, model, powerLost);
    let index = floor;
    if (found !== undefined) {
      const { replica, snapshot } = found;
      const isFound = (state: Snapshot | undefined) => state !== undefined && isSame(state, snapshot);
      index = model.states.findIndex((state, at) => at >= floor && isFound(state));
      const isWhole = !powerLost && model.states[index]?.whole;
      const isWholeRight =
        index < 0 || snapshot.whole === isWhole || (powerLost === undefined && !snapshot.whole);
      if (index < 0 || !isWholeRight) {
        const was = model.states.findIndex((state) => isFound(state));
        const { version } = snapshot.record;
        throw new Violation(
          `chunk ${model.chunk}: found version ${version} ${JSON.stringify(snapshot.stream)} length ${snapshot.content.length}` +
            ` whole ${snapshot.whole}, which is state ${was}; promised ${floor} to ${model.states.length - 1}, power lost ${powerLost}`,
        );
      }
      model.replica = replica;
    } else if (floor > 0) {
      throw new Violation(`chunk ${model.chunk} is gone; promised state ${floor}, power lost ${powerLost}`);
    } else {
      model.replica = undefined;
      index = 0;
    }
    model.resumeAt(index, { powerLost: powerLost !== false, whole: found?.snapshot.whole });
  }

  async #find(store: ReplicaStore, model: ChunkModel, powerLost: boolean | undefined) {
    let replica: Replica | undefined;
    try {
      replica = await store.get(model.chunk);
    } catch (error) {
      // Half of a base that was never synced cannot be told from a damaged one.
      if (codeOf(error) !== 'CORRUPT' || !powerLost || model.synced > 0) throw error;
      await store.delete(model.chunk);
    }
    if (replica === undefined) return undefined;
    const { state } = replica;
    if (state.standing !== 'restarted') throw new Violation('a restarted replica says it is not');
    return { replica, snapshot: await snapshotOf(replica) };
  }
}

export async function snapshotOf(replica: Replica): Promise<Snapshot> {
  const { state } = replica;
  const sums = await replica.blockChecksums();
  const content = await readAll(replica);
  const isUnsettled = sums.length > content.length;
  // Behind the end of a mixture nobody reads, and its last block reaches there.
  const verifiedCount = isUnsettled ? Math.floor(content.length / BLOCK) : sums.checksums.length;
  const expected = checksumsOf([content], 0).slice(0, verifiedCount);
  if (
    sums.length < content.length ||
    (isUnsettled && sums.stream.version !== 0) ||
    expected.join() !== sums.checksums.slice(0, verifiedCount).join()
  ) {
    throw new Violation(`chunk ${replica.chunk}: block checksums are not those of what is read`);
  }
  return {
    record: state.record,
    reconciledVersion: state.reconciledVersion,
    whole: state.whole,
    stream: sums.stream,
    sealed: sums.sealed,
    content,
    settledLength: content.length,
    table: new Map(sums.table.map((entry) => [entry.writer, entry])),
  };
}

/** A read that fails is a violation: no bit was flipped here. */
export async function readAll(replica: Replica): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (;;) {
    try {
      const { payload, chunkLength } = await replica.read(at, 100_000);
      for (const part of payload) {
        parts.push(part);
        at += part.length;
      }
      if (at >= chunkLength) return Buffer.concat(parts);
    } catch (error) {
      if (codeOf(error) === 'CHECKSUM_MISMATCH')
        throw new Violation(`chunk ${replica.chunk}: ${String(error)}`);
      throw error;
    }
  }
}

/** The state after a mutation; throws for one that makes no sense. */
export function mutated(state: Snapshot, mutation: Mutation, data: Buffer): Snapshot {
  return settled(applied(state, mutation, data));
}

/** All of the content counts. */
export function settled(state: Snapshot): Snapshot {
  return { ...state, settledLength: state.content.length };
}

function applied(state: Snapshot, mutation: Mutation, data: Buffer): Snapshot {
  const stream = { ...state.stream, nextSerial: mutation.serial + 1 };
  switch (mutation.kind) {
    case 'write':
      return { ...state, stream, content: written(state.content, mutation.chunkOffset, data) };
    case 'zero': {
      const { chunkOffset, length } = mutation;
      return { ...state, stream, content: written(state.content, chunkOffset, Buffer.alloc(length)) };
    }
    case 'append': {
      const { writer, number, chunkOffset, recordChecksum: checksum } = mutation;
      const table = new Map(state.table);
      table.delete(writer);
      table.set(writer, { writer, number, chunkOffset, length: data.length, checksum });
      return { ...state, stream, content: written(state.content, chunkOffset, data), table };
    }
    case 'seal':
      return {
        ...state,
        stream,
        sealed: true,
        content: written(state.content, mutation.length, Buffer.alloc(0)),
      };
    case 'cut':
      return { ...state, stream, content: state.content.subarray(0, mutation.length) };
  }
}

export function written(content: Buffer, offset: number, data: Buffer): Buffer {
  const result = Buffer.alloc(Math.max(content.length, offset + data.length));
  content.copy(result);
  data.copy(result, offset);
  return result;
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  return (
    JSON.stringify(a.record) === JSON.stringify(b.record) &&
    a.reconciledVersion === b.reconciledVersion &&
    a.stream.version === b.stream.version &&
    a.stream.nextSerial === b.stream.nextSerial &&
    a.sealed === b.sealed &&
    tableText(a.table) === tableText(b.table) &&
    a.settledLength === b.settledLength &&
    a.content.subarray(0, a.settledLength).equals(b.content.subarray(0, b.settledLength))
  );
}

function tableText(table: Snapshot['table']): string {
  return JSON.stringify([...table.values()].sort((a, b) => a.writer - b.writer));
}

export function dataOf(dice: Random, length: number): Buffer {
  return length < 4096 ? dice.bytes(length) : Buffer.alloc(length, dice.bytes(1021));
}
