import { must } from '../base/assert.ts';
import { type Bytes, lengthOf } from '../base/bytes.ts';
import type { Disk, DiskFile } from '../base/disk.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { SegmentMap } from '../core/replica-map.ts';
import type { ReplicaRecord } from '../core/replica-records.ts';
import { chainSeed, encodeRecord } from './replica-format.ts';
import { gatherBytes, type Pending } from './replica-gather.ts';

export interface ReplicaPaths {
  /** Holds the files of one chunk in 256. */
  readonly directory: string;
  readonly log: string;
  readonly data: string;
  /** A new log until it replaces the old one. */
  readonly fold: string;
}

export function replicaPaths(root: string, chunk: number): ReplicaPaths {
  const name = hex(chunk);
  const directory = `${root}/${name.slice(-2)}`;
  const path = `${directory}/${name}`;
  return { directory, log: `${path}.log`, data: `${path}.data`, fold: `${path}.fold` };
}

/** The chunk of a log, data or fold file, and which of them it is; undefined for any other name. */
export function parseReplicaName(
  name: string,
): { readonly chunk: number; readonly extension: string } | undefined {
  const match = /^([0-9a-f]{16})\.(log|data|fold)$/.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const chunk = Number.parseInt(match[1], 16);
  return Number.isSafeInteger(chunk) ? { chunk, extension: match[2] } : undefined;
}

/** The directories that replicas lie in. */
export interface ReplicaNames {
  /** Before anything is written (removing is always right). Rejects with NO_SPACE; nearly always nothing to wait for. */
  writable(): Promise<void> | undefined;
  /** Before files are made in one. */
  make(directory: string): Promise<void>;
  /** The names in it are on disk when it resolves, and its own. */
  syncNames(directory: string): Promise<void>;
}

export interface ReplicaPlace {
  readonly disk: Disk;
  readonly names: ReplicaNames;
  readonly paths: ReplicaPaths;
}

/** Records to be written to the log in one go, and the data that goes to the data file before them. */
export interface PlannedWrites {
  readonly log: Uint8Array[];
  logBytes: number;
  readonly data: { readonly at: number; end: number; readonly bytes: Uint8Array[] }[];
  dataBytes: number;
}

/**
 * The files of one replica: what was written and what was synced of them. It knows bytes and places, not what they
 * mean. Every method but `gather` is called by one caller at a time.
 */
export class ReplicaFiles {
  readonly paths: ReplicaPaths;
  readonly #disk: Disk;
  readonly #names: ReplicaNames;
  #log: DiskFile | undefined;
  #data: DiskFile | undefined;
  #logEnd = 0;
  #baseBytes = 0;
  #chain: number;
  /** Written to, or not known to be on disk. */
  #logUnsynced = false;
  #dataUnsynced = false;
  #namesUnsynced = false;
  /** Length of the data file. */
  #dataBytes = 0;
  #pendingLog: Pending[] = [];
  #pendingData: Pending[] = [];
  #planned: PlannedWrites = nothingPlanned();
  /** Log position and chain behind what is planned. */
  #plannedEnd = 0;
  #plannedChain: number;

  constructor(place: ReplicaPlace, chunk: number) {
    this.#disk = place.disk;
    this.#names = place.names;
    this.paths = place.paths;
    this.#chain = chainSeed(chunk);
    this.#plannedChain = this.#chain;
  }

  /** Takes over a log that was read up to `end`, and says whether what it holds is known to be on disk. */
  adopt(
    log: DiskFile,
    data: DiskFile | undefined,
    state: { end: number; chain: number; baseBytes: number; dataBytes: number; synced: boolean },
  ): void {
    this.#log = log;
    this.#data = data;
    this.#logEnd = state.end;
    this.#chain = state.chain;
    this.#baseBytes = state.baseBytes;
    this.#dataBytes = state.dataBytes;
    this.#logUnsynced = !state.synced;
    this.#dataUnsynced = !state.synced && data !== undefined;
    this.#namesUnsynced = !state.synced;
    this.#forgetPlanned();
  }

