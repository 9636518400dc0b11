import { boundedCache } from '../base/bounded.ts';
import { NAME_BYTES_MAX } from '../base/constants.ts';
import type { Env } from '../base/env.ts';
import type { InodeId } from '../base/ids.ts';
import { keyedName, type NameKey, nameKey } from '../base/name-key.ts';
import { SECOND_MS } from '../base/units.ts';
import { compareTimes } from '../core/metadata/times.ts';
import { type Attributes, FileType } from '../rpc/messages.ts';
import type { AccessTimes, Move } from './access-times.ts';
import type { ChangeListener, Place } from './api.ts';
import type { FileStates } from './file-states.ts';
import { KnownXattrs, type XattrsListener } from './known-xattrs.ts';
import type { RecentChanges } from './recent-changes.ts';

/** With the names, less than the master remembers of one session. */
const INODE_COUNT_MAX = 30_000;
const NAME_COUNT_MAX = 30_000;
/** Directories of which every name is known, and how many names they may have. */
const WHOLE_COUNT_MAX = 256;
const WHOLE_NAME_COUNT_MAX = 16_384;
/**
 * A channel that was cut off without a word is noticed after some seconds; a master that was heard of late is not cut off.
 * So what is remembered is no older than what kernels believe by default.
 */
const HEARD_MS_MAX = 1 * SECOND_MS;

/** When a question was asked: on the clock of what was told, on that of what this client does to files, and on Env's. */
export interface Asked {
  readonly atMs: number;
  readonly moment: number;
  readonly tick: number;
}

export interface KnownEntriesOptions {
  readonly env: Env;
  readonly changes: RecentChanges;
  readonly states: FileStates;
  readonly accessTimes: Pick<AccessTimes, 'observed' | 'forget'>;
  /** When the master was last heard. */
  readonly heardMs: () => number;
  /** False: nothing is remembered. */
  readonly remembers: boolean;
  /** What was known of the inode is old now, as this client or somebody else changed it; undefined: of all of them. */
  readonly onOld: (inode: InodeId | undefined) => void;
}

interface KnownInode extends Asked {
  readonly attributes: Attributes;
  /** Where it was found last. */
  readonly key: NameKey | undefined;
}

export interface RemovedName {
  /** What had the name. It may be known here by another name or by its number, and not by this one. */
  readonly inode: InodeId;
  /** As it is now. */
  readonly directory: Attributes | undefined;
}

export interface RenamedNames {
  /** Whether something has the old name now. */
  readonly keepsName: boolean;
  /** What had the names. */
  readonly inodes: readonly InodeId[];
  /** As they are now. */
  readonly directories: readonly (Attributes | undefined)[];
}

/**
 * What names mean and what inodes are like, as the master answered or as this client's own commands left them, for as long
 * as the master tells of changes. Of a directory that this client made it is known which names it does not have.
 *
 * Who asks is not asked: it is for clients whose kernel walks the paths and checks each directory.
 */
export class KnownEntries implements ChangeListener {
  readonly #options: KnownEntriesOptions;
  readonly #inodes = boundedCache<InodeId, KnownInode>(INODE_COUNT_MAX);
  readonly #names = boundedCache<NameKey, { inode: InodeId; moment: number }>(NAME_COUNT_MAX);
  readonly #xattrs = new KnownXattrs();
  /** All names that these directories have. */
  readonly #whole = boundedCache<InodeId, Set<NameKey>>(WHOLE_COUNT_MAX);

  constructor(options: KnownEntriesOptions) {
    this.#options = options;
  }

  /** False: what is learnt is not kept. */
  get remembers(): boolean {
    return this.#options.remembers;
  }

  /** What others change is told now. */
  get isTold(): boolean {
    return this.#heard && !this.#options.changes.isBlind;
  }

  /** For how long what is known may be believed if the master is not heard again, and nothing is noted. */
  get forMs(): number {
    const { env, heardMs } = this.#options;
    return Math.max(0, heardMs() + HEARD_MS_MAX - env.monotonicMs());
  }

  asking(): Asked {
    const { env, changes, states } = this.#options;
    return { moment: changes.now(), tick: states.now, atMs: env.monotonicMs() };
  }

  attributes(inode: InodeId): Attributes | undefined {
    const known = this.answered(inode);
    return known && this.#options.states.observe(known.attributes, known.tick);
  }

