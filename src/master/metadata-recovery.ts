import type { Disk, DiskLock } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import { GfsError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { MetadataState } from '../core/metadata/state.ts';
import { type Checkpoint, Checkpoints } from '../storage/checkpoints.ts';
import { makeDurableDirectory } from '../storage/directories.ts';
import type { MetaStoreFile, MetaStoreSource, OpenMetaStore } from '../storage/meta-store-files.ts';
import { Oplog } from '../storage/oplog.ts';
import { decodeCommand } from '../storage/oplog-codec.ts';
import { StoreMark, type StoreTrust } from './store-mark.ts';

export interface RecoveryOptions {
  readonly env: Env;
  readonly disk: Disk;
  readonly directory: string;
  readonly openStore: OpenMetaStore;
  readonly segmentBytes?: number | undefined;
  readonly fillBytes?: number | undefined;
}

/** The data directory, open and up to the last logged command. */
export interface Recovered {
  readonly state: MetadataState;
  readonly store: MetaStoreFile;
  readonly oplog: Oplog;
  readonly checkpoints: Checkpoints;
  readonly mark: StoreMark;
  /** 0: there is none. */
  readonly checkpointPosition: number;
  /** The machine lost its power while commands were written: a disk that lied about a sync may have lost some. */
  readonly mayLackEnd: boolean;
  /** Safe to call twice; last opened, first closed. */
  close(): Promise<void>;
}

/**
 * Brings back what the log acknowledged. The log is the truth; the store is believed where it can be, rebuilt from the newest
 * good checkpoint where it cannot, and brought up to date from the log. What does not fit together stops the start:
 * a master that forgets commands would hand out handles and ids twice.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const opened = new Opened();
  try {
    return await recoverInto(opened, options);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function recoverInto(opened: Opened, options: RecoveryOptions): Promise<Recovered> {
  const { env, disk, directory } = options;
  const log = env.log.of('metadata');
  await makeDurableDirectory(disk, directory);
  opened.add(await disk.lock(`${directory}/lock`));
  for (const name of ['oplog', 'checkpoints']) await disk.makeDirectory(`${directory}/${name}`);
  await disk.syncDirectory(directory);

  const { segmentBytes, fillBytes } = options;
  const oplog = await Oplog.open({
    disk,
    directory: `${directory}/oplog`,
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    ...(fillBytes === undefined ? {} : { fillBytes }),
  });
  opened.add(oplog);
  const checkpoints = new Checkpoints(disk, `${directory}/checkpoints`);
  const mark = new StoreMark(disk, directory);
  const trust = await mark.trust();
  if (oplog.filesystemId === undefined) await begin(oplog, { env, trust, checkpoints, directory });
  const found = await openStore(opened, { ...options, mark, trust, checkpoints, log });
  mustFit({ oplog, state: found.state, directory });
  await mark.open();
  await replay(oplog, found.state, log);
  const mayLackEnd = trust === 'doubtful';
  return { ...found, oplog, checkpoints, mark, mayLackEnd, close: () => opened.close() };
}

/** A new log only where there never was one: a directory that lost its log must not become a new, empty file system. */
async function begin(
  oplog: Oplog,
  {
    env,
    trust,
    checkpoints,
    directory,
  }: { env: Env; trust: StoreTrust; checkpoints: Checkpoints; directory: string },
): Promise<void> {
  const isNew = trust === 'none' && (await checkpoints.list()).length === 0;
  if (!isNew) {
    const file = `${directory}/oplog`;
    throw new GfsError('CORRUPT', `the operation log in ${file} is missing`, { fields: { file } });
  }
  await oplog.begin(env.uniqueId());
}

interface StoreOptions extends RecoveryOptions {
  readonly mark: StoreMark;
  readonly trust: StoreTrust;
  readonly checkpoints: Checkpoints;
  readonly log: Logger;
}
type OpenedStore = Pick<Recovered, 'store' | 'state' | 'checkpointPosition'>;

/** The store that the last process left, if it can be believed; else a new one, from a checkpoint if there is one. */
async function openStore(opened: Opened, options: StoreOptions): Promise<OpenedStore> {
  const { checkpoints, mark, trust, log } = options;
  const newest = (await checkpoints.list())[0]?.position ?? 0;
  if (trust === 'trustworthy') {
    const left = await openLeft(opened, options);
    // Older than a checkpoint is only a store that somebody deleted, or one that lives in memory.
    if (left !== undefined && left.state.position >= newest) return { ...left, checkpointPosition: newest };
    await left?.store.close();
  } else if (trust === 'doubtful') {
    log.warn({}, 'the machine ended before the metadata store was closed: it is rebuilt');
  }
  await mark.rebuilding();
  return await rebuildStore(opened, options);
}

async function openLeft(
  opened: Opened,
  { openStore: open, directory, log }: StoreOptions,
): Promise<Omit<OpenedStore, 'checkpointPosition'> | undefined> {
  try {
    const store = await open(storePath(directory), { kind: 'left' });
    opened.add(store);
    return { store, state: new MetadataState(store) };
  } catch (error) {
    log.error({ error: messageOf(error) }, 'the metadata store cannot be used: it is rebuilt');
    return undefined;
  }
}

async function rebuildStore(
  opened: Opened,
  { openStore: open, directory, checkpoints, log }: StoreOptions,
): Promise<OpenedStore> {
  const checkpoint = await newestWhole(checkpoints, log);
  const source: MetaStoreSource =
    checkpoint === undefined ? { kind: 'empty' } : { kind: 'checkpoint', path: checkpoint.path };
  const store = await open(storePath(directory), source);
  opened.add(store);
  const state = new MetadataState(store);
  log.info({ ...source, position: state.position }, 'the metadata store is made anew');
  return { store, state, checkpointPosition: checkpoint?.position ?? 0 };
}

/** Damaged ones are removed, or the log would be trimmed as if they could be used. */
async function newestWhole(checkpoints: Checkpoints, log: Logger): Promise<Checkpoint | undefined> {
  for (const checkpoint of await checkpoints.list()) {
    if (await checkpoints.isWhole(checkpoint)) return checkpoint;
    log.error({ path: checkpoint.path }, 'a checkpoint is damaged, and removed');
    await checkpoints.remove(checkpoint);
  }
  return undefined;
}

function storePath(directory: string): string {
  return `${directory}/store.mdb`;
}

/** The log has to go on where the store ends. */
function mustFit({
  oplog,
  state,
  directory,
}: {
  oplog: Oplog;
  state: MetadataState;
  directory: string;
}): void {
  const fields = { file: `${directory}/oplog` };
  if (state.position > oplog.lastPosition) {
    const message = `the operation log in ${fields.file} ends at ${oplog.lastPosition}, the metadata store has ${state.position}: commands that were acknowledged are missing from the log`;
    throw new GfsError('CORRUPT', message, { fields });
  }
  if (oplog.firstPosition > state.position + 1) {
    const message = `the operation log in ${fields.file} begins at ${oplog.firstPosition}, the metadata store and its checkpoints end at ${state.position}: what lies between is lost`;
    throw new GfsError('CORRUPT', message, { fields });
  }
  const id = state.filesystem?.id;
  if (id !== undefined && id !== oplog.filesystemId) {
    const message = `the operation log is that of file system ${oplog.filesystemId}, the metadata store that of ${id}`;
    throw new GfsError('WRONG_FILESYSTEM', message, { fields });
  }
}

async function replay(oplog: Oplog, state: MetadataState, log: Logger): Promise<void> {
  const from = state.position + 1;
  for await (const { firstPosition, records } of oplog.read(from)) {
    // A batch is applied in one transaction, but a checkpoint's store may have been made by other batches.
    const known = Math.max(0, state.position + 1 - firstPosition);
    state.apply(records.slice(known).map(decodeCommand), firstPosition + known);
  }
  if (state.position >= from)
    log.info({ from, to: state.position }, 'commands replayed from the operation log');
}

/** What has to be closed, last opened first. */
class Opened {
  readonly #resources: Pick<DiskLock, 'close'>[] = [];

  add(resource: Pick<DiskLock, 'close'>): void {
    this.#resources.push(resource);
  }

  async close(): Promise<void> {
    for (let resource = this.#resources.pop(); resource; resource = this.#resources.pop())
      await resource.close();
  }
}
