import type { Disk, DiskLock } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { makeDirectoryDurably, readWhole, writeDurably } from './durable-file.ts';
import { parseReplicaName, type ReplicaNames } from './replica-files.ts';

/** Who the server is. Absent until it has joined a file system. */
export interface ServerIdentity {
  readonly filesystemId: string;
  readonly serverId: number;
}

/**
 * What the files of the last process are worth, `mark.json` of the data directory.
 * - `epoch`: a name for the time since power was lost last. Logs carry it; where it is another one, what was not
 *   synced may be gone. So one write here makes all replicas *not whole*, durably (P7).
 * - `clean`: everything is synced, and nobody has written since.
 */
interface Mark {
  readonly bootId: string;
  readonly epoch: string;
  readonly clean: boolean;
}

interface FoundMark {
  /** The one that takes the place of what was found, before anything else is written here. */
  readonly mark: Mark;
  readonly powerLost: boolean;
  readonly clean: boolean;
}

/**
 * A chunkserver's data directory, locked: `lock`, `identity.json`, `mark.json`, and `chunks/XX/` for the replicas whose
 * handles end in XX.
 */
export class ReplicaDirectory implements ReplicaNames {
  readonly path: string;
  readonly epoch: string;
  /** Power was lost since the last run: this machine has booted, and there was no clean mark. */
  readonly powerLost: boolean;
  /** All that was found here was synced before the last process ended. */
  readonly clean: boolean;
  readonly #disk: Disk;
  readonly #lock: DiskLock;
  readonly #env: Env;
  readonly #mark: Mark;
  /** On a full disk the mark may have to wait; as long as it does, so does everything that is written. */
  #isMarked = false;
  #marking: Promise<void> | undefined;
  /** Directories of chunks that are there, and whether their own names are known to be on disk. */
  readonly #made = new Map<string, 'made' | 'durable'>();
  #identity: ServerIdentity | undefined;

  private constructor(
    { env, disk, lock }: { env: Env; disk: Disk; lock: DiskLock },
    path: string,
    found: FoundMark & { identity: ServerIdentity | undefined },
  ) {
    this.#env = env;
    this.#disk = disk;
    this.path = path;
    this.#lock = lock;
    this.#identity = found.identity;
    this.#mark = found.mark;
    this.epoch = found.mark.epoch;
    this.powerLost = found.powerLost;
    this.clean = found.clean;
  }

