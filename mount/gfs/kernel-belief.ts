import type { NotificationLane } from '../../native/index.ts';
import type { Env, Timer } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { keyedName, type NameKey, nameKey } from '../../src/base/name-key.ts';
import type { ChangeListener, GfsClient } from '../../src/client/api.ts';
import { type Attributes, FileType } from '../../src/rpc/messages.ts';
import {
  deletedEntry,
  dropPages,
  expireEntry,
  expireNode,
  type Notification,
} from '../wire/notifications.ts';
import type { Entry, TimedAttributes } from '../wire/replies.ts';
import { NO_TIME, nodeAttributes, type Timeouts } from './attributes.ts';
import { Doubts } from './doubts.ts';
import type { OpenFiles } from './open-files.ts';
import { SECOND_WORD_MS, SecondWords } from './second-words.ts';

/** Beyond it the kernel is told to ask again for what it was told first. */
const TOLD_COUNT_MAX = 256 * 1024;
/**
 * What is not believed any more is looked for once in so many answers: what a map has removed leaves places that have to be
 * passed each time.
 */
const ANSWERS_PER_SWEEP = 64;
/** A clock that is being set right runs by half a thousandth faster or slower. */
const CLOCKS_DIFFER_MAX = 1.001;
/**
 * What the kernel is told again within a tick keeps its place. (A map finds what was moved to its end behind all the places that it
 * had: a directory that names come to and go from took 5 µs each time.)
 */
const TOLD_TICK_MS = 100;
/** When the notifier's queue is full. */
const RETRY_DELAY_MS = 50;

/** The way to the kernel. */
export interface KernelNotifier {
  /** False: it has too many already. */
  notify(notification: Notification): boolean;
  /** Resolves when the kernel has all that was given so far in these lanes, or in all; undefined: it has. */
  notified(lanes?: readonly NotificationLane[]): Promise<void> | undefined;
  /** What it asks about this node is answered so, for so long at most, without asking us. */
  ready(reply: TimedAttributes, forMs: number): void;
  /** That is over, of this node or of all. */
  unready(node?: number): void;
  /** It has no ACLs and no capabilities: that is answered so, for so long at most, without asking us. */
  bare(node: number, forMs: number): void;
  /** That is over, of this node or of all. */
  unbare(node?: number): void;
}

export const NOBODY: KernelNotifier = {
  notify: () => true,
  notified: () => undefined,
  ready: () => undefined,
  unready: () => undefined,
  bare: () => undefined,
  unbare: () => undefined,
};

export interface KernelBeliefOptions {
  readonly env: Env;
  readonly client: GfsClient;
  readonly timeouts: Timeouts;
  readonly openFiles: OpenFiles;
}

type ChangedName = Parameters<ChangeListener['nameChanged']>[0];

/** When a question was asked, on the client's clock of changes: an answer is judged by it. */
export type Moment = number;

/**
 * How long the kernel may believe an answer, and what it has to be told when that is over sooner. An answer that was
 * overtaken by a change by others while it was on its way, or of a file that another machine may be writing, is good for one
 * look.
 *
 * The kernel drops pages by itself when a look shows another mtime or length. That is not enough for a file that is open here:
 * a look that a further word of the file has overtaken is ignored, and the answer to a change of attributes sets the times
 * and keeps the pages. So the pages of open files go with the news. (Those of others go when they are opened.)
 */
export class KernelBelief {
  readonly #env: Env;
  readonly #client: GfsClient;
  readonly #timeouts: Timeouts;
  readonly #openFiles: OpenFiles;
  readonly #secondWords: SecondWords<number | NameKey>;
  readonly #doubts: Doubts;
  #kernel = NOBODY;
  /** When the kernel was told of nodes, and of names, what it may believe still; the oldest first. */
  readonly #nodes = new Map<number, number>();
  readonly #names = new Map<NameKey, number>();
  #answerCount = 0;
  #retry: Timer | undefined;
  #onRetried: (() => void)[] = [];