  /** As the master answered, without what this client did since; and when it was asked. */
  answered(inode: InodeId): KnownInode | undefined {
    const { changes, states } = this.#options;
    const known = this.#inodes.get(inode);
    if (known === undefined || !this.#heard || changes.changedSince(inode, known.moment)) return undefined;
    return states.mayBeCut(known.attributes) ? undefined : known;
  }

  lookup({ parent, name }: Place): Attributes | 'absent' | undefined {
    if (!this.#heard) return undefined;
    const key = nameKey(parent, name);
    const inode = this.#inodeOf(key);
    if (inode !== undefined) return this.attributes(inode);
    const names = this.#whole.get(parent);
    if (names === undefined || names.has(key) || isDots(name)) return undefined;
    // One that no entry can have is refused as that, by the master.
    return name.length > NAME_BYTES_MAX ? undefined : 'absent';
  }

  name({ parent, name }: Place): InodeId | undefined {
    return this.#heard ? this.#inodeOf(nameKey(parent, name)) : undefined;
  }

  /** What this client last knew of what the name meant, however old that is by now. */
  meant({ parent, name }: Place): Attributes | undefined {
    const known = this.#names.get(nameKey(parent, name));
    return known && this.#inodes.get(known.inode)?.attributes;
  }

  /** An answer to a question; worth nothing when something was told of the inode meanwhile. */
  learn(attributes: Attributes, asked: Asked, key?: NameKey): void {
    if (!this.#options.remembers || this.#changedSince(attributes, asked)) return;
    const inode = attributes.inode as InodeId;
    const { moment, tick, atMs } = asked;
    this.#inodes.set(inode, { attributes, moment, tick, atMs, key: key ?? this.#inodes.get(inode)?.key });
    this.#xattrs.learn(attributes);
  }

  /** As `learn`, of a file that others may be writing: that gives it no extended attributes. */
  learnXattrs(attributes: Attributes, asked: Asked): void {
    if (this.#options.remembers && !this.#changedSince(attributes, asked)) this.#xattrs.learn(attributes);
  }

  xattr(inode: InodeId, name: Buffer): Buffer | 'absent' | undefined {
    return this.isTold ? this.#xattrs.get(inode, name) : undefined;
  }

  hasNoXattrs(inode: InodeId): boolean {
    return this.isTold && this.#xattrs.hasNone(inode);
  }

  /** An extended attribute that everybody may see; undefined: there is none. */
  xattrAnswer(
    inode: InodeId,
    name: Buffer,
    ask: () => Promise<Buffer | undefined>,
  ): Promise<Buffer | undefined> {
    return this.#options.remembers && !this.#options.changes.isBlind
      ? this.#xattrs.answer(inode, name, ask)
      : ask();
  }

  onXattrsKnown(listener: XattrsListener): void {
    this.#xattrs.onKnown(listener);
  }

  /** A command of this client may have changed extended attributes. */
  xattrsChanged(inode: InodeId): void {
    this.#xattrs.changed(inode);
  }

  learnName({ parent, name }: Place, attributes: Attributes, asked: Asked): void {
    const key = isDots(name) ? undefined : nameKey(parent, name);
    this.learn(attributes, asked, key);
    if (this.#options.remembers && key !== undefined) this.#learnKey(key, attributes, asked);
  }

  /** Where the inode was found last, whether it is there still or not. */
  placeOf(inode: InodeId): Place | undefined {
    const key = this.#inodes.get(inode)?.key;
    return key && keyedName(key);
  }

  /** A command of this client changed the inode, and was answered so. */
  changed(attributes: Attributes, asked: Asked, key?: NameKey): void {
    const overtaken = this.#changedSince(attributes, asked);
    this.unknown(attributes.inode as InodeId);
    this.#options.accessTimes.observed(attributes);
    if (!overtaken) this.learn(attributes, this.asking(), key);
  }

  /** A command of this client may have changed it, and its answer does not say what it is like now. */
  unknown(inode: InodeId): void {
    this.#options.changes.note(inode);
    this.#options.onOld(inode);
    this.#xattrs.mayHaveChanged(inode);
  }

  /** The master has set a time of access, as this client told it. */
  accessTimeSet(inode: InodeId, { knownAtime, atime }: Move): void {
    const { changes } = this.#options;
    const known = this.#inodes.get(inode);
    const wasGood = known !== undefined && !changes.changedSince(inode, known.moment);
    changes.note(inode);
    const before = known?.attributes.atime;
    if (!wasGood || before === undefined || compareTimes(before, knownAtime) !== 0) return;
    this.#inodes.set(inode, { ...known, attributes: { ...known.attributes, atime }, moment: changes.now() });
  }

  /** A command of this client made the inode, under this name. `directory`: its parent as it is now. */
  added(place: Place, made: Attributes, directory: Attributes | undefined, asked: Asked): void {
    const { remembers } = this.#options;
    if (remembers && made.type === FileType.FILE_TYPE_DIRECTORY && !this.#changedSince(made, asked)) {
      // It is empty, and of names that others add we are told before we know it to be other than it is.
      this.#whole.set(made.inode as InodeId, new Set());
    }
    this.named(place, made, directory, asked);
  }

  /** A command of this client gave the inode this name, or found it there. */
  named(place: Place, attributes: Attributes, directory: Attributes | undefined, asked: Asked): void {
    const { parent, name } = place;
    const { changes, remembers } = this.#options;
    const key = nameKey(parent, name);
    const overtaken = changes.changedSince(key, asked.moment);
    changes.note(key);
    this.#addTo(parent, key);
    this.changed(attributes, asked, key);
    if (!overtaken && remembers) this.#learnKey(key, attributes, this.asking());
    this.#directoryIs(parent, directory, asked);
  }

  /** A command of this client removed the name. */
  removed({ parent, name }: Place, { inode, directory }: RemovedName, asked: Asked): void {
    const key = nameKey(parent, name);
    this.#forgetName(key);
    this.unknown(inode);
    this.#whole.get(parent)?.delete(key);
    this.#directoryIs(parent, directory, asked);
  }

  /** A command of this client moved a name, or had two change places. */
  renamed(from: Place, to: Place, { keepsName, inodes, directories }: RenamedNames, asked: Asked): void {
    const fromKey = nameKey(from.parent, from.name);
    const toKey = nameKey(to.parent, to.name);
    this.#forgetName(fromKey);
    this.#forgetName(toKey);
    for (const inode of inodes) this.unknown(inode);
    if (!keepsName) this.#whole.get(from.parent)?.delete(fromKey);
    this.#addTo(to.parent, toKey);
    this.#directoryIs(from.parent, directories[0], asked);
    if (to.parent !== from.parent) this.#directoryIs(to.parent, directories[1], asked);
  }

  /** A command of this client on names; when it fails, it may have been carried out, or what was known was wrong. */
  async attempt<T>(command: Promise<T>, ...places: readonly Place[]): Promise<T> {
    try {
      return await command;
    } catch (error) {
      for (const { parent, name } of places) {
        this.#forgetName(nameKey(parent, name));
        this.#whole.delete(parent);
        this.unknown(parent);
      }
      throw error;
    }
  }

  // --- what others change ---

  inodeChanged(inode: InodeId): void {
    this.#inodes.delete(inode);
    this.#options.onOld(inode);
    this.#xattrs.changed(inode);
    this.#whole.delete(inode);
  }

  accessTimeChanged(inode: InodeId): void {
    this.#inodes.delete(inode);
    this.#options.accessTimes.forget(inode);
  }

  nameChanged({ parent, name }: Place): void {
    const key = nameKey(parent, name);
    const known = this.#names.get(key);
    // It may have been its last name, and somebody may want the room.
    if (known !== undefined) this.#options.onOld(known.inode);
    this.#names.delete(key);
    this.#whole.delete(parent);
  }

  everythingChanged(): void {
    this.#inodes.clear();
    this.#options.onOld(undefined);
    this.#xattrs.everythingChanged();
    this.#names.clear();
    this.#whole.clear();
  }

  get #heard(): boolean {
    return this.#options.env.monotonicMs() - this.#options.heardMs() <= HEARD_MS_MAX;
  }

  #inodeOf(key: NameKey): InodeId | undefined {
    const known = this.#names.get(key);
    if (known === undefined || this.#options.changes.changedSince(key, known.moment)) return undefined;
    return known.inode;
  }

  #changedSince({ inode }: Attributes, { moment }: Asked): boolean {
    return this.#options.changes.changedSince(inode as InodeId, moment);
  }

  #learnKey(key: NameKey, attributes: Attributes, asked: Asked): void {
    if (this.#options.changes.changedSince(key, asked.moment)) return;
    this.#names.set(key, { inode: attributes.inode as InodeId, moment: asked.moment });
  }

  #addTo(directory: InodeId, key: NameKey): void {
    const names = this.#whole.get(directory);
    if (names === undefined) return;
    names.add(key);
    if (names.size > WHOLE_NAME_COUNT_MAX) this.#whole.delete(directory);
  }

  /** And with the name what is known of its inode: it has a link less, or at least another ctime. */
  #forgetName(key: NameKey): void {
    const known = this.#names.get(key);
    if (known !== undefined) {
      this.unknown(known.inode);
      this.#names.delete(key);
    }
    this.#options.changes.note(key);
  }

  #directoryIs(parent: InodeId, directory: Attributes | undefined, asked: Asked): void {
    if (directory?.type === FileType.FILE_TYPE_DIRECTORY) this.changed(directory, asked);
    else this.unknown(parent);
  }
}

function isDots(name: Uint8Array): boolean {
  return name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
}