  /** There is a log on the disk: the replica would be found by a restart. */
  get created(): boolean {
    return this.#log !== undefined;
  }
  get unsynced(): boolean {
    return this.#logUnsynced || this.#dataUnsynced || this.#namesUnsynced;
  }
  get diskBytes(): number {
    return this.#logEnd + this.#dataBytes;
  }
  /** How long the data file is. */
  get dataBytes(): number {
    return this.#dataBytes;
  }
  /** Of the log, behind its base. */
  get changeBytes(): number {
    return this.#logEnd - this.#baseBytes;
  }
  get planned(): PlannedWrites {
    return this.#planned;
  }

  /** Puts a record (and its inline data) behind what is planned; returns where in the log its data will be. */
  plan(record: ReplicaRecord, inline: Bytes): number {
    const encoded = encodeRecord(record, inline, this.#plannedChain);
    const at = this.#plannedEnd + encoded.inlineAt;
    this.#planned.log.push(...encoded.buffers);
    this.#planned.logBytes += encoded.length;
    this.#plannedEnd += encoded.length;
    this.#plannedChain = encoded.chain;
    if (inline.length > 0) this.#pendingLog.push({ at, end: this.#plannedEnd, bytes: inline });
    return at;
  }

  /** Data for the data file, written before the planned records are. */
  planData(at: number, bytes: Bytes): void {
    const end = at + lengthOf(bytes);
    const last = this.#planned.data.at(-1);
    if (last !== undefined && last.end === at) {
      last.bytes.push(...bytes);
      last.end = end;
    } else {
      this.#planned.data.push({ at, end, bytes: [...bytes] });
    }
    this.#planned.dataBytes += end - at;
    this.#pendingData.push({ at, end, bytes });
  }

  /** Everything planned is in the OS when it resolves: data first, then all records in one write (P11). */
  async writePlanned(): Promise<void> {
    if (this.#planned.logBytes === 0) return;
    const writable = this.#names.writable();
    if (writable !== undefined) await writable;
    if (this.#planned.data.length > 0) await this.#writePlannedData();
    if (this.#log === undefined) {
      await this.#names.make(this.paths.directory);
      this.#namesUnsynced = true;
      this.#log = await this.#disk.open(this.paths.log, 'exclusive');
    }
    this.#logUnsynced = true;
    await this.#log.write(this.#planned.log, this.#logEnd);
    this.#logEnd = this.#plannedEnd;
    this.#chain = this.#plannedChain;
    this.#forgetPlanned();
  }

  /**
   * After `writePlanned` failed: nothing of it stays in the log. (In the data file it lies behind the recorded
   * length, where nobody looks.) False: there is no log now.
   */
  async dropPlanned(): Promise<boolean> {
    this.#forgetPlanned();
    if (this.#log === undefined) return false;
    if (this.#logEnd > 0) {
      await this.#log.truncate(this.#logEnd);
      return true;
    }
    await this.close();
    await this.#disk.remove(this.paths.log);
    this.#logUnsynced = false;
    return false;
  }

  /**
   * The data file is on disk when it resolves, with its name: only then may a record say so.
   */
  async syncData(): Promise<void> {
    if (!this.#dataUnsynced) return;
    await this.#dataFile().dataSync();
    await this.syncNames();
    this.#dataUnsynced = false;
  }

  /** The log is on disk when it resolves, with its name. */
  async syncLog(): Promise<void> {
    if (this.#logUnsynced) {
      await must(this.#log, 'what is unsynced was written').dataSync();
      this.#logUnsynced = false;
    }
    await this.syncNames();
  }

  async syncNames(): Promise<void> {
    if (!this.#namesUnsynced) return;
    await this.#names.syncNames(this.paths.directory);
    this.#namesUnsynced = false;
  }

  /** Overwrites bytes of the data file whose content is in the synced log too. */
  async settle(at: number, bytes: Bytes): Promise<void> {
    const file = this.#data ?? (await this.#createData());
    this.#dataUnsynced = true;
    await file.write(bytes, at);
    this.#dataBytes = Math.max(this.#dataBytes, at + lengthOf(bytes));
  }

  /**
   * The log becomes this, durably: at any moment one of the two is there. `switched` is called when from now on reads
   * and writes go to the new one. Nothing may be planned.
   */
  async replaceLog(
    log: Bytes,
    state: { chain: number; baseBytes: number },
    switched: () => void,
  ): Promise<void> {
    const file = await this.#disk.open(this.paths.fold, 'create');
    try {
      await file.truncate(0);
      await file.write(log, 0);
      await file.dataSync();
      await this.#disk.rename(this.paths.fold, this.paths.log);
    } catch (error) {
      await file.close();
      await this.#disk.remove(this.paths.fold);
      throw error;
    }
    const old = this.#log;
    this.#log = file;
    this.#logEnd = lengthOf(log);
    this.#chain = state.chain;
    this.#baseBytes = state.baseBytes;
    this.#forgetPlanned();
    this.#namesUnsynced = true;
    this.#logUnsynced = false;
    switched();
    // What is written to the new log from here on would be lost with its name.
    await this.syncNames();
    await old?.close();
  }

  /** Gives back what lies behind the replica's end. */
  async trimData(length: number): Promise<void> {
    if (this.#dataBytes <= length) return;
    await this.#dataFile().truncate(length);
    this.#dataBytes = length;
  }

  /** Gives back what of a range lies in the data file; no content may lie there any more, durably. */
  async punchData(start: number, end: number): Promise<void> {
    const length = Math.min(end, this.#dataBytes) - start;
    if (length <= 0) return;
    this.#dataUnsynced = true;
    await this.#dataFile().punch(start, length);
  }

  /** See `gatherBytes`. */
  gather(map: SegmentMap, start: number, end: number): Promise<Buffer> {
    const sources = {
      log: this.#log,
      logEnd: this.#logEnd,
      data: this.#data,
      pendingLog: this.#pendingLog,
      pendingData: this.#pendingData,
      paths: this.paths,
    };
    return gatherBytes(sources, map, start, end);
  }

  /** Closes what is open; what was written stays known. */
  async close(): Promise<void> {
    const [log, data] = [this.#log, this.#data];
    this.#log = undefined;
    this.#data = undefined;
    await Promise.all([log?.close(), data?.close()]);
  }

  async removeAll(): Promise<void> {
    await this.close();
    // The log first: a data file alone is nobody's, a log without its data would be a damaged replica.
    await this.#disk.remove(this.paths.log);
    await this.#disk.remove(this.paths.data);
    await this.#disk.remove(this.paths.fold);
  }

  async #writePlannedData(): Promise<void> {
    const file = this.#data ?? (await this.#createData());
    this.#dataUnsynced = true;
    for (const run of this.#planned.data) {
      await file.write(run.bytes, run.at);
      this.#dataBytes = Math.max(this.#dataBytes, run.end);
    }
  }

  async #createData(): Promise<DiskFile> {
    await this.#names.make(this.paths.directory);
    this.#namesUnsynced = true;
    this.#data = await this.#disk.open(this.paths.data, 'create');
    return this.#data;
  }

  #forgetPlanned(): void {
    this.#planned = nothingPlanned();
    this.#plannedEnd = this.#logEnd;
    this.#plannedChain = this.#chain;
    this.#pendingLog = [];
    this.#pendingData = [];
  }

  #dataFile(): DiskFile {
    if (this.#data === undefined) throw new GfsError('IO_ERROR', `${this.paths.data} is missing`);
    return this.#data;
  }
}

function nothingPlanned(): PlannedWrites {
  return { log: [], logBytes: 0, data: [], dataBytes: 0 };
}
