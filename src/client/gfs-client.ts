import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import { type InodeId, inodeId, type SessionId } from '../base/ids.ts';
import { TaskGroup } from '../base/task-group.ts';
import { MiB, SECOND_MS } from '../base/units.ts';
import { CAPABILITY } from '../core/metadata/xattrs.ts';
import { NO_RULES } from '../core/rules.ts';
import {
  type Attributes,
  type DirectoryEntry,
  type ListServersResponse,
  type LongCommandProgress,
  MasterDefinition,
  type ReportBadReplicaRequest,
  type StatFilesystemResponse,
  type StatusResponse,
} from '../rpc/messages.ts';
import { AccessTimes } from './access-times.ts';
import type {
  GfsClient as Api,
  AtomicMode,
  AttributeChanges,
  Call,
  ChangeListener,
  ClientOptions,
  CreatedFile,
  CreateMode,
  DirectoryPage,
  EntriesOptions,
  FileStatus,
  GfsFile,
  LinkOptions,
  ListOptions,
  NodeDescription,
  OpenedFile,
  OpenMode,
  Place,
  RemovedTree,
  RenameOptions,
  UnnamedMode,
  Waiting,
  WalkedEntry,
  WalkOptions,
  WalkStep,
  XattrOptions,
} from './api.ts';
import { Appender } from './appender.ts';
import { writeAtomically } from './atomic-write.ts';
import { BlockCache } from './block-cache.ts';
import { ChangeClock } from './change-clock.ts';
import { ChunkPusher } from './chunk-pusher.ts';
import { ChunkReader } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { clientFigures } from './client-figures.ts';
import { DataFinder } from './data-finder.ts';
import { Entries } from './entries.ts';
import { FileCopier } from './file-copier.ts';
import { FileOpener } from './file-opener.ts';
import { FileStates } from './file-states.ts';
import { FileWork } from './file-work.ts';
import { KnownEntries } from './known-entries.ts';
import type { XattrsListener } from './known-xattrs.ts';
import { Locations } from './locations.ts';
import { MasterLink } from './master-link.ts';
import { Namespace } from './namespace.ts';
import { NewsChannel } from './news-channel.ts';
import { Patience } from './patience.ts';
import { RangeSharer } from './range-sharer.ts';
import { RangeZeroer } from './range-zeroer.ts';
import { ReadaheadBudget } from './read-stream.ts';
import { RecentChanges } from './recent-changes.ts';
import { nameOf } from './requests.ts';
import { resolve } from './resolve.ts';
import { ServerPool } from './server-pool.ts';
import { Session } from './session.ts';
import { entriesOf, walk } from './walk.ts';
import { WriteBehindShare } from './write-behind.ts';
import { Writers } from './writers.ts';
import { Xattrs } from './xattrs.ts';

const methods = MasterDefinition.methods;
const IO_TIMEOUT_MS_DEFAULT = 60 * SECOND_MS;
const CACHE_BYTES_DEFAULT = 256 * MiB;
const WRITE_BEHIND_BYTES_DEFAULT = 64 * MiB;
const READAHEAD_BYTES_DEFAULT = 16 * MiB;
/** Of all readers together, beside what one may have. */
const READERS_AHEAD = 4;

export type GfsClient = Api;
export const GfsClient = {
  /** Opens a session at the master; how long that is tried says `waiting`. */
  async connect(options: ClientOptions, waiting?: Waiting): Promise<GfsClient> {
    const { env, network, masters, host, program, kernelWalksPaths = false } = options;
    const link = new MasterLink(env, network, masters);
    try {
      const patience = new Patience(env, waiting, options.ioTimeoutMs ?? IO_TIMEOUT_MS_DEFAULT);
      const session = await Session.open({ env, link, host, program, kernelWalksPaths }, patience);
      return new Client(options, link, session);
    } catch (error) {
      await link.close();
      throw error;
    }
  },
};

