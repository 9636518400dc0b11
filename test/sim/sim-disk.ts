// The disk of a simulated machine. A killed process loses nothing; a power cut leaves what was synced, and of the rest
// whatever the dice say: sectors and lengths of any age since the last sync, names in any order. That is more than a
// good file system loses, and just what `Disk` promises.
import { assert } from '../../src/base/assert.ts';
import type { Disk, DiskFile, DiskLock, DiskSpace, OpenMode } from '../../src/base/disk.ts';
import { type ErrorCode, GfsError, messageOf } from '../../src/base/errors.ts';
import { TiB } from '../../src/base/units.ts';
import { hashOf, type Random } from './random.ts';
import type { SimEnv } from './sim-env.ts';
import type { SimFile } from './sim-file.ts';
import { SimNames } from './sim-names.ts';
import type { Simulation } from './simulation.ts';

export type DiskOperation = 'open' | 'names' | 'read' | 'write' | 'truncate' | 'sync' | 'syncDirectory';

/** Half to one and a half of it, in milliseconds. */
const LATENCY_MS: Readonly<Record<DiskOperation, number>> = {
  open: 0.05,
  names: 0.05,
  read: 0.1,
  write: 0.05,
  truncate: 0.05,
  sync: 2,
  syncDirectory: 2,
};

/** More than any run fills: nobody counts what is used of it. */
const CAPACITY_BYTES = 1 * TiB;

/** A sync, as the predicate that may turn it into nothing sees it. */
export interface SyncCall {
  readonly path: string;
  readonly kind: 'data' | 'directory';
  /** The code that called, as "Class.method file.js:line". */
  readonly site: string;
}

export interface SimDiskOptions {
  readonly capacityBytes?: number;
}

export class SimDisk {
  readonly name: string;
  readonly simulation: Simulation;
  readonly names = new SimNames();
  readonly dice: Random;
  /** Writes beyond it fail with NO_SPACE. */
  capacityBytes: number;
  /** Multiplies all latencies. */
  slowness = 1;
  /** Syncs that it names say yes and do nothing: a test that each of them is needed. */
  ignoreSync: ((call: SyncCall) => boolean) | undefined;
  /** An error's code makes the operation fail with it. */
  failOperation: ((operation: DiskOperation, path: string) => ErrorCode | undefined) | undefined;
  readonly #locks = new Map<string, SimLock>();
  readonly #processes = new Set<SimEnv>();
  readonly #underWay = new Set<UnderWay>();
  readonly #nameHash: number;
  #bootId = '';

  constructor(simulation: Simulation, name: string, options: SimDiskOptions = {}) {
    this.simulation = simulation;
    this.name = name;
    this.#nameHash = hashOf(name);
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.dice = simulation.random.fork(`disk ${name}`);
    this.#boot();
  }

  get bootId(): string {
    return this.#bootId;
  }

  /** The disk as one process of the machine uses it; its open files and locks end with it. */
  processView(env: SimEnv): Disk {
    this.#processes.add(env);
    return new ProcessView(this, env);
  }

