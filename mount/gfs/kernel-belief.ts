import type { Env, Timer } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { keyedName, type NameKey, nameKey } from '../../src/base/name-key.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type { GfsClient } from '../../src/client/api.ts';
import type { Attributes } from '../../src/rpc/messages.ts';
import {
  deletedEntry,
  dropPages,
  expireEntry,
  expireNode,
  type Notification,
} from '../wire/notifications.ts';
import type { Entry, TimedAttributes } from '../wire/replies.ts';
import { nodeAttributes, type Timeouts } from './attributes.ts';

/** Beyond it the kernel is told to ask again for what it was told first. */
const TOLD_COUNT_MAX = 256 * 1024;
/**
 * What is not believed any more is looked for once in so many answers: what a map has removed leaves places that have to be
 * passed each time.
 */
const ANSWERS_PER_SWEEP = 64;
/** When the notifier's queue is full. */
const RETRY_DELAY_MS = 50;

/**
 * Whoever waits for an answer writes it into the kernel's caches, when he gets to run: an answer that we gave shortly before
 * the news may come to lie over what the news took away. So what was told so lately is told to be old once more after this.
 */
const SECOND_WORD_MS = 1 * SECOND_MS;

/** The way to the kernel. */
export interface KernelNotifier {
  /** False: it has too many already. */
  notify(notification: Notification): boolean;
  /** Resolves when the kernel has all that was given so far; undefined: it has. */
  notified(): Promise<void> | undefined;
}

const NOBODY: KernelNotifier = { notify: () => true, notified: () => undefined };

/** When a question was asked, on the client's clock of changes: an answer is judged by it. */
export type Moment = number;

/**
 * How long the kernel may believe an answer, and what it has to be told when that is over sooner. An answer that was
 * overtaken by a change while it was on its way, or of a file that another machine may be writing, is good for one look.
 */
export class KernelBelief {
  readonly #env: Env;
  readonly #client: GfsClient;
  readonly #timeouts: Timeouts;
  #kernel = NOBODY;
  /** Until when the kernel believes what it was told of nodes, and of names; the oldest first. */
  readonly #nodes = new Map<number, number>();
  readonly #names = new Map<NameKey, number>();
  #answerCount = 0;
  #retry: Timer | undefined;
  #onRetried: (() => void)[] = [];
  /** What is told a second time, when the timer fires. */
  #secondWords: Notification[] = [];

  constructor(env: Env, client: GfsClient, timeouts: Timeouts) {
    this.#env = env;
    this.#client = client;
    this.#timeouts = timeouts;
  }