class Client implements Api {
  readonly filesystemId: string;
  readonly rootInode: InodeId;
  readonly chunkSizeBytes: number;
  readonly changes = new RecentChanges();
  readonly kernelWalksPaths: boolean;
  readonly #options: ClientOptions;
  readonly #link: MasterLink;
  readonly #session: Session;
  readonly #pool: ServerPool;
  readonly #locations: Locations;
  readonly #states: FileStates;
  readonly #names: Namespace;
  readonly #xattrs: Xattrs;
  readonly #work: FileWork;
  readonly #share: WriteBehindShare;
  readonly #tasks: TaskGroup;
  readonly #opener: FileOpener;
  readonly #entries: Entries;
  readonly #known: KnownEntries;
  readonly #accessTimes: AccessTimes;
  readonly #channel: NewsChannel;
  readonly #listeners: ChangeListener[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: ClientOptions, link: MasterLink, session: Session) {
    const { env, network, host } = options;
    const { filesystemId, rootInode, chunkSizeBytes } = session.filesystem;
    this.filesystemId = filesystemId;
    this.rootInode = inodeId(rootInode);
    this.chunkSizeBytes = chunkSizeBytes;
    this.kernelWalksPaths = options.kernelWalksPaths ?? false;
    this.#options = options;
    this.#link = link;
    this.#session = session;
    this.#tasks = new TaskGroup((error) =>
      env.log.of('files').warn({ error }, 'work in the background failed'),
    );
    this.#pool = new ServerPool(env, network);
    this.#locations = new Locations(env, session);
    const cache = new BlockCache(options.cacheBytes ?? CACHE_BYTES_DEFAULT);
    this.#accessTimes = new AccessTimes({
      ...{ env, session, tasks: this.#tasks },
      onSet: (inode, move) => this.#known.accessTimeSet(inode, move),
      onPassedOver: (inode) => this.#known.accessTimeChanged(inode),
    });
    const accessTimes = this.#accessTimes;
    const forgetLocations = (inode: InodeId) => this.#locations.forgetAll(inode);
    this.#states = new FileStates({ env, clock: new ChangeClock(), cache, accessTimes, forgetLocations });
    const locations = this.#locations;
    const pool = this.#pool;
    const writer = new ChunkWriter({ env, pool, locations, session, host });
    this.#entries = new Entries({ session, states: this.#states, writer, changes: this.changes });
    this.#known = new KnownEntries({
      ...{ env, accessTimes },
      changes: this.changes,
      states: this.#states,
      heardMs: () => link.heardMs,
      remembers: this.kernelWalksPaths,
      onOld: (inode) => (inode === undefined ? session.kept.releaseAll() : session.kept.release(inode)),
    });
    const answers = {
      ...{ session, states: this.#states, entries: this.#entries, known: this.#known },
      patience: (waiting: Waiting | undefined) => this.#patience(waiting),
    };
    this.#names = new Namespace(answers);
    this.#xattrs = new Xattrs(answers);
    this.#share = new WriteBehindShare(
      env,
      this.#tasks,
      options.writeBehindBytes ?? WRITE_BEHIND_BYTES_DEFAULT,
    );
    options.metrics?.add(clientFigures({ session, cache, budget: this.#share.budget }));
    const listener = this.#newListener();
    const readaheadBytesMax = options.readaheadBytes ?? READAHEAD_BYTES_DEFAULT;
    const finder = new DataFinder(env, pool, locations, host);
    const zeroer = new RangeZeroer({ env, locations, writer, finder, chunkSizeBytes });
    const reader = new ChunkReader({
      ...{ env, pool, locations, host },
      onBadReplica: (bad) => this.#tasks.run(() => this.reportBadReplica(bad)),
    });
    this.#work = new FileWork({
      env,
      ioTimeoutMs: this.#ioTimeoutMs,
      readaheadBytesMax,
      chunkSizeBytes,
      session,
      locations,
      states: this.#states,
      entries: this.#entries,
      known: this.#known,
      finder,
      reader,
      copier: new FileCopier({
        ...{ env, pool, locations, host, reader, writer, zeroer, finder, chunkSizeBytes },
        sharer: new RangeSharer(session, locations, this.#known),
        pusher: new ChunkPusher({ env, pool, host }, () => writer.newId()),
        unitBytes: Math.min(MUTATION_BYTES_MAX, chunkSizeBytes),
      }),
      writer,
      zeroer,
      appender: new Appender(env, locations, writer, options.withoutRules ?? NO_RULES),
      withoutRules: options.withoutRules ?? NO_RULES,
      writers: new Writers(session),
      cache,
      readahead: new ReadaheadBudget(readaheadBytesMax * READERS_AHEAD),
      share: this.#share,
      link,
      onChanged: (inode) => {
        this.changes.note(inode);
        listener.inodeChanged(inode);
      },
    });
    const { changes } = this;
    this.#opener = new FileOpener({
      ...{ env, tasks: this.#tasks },
      session,
      states: this.#states,
      locations,
      known: this.#known,
      work: this.#work,
      changes,
      patience: (waiting) => this.#patience(waiting),
    });
    this.#channel = new NewsChannel({
      ...{ env, link, session, changes, tasks: this.#tasks, listener },
      onAccessTime: (inode) => this.#known.accessTimeChanged(inode),
      staysInTouch: options.staysInTouch ?? false,
    });
    this.#tasks.run(() => this.#channel.run());
  }

  get session(): SessionId {
    return this.#session.id;
  }

  get missing(): string | undefined {
    return this.#session.missing;
  }

  onChange(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  known(inode: InodeId): Attributes | undefined {
    return this.#known.attributes(inode);
  }

  get knownForMs(): number {
    return this.#known.forMs;
  }

  knownName(place: Place): InodeId | undefined {
    return this.#known.name(place);
  }

  lookup(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    return this.#names.lookup(parent, name, call);
  }

  attributes(inode: InodeId, call: Call): Promise<Attributes> {
    return this.#names.attributes(inode, call);
  }

  readSymlink(inode: InodeId, call: Call): Promise<Buffer> {
    return this.#names.readSymlink(inode, call);
  }

  list(directory: InodeId, options: ListOptions, call: Call): Promise<DirectoryPage> {
    return this.#names.list(directory, options, call);
  }

  entries(directory: InodeId, options: EntriesOptions, call: Call): AsyncGenerator<DirectoryEntry> {
    return entriesOf(this, directory, options, call);
  }

  walk(root: WalkedEntry, options: WalkOptions, call: Call): AsyncGenerator<WalkStep> {
    return walk(this, root, options, call);
  }

  statFilesystem(waiting?: Waiting): Promise<StatFilesystemResponse> {
    return this.#names.statFilesystem(waiting);
  }

  makeNode(parent: InodeId, name: Uint8Array, node: NodeDescription, call: Call): Promise<Attributes> {
    return this.#names.makeNode(parent, name, node, call);
  }

  makeLink(inode: InodeId, place: Place, options: LinkOptions, call: Call): Promise<Attributes> {
    return this.#names.makeLink(inode, place, options, call);
  }

  unlink(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined> {
    return this.#names.unlink(parent, name, call);
  }

  removeDirectory(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined> {
    return this.#names.removeDirectory(parent, name, call);
  }

  removeTree(parent: InodeId, name: Uint8Array, call: Call): Promise<RemovedTree> {
    return this.#names.removeTree(parent, name, call);
  }

  longCommand(id: number, waiting?: Waiting): Promise<LongCommandProgress | undefined> {
    return this.#names.longCommand(id, waiting);
  }

  syncNames(waiting?: Waiting): Promise<void> {
    return this.#names.syncNames(waiting);
  }

  rename(from: Place, to: Place, options: RenameOptions, call: Call): Promise<Attributes | undefined> {
    return this.#names.rename(from, to, options, call);
  }

  getXattr(inode: InodeId, name: Uint8Array, call: Call): Promise<Buffer> {
    return this.#xattrs.get(inode, name, call);
  }

  onXattrsKnown(listener: XattrsListener): void {
    this.#known.onXattrsKnown(listener);
  }

  hasNoXattr(inode: InodeId, name: Uint8Array): boolean {
    return this.#xattrs.hasNo(inode, nameOf(name));
  }

  listXattrs(inode: InodeId, call: Call): Promise<readonly Buffer[]> {
    return this.#xattrs.list(inode, call);
  }

  async setXattr(
    inode: InodeId,
    name: Uint8Array,
    value: Uint8Array,
    options: XattrOptions,
    call: Call,
  ): Promise<Attributes> {
    if (CAPABILITY.equals(name)) {
      const access = { inode, caller: call.caller, openId: 0 };
      await this.#work.tellBeforeRights(this.#states.find(inode), access, this.#patience(call));
    }
    return await this.#xattrs.set(inode, name, value, options, call);
  }

  removeXattr(inode: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    return this.#xattrs.remove(inode, name, call);
  }

  resolve(path: Uint8Array, options: { followLast?: boolean }, call: Call): Promise<Attributes> {
    return resolve(this, path, options.followLast ?? true, call);
  }

  async setAttributes(inode: InodeId, changes: AttributeChanges, call: Call): Promise<Attributes> {
    const patience = this.#patience(call);
    if (changes.atime !== undefined) this.#accessTimes.set(inode);
    const state = this.#states.find(inode);
    const access = { inode, caller: call.caller, openId: 0 };
    if (state !== undefined && changes.length !== undefined) {
      return await this.#work.setLength(state, access, changes, false, patience);
    }
    const attributes = await this.#work.setAttributes(state, access, changes, false, patience);
    return state === undefined ? this.#accessTimes.observed(attributes) : attributes;
  }

  noteRead(inode: InodeId): boolean {
    return this.#accessTimes.read(inode, this.#states.find(inode)?.untold.mtime);
  }

  wouldMoveAccessTime(inode: InodeId): boolean {
    return this.#accessTimes.moved(inode, this.#states.find(inode)?.untold.mtime) !== undefined;
  }

  create(parent: InodeId, name: Uint8Array, mode: CreateMode, call: Call): Promise<CreatedFile> {
    return this.#opener.create(parent, name, mode, call);
  }

  createUnnamed(directory: InodeId, mode: UnnamedMode, call: Call): Promise<OpenedFile> {
    return this.#opener.createUnnamed(directory, mode, call);
  }

  open(inode: InodeId, mode: OpenMode, call: Call): Promise<OpenedFile> {
    return this.#opener.open(inode, mode, call);
  }

  writeAtomically(
    place: Place,
    how: AtomicMode,
    write: (file: GfsFile) => Promise<void>,
    call: Call,
  ): Promise<Attributes> {
    return writeAtomically({ client: this, env: this.#options.env }, place, how, write, call);
  }

  async status(waiting?: Waiting): Promise<StatusResponse> {
    return await this.#session.ask(methods.status, () => ({}), this.#patience(waiting));
  }

  async listServers(waiting?: Waiting): Promise<ListServersResponse> {
    return await this.#session.ask(methods.listServers, () => ({}), this.#patience(waiting));
  }

  async statFile(inode: InodeId, call: Call): Promise<FileStatus> {
    const attributes = await this.attributes(inode, call);
    const access = { inode, caller: call.caller, openId: 0 };
    return { attributes, extents: await this.#locations.all(access, this.#patience(call)) };
  }

  async reportBadReplica(report: ReportBadReplicaRequest, waiting?: Waiting): Promise<void> {
    await this.#session.ask(methods.reportBadReplica, () => report, this.#patience(waiting));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { log } = this.#options.env;
    this.#work.locks.close();
    for (const result of await this.#opener.closeAll()) {
      if (result.status === 'rejected') log.warn({ error: result.reason }, 'a file was not closed well');
    }
    this.#share.close();
    await this.#accessTimes.close();
    this.#channel.close();
    await this.#tasks.drain();
    await this.#session.close();
    await this.#pool.close();
    await this.#link.close();
  }

  /** First what is kept here, then what others keep. */
  #newListener(): ChangeListener {
    return {
      inodeChanged: (inode) => {
        this.#known.inodeChanged(inode);
        this.#states.find(inode)?.changedElsewhere();
        for (const listener of this.#listeners) listener.inodeChanged(inode);
      },
      nameChanged: (change) => {
        const meant = this.#known.meant(change);
        this.#known.nameChanged(change);
        for (const listener of this.#listeners) listener.nameChanged({ ...change, meant });
      },
      everythingChanged: () => {
        this.#known.everythingChanged();
        this.#states.allMayHaveChanged();
        for (const listener of this.#listeners) listener.everythingChanged();
      },
      passedOn: () => {
        const passing = this.#listeners.map((listener) => listener.passedOn?.()).filter((each) => each);
        return passing.length === 0 ? undefined : Promise.all(passing).then(() => undefined);
      },
    };
  }

  get #ioTimeoutMs(): number {
    return this.#options.ioTimeoutMs ?? IO_TIMEOUT_MS_DEFAULT;
  }

  #patience(waiting: Waiting | undefined): Patience {
    return new Patience(this.#options.env, waiting, this.#ioTimeoutMs);
  }
}