  /**
   * Kills the process. What it had under way at the disk happens, or half happens, or not; it is over when this
   * returns, as it is when a killed process is gone and its locks are free.
   */
  kill(env: SimEnv): void {
    env.kill();
    this.#processes.delete(env);
    for (const item of this.dice.shuffled([...this.#underWay])) {
      if (item.env !== env) continue;
      this.#underWay.delete(item);
      if (this.dice.chance(0.5)) continue;
      try {
        item.halfEffect();
      } catch (error) {
        this.simulation.note(`${env.name} died before it could learn: ${messageOf(error)}`);
      }
    }
  }

  /** Kills all processes of the machine; what they had under way does not happen. */
  powerCut(): void {
    this.simulation.trace(`${this.name} power cut`);
    for (const env of this.#processes) env.kill();
    this.#processes.clear();
    this.#underWay.clear();
    this.#locks.clear();
    this.names.losePower(this.dice, ({ lost, torn }) => {
      if (lost) this.simulation.count('unsynced writes lost');
      if (torn) this.simulation.count('torn write');
    });
    this.#boot();
  }

  /** No file can grow any more, until `empty`. */
  fill(): void {
    this.simulation.trace(`${this.name} is full`);
    this.capacityBytes = this.names.usedBytes();
  }

  empty(): void {
    this.capacityBytes = CAPACITY_BYTES;
  }

  /** What was certain to be on the disk is gone from there on. Of a machine without power. */
  cut(path: string, length: number): void {
    this.simulation.trace(`${this.name} loses ${path} from ${length} on`);
    this.names.file(path).cut(length);
  }

  flipBit(path: string, position: number, bit: number): void {
    this.simulation.trace(`${this.name} flips bit ${bit} of byte ${position} of ${path}`);
    this.names.file(path).flipBit(position, bit);
  }

  lock(path: string, env: SimEnv): SimLock {
    if (this.names.find(path) === undefined) this.names.createFile(path);
    if (this.#locks.get(path)?.held) throw new GfsError('ALREADY_RUNNING', `${path} is locked`);
    const lock = new SimLock(env);
    this.#locks.set(path, lock);
    return lock;
  }

  /** Of a dead process nothing is done. */
  start(operation: DiskOperation, item: UnderWay): void {
    if (!item.env.alive) return;
    this.#underWay.add(item);
    const latencyMs = LATENCY_MS[operation] * this.slowness * this.dice.between(0.5, 1.5);
    const finish = () => {
      if (!this.#underWay.delete(item)) return;
      const text = () => `${this.name} ${operation} ${item.path}`;
      this.simulation.traceNumbers(text, this.#nameHash, hashOf(operation), hashOf(item.path));
      try {
        item.finish();
      } catch (error) {
        item.reject(error);
      }
    };
    this.simulation.schedule(latencyMs, finish, item.env);
  }

  #boot(): void {
    this.#bootId = this.dice.hex(32);
  }
}

class SimLock {
  readonly #holder: SimEnv;
  #closed = false;

  constructor(holder: SimEnv) {
    this.#holder = holder;
  }

  get held(): boolean {
    return this.#holder.alive && !this.#closed;
  }

  close(): void {
    this.#closed = true;
  }
}

/** One thing that the machine's kernel does for a process, while it does it. */
interface UnderWay {
  readonly env: SimEnv;
  readonly path: string;
  readonly finish: () => void;
  readonly reject: (error: unknown) => void;
  readonly halfEffect: () => void;
}

interface Work<T> {
  readonly operation: DiskOperation;
  readonly path: string;
  readonly effect: () => T;
  /** What happens instead when the process died before it was done. */
  readonly halfEffect?: () => void;
}

class ProcessView implements Disk {
  readonly #disk: SimDisk;
  readonly #env: SimEnv;

  constructor(disk: SimDisk, env: SimEnv) {
    this.#disk = disk;
    this.#env = env;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await this.perform({ operation: 'open', path, effect: () => this.#openNow(path, mode) });
    return new SimOpenFile(this.#disk, this, file, path, mode !== 'read');
  }

  rename(from: string, to: string): Promise<void> {
    return this.#changeNames(`${from} -> ${to}`, (names) => names.rename(from, to));
  }

  /** To the disk it is as if another file were written. */
  async copy(from: string, to: string): Promise<void> {
    const source = await this.open(from, 'read');
    const bytes = Buffer.alloc(await source.size());
    await source.read(bytes, 0);
    await source.close();
    const target = await this.open(to, 'exclusive');
    await target.write([bytes], 0);
    await target.close();
  }

  remove(path: string): Promise<void> {
    return this.#changeNames(path, (names) => names.remove(path));
  }

  list(directory: string): Promise<string[]> {
    const effect = () => [...this.#disk.names.directory(directory).entries.keys()].sort();
    return this.perform({ operation: 'names', path: directory, effect });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#changeNames(path, (names) => names.makeDirectory(path));
  }

  removeDirectory(path: string): Promise<void> {
    return this.#changeNames(path, (names) => names.removeDirectory(path));
  }

  async syncDirectory(path: string): Promise<void> {
    const { names } = this.#disk;
    if (ignored(this.#disk, path, 'directory')) return;
    const directory = names.find(path);
    const point = directory?.kind === 'directory' ? names.syncPoint(directory) : undefined;
    const effect = () => {
      if (point === undefined) throw new GfsError('NOT_FOUND', `${path}: no such directory`);
      names.sync(point);
    };
    await this.perform({ operation: 'syncDirectory', path, effect });
  }

  exists(path: string): Promise<boolean> {
    const effect = () => this.#disk.names.find(path) !== undefined;
    return this.perform({ operation: 'names', path, effect });
  }

  space(path: string): Promise<DiskSpace> {
    const { capacityBytes, names } = this.#disk;
    const effect = () => ({
      device: 1,
      totalBytes: capacityBytes,
      freeBytes: Math.max(0, capacityBytes - names.usedBytes()),
      inodeCount: 1_000_000,
      inodeCountFree: 900_000,
    });
    return this.perform({ operation: 'names', path, effect });
  }

  async lock(path: string): Promise<DiskLock> {
    const effect = () => this.#disk.lock(path, this.#env);
    const lock = await this.perform({ operation: 'open', path, effect });
    return { close: async () => lock.close() };
  }

  bootId(): Promise<string> {
    return this.perform({ operation: 'read', path: 'boot id', effect: () => this.#disk.bootId });
  }

  /** The work is done when its time is over, unless its process ends before. */
  perform<T>({ operation, path, effect, halfEffect }: Work<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        const code = this.#disk.failOperation?.(operation, path);
        if (code === undefined) resolve(effect());
        else reject(new GfsError(code, `${operation} ${path}: made to fail`));
      };
      this.#disk.start(operation, { env: this.#env, path, finish, reject, halfEffect: halfEffect ?? effect });
    });
  }

  #changeNames(path: string, change: (names: SimNames) => void): Promise<void> {
    return this.perform({ operation: 'names', path, effect: () => change(this.#disk.names) });
  }

  #openNow(path: string, mode: OpenMode): SimFile {
    const { names } = this.#disk;
    const there = names.find(path);
    if (mode === 'exclusive' && there !== undefined) throw new GfsError('EXISTS', `${path} exists`);
    if (there === undefined && (mode === 'create' || mode === 'exclusive')) return names.createFile(path);
    return names.file(path);
  }
}

class SimOpenFile implements DiskFile {
  readonly #disk: SimDisk;
  readonly #view: ProcessView;
  readonly #file: SimFile;
  readonly #path: string;
  readonly #writable: boolean;
  readonly #inFlight = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(disk: SimDisk, view: ProcessView, file: SimFile, path: string, writable: boolean) {
    this.#disk = disk;
    this.#view = view;
    this.#file = file;
    this.#path = path;
    this.#writable = writable;
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#perform('read', () => this.#file.read(into, position));
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    // Read at the end: who writes to a borrowed buffer meanwhile finds that on the disk.
    const whole = () => this.#writeNow(Buffer.concat(buffers), position);
    const torn = () => {
      const data = Buffer.concat(buffers);
      const written = this.#disk.dice.below(data.length + 1);
      if (written > 0 && written < data.length) this.#disk.simulation.count('torn write');
      this.#writeNow(data.subarray(0, written), position);
    };
    await this.#perform('write', whole, torn);
  }

  size(): Promise<number> {
    return this.#perform('names', () => this.#file.length);
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.#perform('truncate', () => {
      this.#mustBeWritable();
      this.#file.truncate(lengthBytes);
    });
  }

  /** To the disk it is as if zeros were written. */
  punch(position: number, lengthBytes: number): Promise<void> {
    return this.#perform('truncate', () => {
      this.#mustBeWritable();
      const length = Math.min(lengthBytes, this.#file.length - position);
      if (length > 0) this.#file.write(Buffer.alloc(length), position);
    });
  }

  async dataSync(): Promise<void> {
    if (ignored(this.#disk, this.#path, 'data')) return;
    const point = this.#file.syncPoint();
    await this.#perform('sync', () => this.#file.sync(point));
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#inFlight).then(() => undefined);
    return this.#closing;
  }

  #writeNow(data: Buffer, position: number): void {
    this.#mustBeWritable();
    const { capacityBytes, names, simulation, name } = this.#disk;
    const growthBytes = Math.max(0, position + data.length - this.#file.length);
    const isSpacious = growthBytes === 0 || capacityBytes === CAPACITY_BYTES;
    const roomBytes = isSpacious ? growthBytes : capacityBytes - names.usedBytes();
    if (growthBytes > roomBytes) {
      simulation.count('write to a full disk');
      throw new GfsError('NO_SPACE', `write ${this.#path}: the disk of ${name} is full`);
    }
    simulation.traceNumbers(() => `${name} ${this.#path} ${position}+${data.length}`, position, data.length);
    this.#file.write(data, position);
  }

  #mustBeWritable(): void {
    if (!this.#writable) throw new GfsError('IO_ERROR', `${this.#path} is open for reading`);
  }

  async #perform<T>(operation: DiskOperation, effect: () => T, halfEffect: () => void = effect): Promise<T> {
    assert(this.#closing === undefined, `${this.#path} is used after close`);
    const work = this.#view.perform({ operation, path: this.#path, effect, halfEffect });
    this.#inFlight.add(work);
    try {
      return await work;
    } finally {
      this.#inFlight.delete(work);
    }
  }
}

function ignored(disk: SimDisk, path: string, kind: SyncCall['kind']): boolean {
  if (disk.ignoreSync === undefined) return false;
  const ignore = disk.ignoreSync({ path, kind, site: callSite() });
  if (ignore) disk.simulation.trace(`${disk.name} ignores a sync of ${path}`);
  return ignore;
}

/** Who called into this file, as "Replica.#sync replica.js:120". Raw frames: mapping them to sources takes long. */
function callSite(): string {
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.stackTraceLimit = 10;
  Error.prepareStackTrace = (_, frames) => {
    const caller = frames.find((frame) => !frame.getFileName()?.endsWith('/sim/sim-disk.js'));
    const file = caller?.getFileName()?.replace(/.*\//, '');
    const type = caller?.getTypeName() ?? '';
    const method = caller?.getFunctionName()?.replace(/^async /, '') ?? '';
    return `${method.includes('.') || type === '' ? method : `${type}.${method}`} ${file}:${caller?.getLineNumber()}`;
  };
  // Reading it is what makes it up.
  const { stack } = new Error();
  Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  return String(stack);
}