  constructor({ env, client, timeouts, openFiles }: KernelBeliefOptions) {
    this.#env = env;
    this.#client = client;
    this.#timeouts = timeouts;
    this.#openFiles = openFiles;
    this.#doubts = new Doubts(env);
    this.#secondWords = new SecondWords(env, (key) => this.#sayAgain(key));
  }

  /** From now on the kernel hears of what others change. */
  attach(kernel: KernelNotifier): void {
    this.#kernel = kernel;
    this.#client.onChange({
      passedOn: () => this.#passedOn(),
      inodeChanged: (inode) => this.#inodeChanged(inode),
      nameChanged: (change) => this.#nameChanged(change),
      everythingChanged: () => this.#everythingChanged(),
    });
  }

  /** Before a question whose answer goes to the kernel. */
  asking(): Moment {
    return this.#client.changes.now();
  }

  /** The kernel looks at a node. */
  async look(node: number, answer: () => Promise<Attributes>): Promise<TimedAttributes> {
    using _ = this.#secondWords.hold(node);
    const asked = this.asking();
    const reply = this.attributes(await answer(), asked);
    const open = this.#openFiles.nodes.get(node);
    // Whoever looks is going to read.
    if (open?.hasHiddenNews) {
      open.hasHiddenNews = false;
      if (this.#pagesAreOld(node)) await this.#passedOn(['pages']);
      else this.#tellAll();
    }
    return reply;
  }

  /** `laterMs`: it may have the answer so much later. */
  attributes(answer: Attributes, asked: Moment, laterMs = 0): TimedAttributes {
    const attributes = this.#current(answer, asked);
    if (attributes === undefined) return { attributes: nodeAttributes(answer), attributeTimeoutMs: 0 };
    const { inode } = attributes;
    const attributeTimeoutMs = this.#answering(attributes) ? this.#timeouts.attributeTimeoutMs : 0;
    this.#told(this.#nodes, inode, attributeTimeoutMs, laterMs);
    return { attributes: nodeAttributes(attributes), attributeTimeoutMs };
  }

  /** Whether the kernel may keep the answer that it is about to get. */
  #answering(attributes: Attributes): boolean {
    const { inode } = attributes;
    this.#secondWords.asked(inode);
    // The length of a file is what a program goes by that did not ask for it: other answers are handed to who asked.
    if (attributes.type !== FileType.FILE_TYPE_REGULAR) this.#doubts.forget(inode);
    const { believe, pages } = this.#doubts.answering(attributes);
    const open = this.#openFiles.nodes.get(inode);
    if (open !== undefined) {
      open.isUnseen = false;
      open.hasHiddenNews ||= pages;
    }
    return believe;
  }

  /** What may be believed of an answer. When something has changed since it was asked for, the client may know what came of it. */
  #current(answer: Attributes, asked: Moment): Attributes | undefined {
    const inode = answer.inode as InodeId;
    return this.#client.changes.changedSince(inode, asked) ? this.#client.known(inode) : answer;
  }

  /**
   * The answer to a change of attributes. The kernel takes times from it and keeps its pages. Where these may be older, it is told
   * a time that the file does not have, and to look anew: then it finds another one, and drops them.
   */
  changed(attributes: Attributes, asked: Moment): TimedAttributes {
    const open = this.#openFiles.nodes.get(attributes.inode);
    const isUnseen = open !== undefined && (open.isUnseen || this.#client.changes.isBlind);
    if (!isUnseen) return this.attributes(attributes, asked);
    const { seconds, nanos } = attributes.mtime ?? NO_TIME;
    const mtime = { seconds, nanos: nanos ^ 1 };
    return { attributes: nodeAttributes({ ...attributes, mtime }), attributeTimeoutMs: 0 };
  }

  entry(attributes: Attributes, asked: Moment, parent: InodeId, name: Uint8Array): Entry {
    const { entryTimeoutMs } = this.#timeouts;
    const key = nameKey(parent, name);
    const isOvertaken = this.#client.changes.changedSince(key, asked);
    const old = isOvertaken && this.#client.knownName({ parent, name }) !== attributes.inode;
    if (!old) this.#told(this.#names, key, entryTimeoutMs);
    return { ...this.attributes(attributes, asked), entryTimeoutMs: old ? 0 : entryTimeoutMs };
  }

  /** The kernel moved a name by itself, with what it believes of it. */
  renamed(parent: InodeId, name: Uint8Array): void {
    this.#told(this.#names, nameKey(parent, name), this.#timeouts.entryTimeoutMs);
  }

  /** What the kernel asked for took set-id bits away, and it goes on believing in them: it asks anew only for lengths and times. */
  modeMayHaveChanged(inode: InodeId): void {
    if (!this.#forgetNode(inode)) this.#tellAll();
  }

  /**
   * Resolves when nothing that the kernel keeps of the node is older than what the client knows now. `changed`: it is older,
   * and its pages go, whatever their times say; those that programs wrote to are sent before.
   */
  async upToDate(node: number, changed: boolean): Promise<void> {
    if (changed && !this.#kernel.notify(dropPages(node))) {
      throw new GfsError('IO_ERROR', 'the kernel has too much to hear to be told that its pages are old');
    }
    await this.#passedOn(['nodes', 'pages']);
  }

  #told<K>(map: Map<K, number>, key: K, timeoutMs: number, laterMs = 0): void {
    if (timeoutMs === 0) return;
    const toldMs = Math.ceil((this.#env.monotonicMs() + laterMs) / TOLD_TICK_MS) * TOLD_TICK_MS;
    if (map.get(key) === toldMs) return;
    map.delete(key);
    map.set(key, toldMs);
    this.#answerCount += 1;
    if (this.#answerCount % ANSWERS_PER_SWEEP !== 0) return;
    const { attributeTimeoutMs, entryTimeoutMs } = this.#timeouts;
    this.#sweep(this.#names, entryTimeoutMs, expireName);
    this.#sweep(this.#nodes, attributeTimeoutMs, expireNode);
  }

  #sweep<K>(map: Map<K, number>, timeoutMs: number, expire: (key: K) => Notification): void {
    for (const [oldest, toldMs] of map) {
      const isBelieved = this.#isBelieved(toldMs, timeoutMs);
      if (isBelieved && (map.size <= TOLD_COUNT_MAX || !this.#kernel.notify(expire(oldest)))) return;
      map.delete(oldest);
    }
  }

  /** The kernel counts from when it gets to run, and on another clock. */
  #isBelieved(toldMs: number, timeoutMs: number): boolean {
    return this.#env.monotonicMs() < toldMs + timeoutMs * CLOCKS_DIFFER_MAX + SECOND_WORD_MS;
  }

  #inodeChanged(inode: InodeId): void {
    const isDoubted = this.#doubts.has(inode);
    this.#doubts.note(inode);
    if (isDoubted) {
      this.#unseen(inode);
      return;
    }
    const isBelieved = this.#mayBelieve(this.#nodes, inode, this.#timeouts.attributeTimeoutMs);
    const isForgotten = !isBelieved || this.#forgetNode(inode);
    const isTold = this.#pagesAreOld(inode);
    if (!isForgotten || !isTold) this.#tellAll();
  }

  #nameChanged({ parent, name, removed, meant }: ChangedName): void {
    const { entryTimeoutMs } = this.#timeouts;
    const gone = removed === 0 ? undefined : deletedEntry(parent, removed, name);
    const key = nameKey(parent, name);
    // That a directory is gone those have to be told who are in it, whatever the kernel believes of its name.
    const isFile = removed === 0 || meant?.type === FileType.FILE_TYPE_REGULAR;
    if (isFile && !this.#mayBelieve(this.#names, key, entryTimeoutMs)) return;
    if (!this.#forget(this.#names, key, expireName, gone)) this.#tellAll();
  }

  /** Its pages go with the next look, or a second later, if there is none: sendfile(2) does not look. */
  #unseen(node: number): void {
    const open = this.#openFiles.nodes.get(node);
    if (open === undefined) return;
    open.isUnseen = true;
    this.#secondWords.firstWord(node, this.#env.monotonicMs());
  }

  #everythingChanged(): void {
    for (const open of this.#openFiles.nodes.values()) {
      open.isUnseen = true;
      open.hasOldPages = true;
    }
    this.#tellAll();
  }

  /** All that the kernel believes is old. What the notifier does not take now stays noted, and is told a little later. */
  #tellAll(): void {
    const { attributeTimeoutMs, entryTimeoutMs } = this.#timeouts;
    const areNamesForgotten = this.#forgetAll(this.#names, entryTimeoutMs, expireName);
    const areNodesForgotten = this.#forgetAll(this.#nodes, attributeTimeoutMs, expireNode);
    const arePagesDropped = this.#dropOldPages();
    this.#retry?.cancel();
    this.#retry = undefined;
    if (!areNamesForgotten || !areNodesForgotten || !arePagesDropped) {
      this.#retry = this.#env.setTimer(RETRY_DELAY_MS, () => this.#tellAll());
      return;
    }
    for (const resolve of this.#onRetried.splice(0)) resolve();
  }

  #passedOn(lanes?: readonly NotificationLane[]): Promise<void> | undefined {
    return this.#retry === undefined ? this.#kernel.notified(lanes) : this.#retried();
  }

  async #retried(): Promise<void> {
    await new Promise<void>((resolve) => this.#onRetried.push(resolve));
    await this.#kernel.notified();
  }

  #forgetNode(node: number): boolean {
    return this.#forget(this.#nodes, node, expireNode);
  }

  #pagesAreOld(node: number): boolean {
    const open = this.#openFiles.nodes.get(node);
    if (open === undefined) return true;
    open.isUnseen = true;
    open.hasOldPages = !this.#kernel.notify(dropPages(node));
    return !open.hasOldPages;
  }

  #dropOldPages(): boolean {
    for (const [node, open] of this.#openFiles.nodes) {
      if (open.hasOldPages && !this.#pagesAreOld(node)) return false;
    }
    return true;
  }

  #forgetAll<K extends number | NameKey>(
    map: Map<K, number>,
    timeoutMs: number,
    expire: (key: K) => Notification,
  ): boolean {
    for (const [key, toldMs] of map) {
      if (!this.#isBelieved(toldMs, timeoutMs)) map.delete(key);
      else if (!this.#forget(map, key, expire)) return false;
    }
    return true;
  }

  #mayBelieve<K>(map: Map<K, number>, key: K, timeoutMs: number): boolean {
    const toldMs = map.get(key);
    return toldMs !== undefined && this.#isBelieved(toldMs, timeoutMs);
  }

  /** `now`: what to say instead, the first time. */
  #forget<K extends number | NameKey>(
    map: Map<K, number>,
    key: K,
    expire: (key: K) => Notification,
    now: Notification = expire(key),
  ): boolean {
    if (!this.#kernel.notify(now)) return false;
    const toldMs = map.get(key);
    map.delete(key);
    if (toldMs !== undefined) this.#secondWords.firstWord(key, toldMs);
    return true;
  }

  #sayAgain(key: number | NameKey): boolean {
    if (typeof key === 'string') return this.#kernel.notify(expireName(key));
    return this.#kernel.notify(expireNode(key)) && this.#pagesAreOld(key);
  }
}

function expireName(key: NameKey): Notification {
  const { parent, name } = keyedName(key);
  return expireEntry(parent, name);
}