  /** From now on the kernel hears of what others change. */
  attach(kernel: KernelNotifier): void {
    this.#kernel = kernel;
    this.#client.onChange({
      passedOn: () => this.#passedOn(),
      inodeChanged: (inode) => this.#inodeChanged(inode),
      nameChanged: ({ parent, name, removed }) => this.#nameChanged(parent, name, removed),
      everythingChanged: () => this.#everythingChanged(),
    });
  }

  /** Before a question whose answer goes to the kernel. */
  asking(): Moment {
    return this.#client.changes.now();
  }

  attributes(attributes: Attributes, asked: Moment): TimedAttributes {
    const { inode } = attributes;
    const { attributeTimeoutMs } = this.#timeouts;
    const old = this.#client.changes.changedSince(inode, asked);
    if (!old) this.#told(this.#nodes, inode, attributeTimeoutMs);
    return { attributes: nodeAttributes(attributes), attributeTimeoutMs: old ? 0 : attributeTimeoutMs };
  }

  entry(attributes: Attributes, asked: Moment, parent: InodeId, name: Uint8Array): Entry {
    const { entryTimeoutMs } = this.#timeouts;
    const key = nameKey(parent, name);
    const old = this.#client.changes.changedSince(key, asked);
    if (!old) this.#told(this.#names, key, entryTimeoutMs);
    return { ...this.attributes(attributes, asked), entryTimeoutMs: old ? 0 : entryTimeoutMs };
  }

  /** The kernel moved a name by itself, with what it believes of it. */
  renamed(parent: InodeId, name: Uint8Array): void {
    this.#told(this.#names, nameKey(parent, name), this.#timeouts.entryTimeoutMs);
  }

  /** What the kernel asked for took set-id bits away, and it goes on believing in them: it asks anew only for lengths and times. */
  modeMayHaveChanged(inode: InodeId): void {
    this.#inodeChanged(inode);
  }

  /**
   * Resolves when nothing that the kernel keeps of the node is older than what the client knows now. `changed`: it is older,
   * and its pages go, whatever their times say; those that programs wrote to are sent before.
   */
  async upToDate(node: number, changed: boolean): Promise<void> {
    if (changed && !this.#kernel.notify(dropPages(node))) {
      throw new GfsError('IO_ERROR', 'the kernel has too much to hear to be told that its pages are old');
    }
    await this.#passedOn();
  }

  #told<K>(map: Map<K, number>, key: K, timeoutMs: number): void {
    if (timeoutMs === 0) return;
    const nowMs = this.#env.monotonicMs();
    map.delete(key);
    map.set(key, nowMs + timeoutMs);
    this.#answerCount += 1;
    if (this.#answerCount % ANSWERS_PER_SWEEP !== 0) return;
    this.#sweep(this.#names, nowMs, expireName);
    this.#sweep(this.#nodes, nowMs, expireNode);
  }

  #sweep<K>(map: Map<K, number>, nowMs: number, expire: (key: K) => Notification): void {
    for (const [oldest, untilMs] of map) {
      if (untilMs > nowMs && (map.size <= TOLD_COUNT_MAX || !this.#kernel.notify(expire(oldest)))) return;
      map.delete(oldest);
    }
  }

  #inodeChanged(inode: InodeId): void {
    const { attributeTimeoutMs } = this.#timeouts;
    if (!this.#forget(this.#nodes, inode, attributeTimeoutMs, expireNode)) this.#everythingChanged();
  }

  #nameChanged(parent: InodeId, name: Uint8Array, removed: InodeId | 0): void {
    const { entryTimeoutMs } = this.#timeouts;
    const gone = removed === 0 ? undefined : deletedEntry(parent, removed, name);
    const key = nameKey(parent, name);
    if (!this.#forget(this.#names, key, entryTimeoutMs, expireName, gone)) this.#everythingChanged();
  }

  /** What the notifier does not take now stays noted, and is told a little later. */
  #everythingChanged(): void {
    const { attributeTimeoutMs, entryTimeoutMs } = this.#timeouts;
    const areNamesForgotten = this.#forgetAll(this.#names, entryTimeoutMs, expireName);
    const areNodesForgotten = this.#forgetAll(this.#nodes, attributeTimeoutMs, expireNode);
    this.#retry?.cancel();
    this.#retry = undefined;
    if (!areNamesForgotten || !areNodesForgotten) {
      this.#retry = this.#env.setTimer(RETRY_DELAY_MS, () => this.#everythingChanged());
      return;
    }
    for (const resolve of this.#onRetried.splice(0)) resolve();
  }

  #passedOn(): Promise<void> | undefined {
    return this.#retry === undefined ? this.#kernel.notified() : this.#retried();
  }

  async #retried(): Promise<void> {
    await new Promise<void>((resolve) => this.#onRetried.push(resolve));
    await this.#kernel.notified();
  }

  #forgetAll<K>(map: Map<K, number>, timeoutMs: number, expire: (key: K) => Notification): boolean {
    const nowMs = this.#env.monotonicMs();
    for (const [key, untilMs] of map) {
      if (untilMs <= nowMs) map.delete(key);
      else if (!this.#forget(map, key, timeoutMs, expire)) return false;
    }
    return true;
  }

  /** `now`: what to say instead, the first time. */
  #forget<K>(
    map: Map<K, number>,
    key: K,
    timeoutMs: number,
    expire: (key: K) => Notification,
    now: Notification = expire(key),
  ): boolean {
    if (!this.#kernel.notify(now)) return false;
    const untilMs = map.get(key);
    map.delete(key);
    const isLate = untilMs !== undefined && untilMs - timeoutMs + SECOND_WORD_MS > this.#env.monotonicMs();
    if (isLate) this.#sayAgain(expire(key));
    return true;
  }

  #sayAgain(notification: Notification): void {
    this.#secondWords.push(notification);
    if (this.#secondWords.length === 1) this.#env.setTimer(SECOND_WORD_MS, () => this.#secondWord());
  }

  #secondWord(): void {
    const refused = this.#secondWords.findIndex((notification) => !this.#kernel.notify(notification));
    if (refused < 0) {
      this.#secondWords = [];
      return;
    }
    this.#secondWords.splice(0, refused);
    this.#env.setTimer(RETRY_DELAY_MS, () => this.#secondWord());
  }
}

function expireName(key: NameKey): Notification {
  const { parent, name } = keyedName(key);
  return expireEntry(parent, name);
}