  /** Makes it if missing; ALREADY_RUNNING when another process has it. A full disk can be read, until it has room again. */
  static async open(env: Env, disk: Disk, path: string): Promise<ReplicaDirectory> {
    // Also where it is there: the process that made it may have been killed at once.
    await makeDirectoryDurably(disk, path);
    const lock = await disk.lock(`${path}/lock`);
    try {
      await disk.makeDirectory(chunksIn(path));
      const text = await readWhole(disk, `${path}/identity.json`);
      const identity = text === undefined ? undefined : parseIdentity(path, text);
      const found = await findMark(env, disk, path);
      const directory = new ReplicaDirectory({ env, disk, lock }, path, { ...found, identity });
      await directory.#markIfPossible();
      return directory;
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  get chunks(): string {
    return chunksIn(this.path);
  }

  get identity(): ServerIdentity | undefined {
    return this.#identity;
  }

  async setIdentity(identity: ServerIdentity): Promise<void> {
    await writeDurably(this.#disk, `${this.path}/identity.json`, `${JSON.stringify(identity)}\n`);
    this.#identity = identity;
  }

  /** Chunks that have a log. What an interrupted fold, creation or deletion left behind is removed. */
  async listChunks(): Promise<Set<number>> {
    const found = new Set<number>();
    for (const directory of await this.#disk.list(this.chunks)) {
      const path = `${this.chunks}/${directory}`;
      this.#made.set(path, this.clean ? 'durable' : 'made');
      const leftovers: string[] = [];
      for (const name of await this.#disk.list(path)) {
        const parsed = parseReplicaName(name);
        if (parsed?.extension === 'log') found.add(parsed.chunk);
        else if (parsed !== undefined) leftovers.push(name);
      }
      for (const name of leftovers) {
        const parsed = parseReplicaName(name);
        const isOrphan = parsed !== undefined && (parsed.extension === 'fold' || !found.has(parsed.chunk));
        if (isOrphan) await this.#disk.remove(`${path}/${name}`);
      }
    }
    return found;
  }

  writable(): Promise<void> | undefined {
    if (this.#isMarked) return undefined;
    this.#marking ??= this.#writeMark().finally(() => {
      this.#marking = undefined;
    });
    return this.#marking;
  }

  /** Before files are made in one of the 256 directories. */
  async make(directory: string): Promise<void> {
    if (this.#made.has(directory)) return;
    await this.#disk.makeDirectory(directory);
    if (!this.#made.has(directory)) this.#made.set(directory, 'made');
  }

  /** The names in it are on disk when it resolves, and its own. */
  async syncNames(directory: string): Promise<void> {
    if (this.#made.get(directory) !== 'durable') {
      await this.#disk.syncDirectory(this.chunks);
      this.#made.set(directory, 'durable');
    }
    await this.#disk.syncDirectory(directory);
  }

  /** `clean`: everything in it is synced. */
  async close(options: { clean: boolean }): Promise<void> {
    if (options.clean) await this.#markClean();
    await this.#lock.close();
  }

  async #writeMark(): Promise<void> {
    await writeMark(this.#disk, this.path, this.#mark);
    this.#isMarked = true;
  }

  async #markIfPossible(): Promise<void> {
    try {
      await this.writable();
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      const fields = { path: this.path, error: messageOf(error) };
      this.#env.log
        .of('storage')
        .error(fields, 'the disk is full: chunks are served, but nothing is written before there is room');
    }
  }

  async #markClean(): Promise<void> {
    try {
      await writeMark(this.#disk, this.path, { ...this.#mark, clean: true });
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      const fields = { path: this.path, error: messageOf(error) };
      this.#env.log
        .of('storage')
        .warn(fields, 'the disk is full, there is no room to note that all is synced');
    }
  }
}

/** The mark that the last process left, and the one to replace it by, which says: somebody is writing here. */
async function findMark(env: Env, disk: Disk, path: string): Promise<FoundMark> {
  const text = await readWhole(disk, `${path}/mark.json`);
  const old = text === undefined ? undefined : parseMark(text);
  if (text !== undefined && old === undefined) {
    env.log.of('storage').error({ path }, 'mark.json is damaged: taking it that power was lost');
  }
  const bootId = await disk.bootId();
  const clean = old?.clean === true;
  const powerLost = text !== undefined && (old === undefined || (!clean && old.bootId !== bootId));
  const epoch = old === undefined || powerLost ? env.uniqueId() : old.epoch;
  // Written even where it reads the same: the process that wrote it may have been killed before it was on disk.
  return { mark: { bootId, epoch, clean: false }, powerLost, clean };
}

async function writeMark(disk: Disk, path: string, mark: Mark): Promise<void> {
  await writeDurably(disk, `${path}/mark.json`, `${JSON.stringify(mark)}\n`);
}

function chunksIn(path: string): string {
  return `${path}/chunks`;
}

function parseMark(text: string): Mark | undefined {
  const fields = parseObject(text);
  const { bootId, epoch, clean } = fields ?? {};
  if (typeof bootId !== 'string' || typeof epoch !== 'string' || typeof clean !== 'boolean') return undefined;
  return { bootId, epoch, clean };
}

function parseIdentity(path: string, text: string): ServerIdentity {
  const { filesystemId, serverId } = parseObject(text) ?? {};
  if (typeof filesystemId === 'string' && typeof serverId === 'number' && Number.isSafeInteger(serverId)) {
    return { filesystemId, serverId };
  }
  throw new GfsError('CORRUPT', `${path}/identity.json is damaged: restore it, or use an empty directory`);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch (error) {
    if (codeOf(error) === 'INTERNAL') return undefined;
    throw error;
  }
}
