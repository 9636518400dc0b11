import type { Env, Timer } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { keyedName, type NameKey, nameKey } from '../../src/base/name-key.ts';
import type { GfsClient } from '../../src/client/api.ts';
import type { Attributes } from '../../src/rpc/messages.ts';
import { deletedEntry, dropPages, expireEntry, expireNode } from '../wire/notifications.ts';
import type { Entry, TimedAttributes } from '../wire/replies.ts';
import { nodeAttributes, type Timeouts } from './attributes.ts';

/** Beyond it the kernel is told to ask again for what it was told first. */
const TOLD_COUNT_MAX = 256 * 1024;
/** When the notifier's queue is full. */
const RETRY_DELAY_MS = 50;

/** Hands a message of `wire/notifications.ts` to the kernel's notifier; false: it has too many already. */
export type Notify = (message: Uint8Array) => boolean;

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
  #notify: Notify = () => true;
  #notified: () => Promise<boolean> = async () => true;
  /** Until when the kernel believes what it was told of nodes, and of names; the oldest first. */
  readonly #nodes = new Map<number, number>();
  readonly #names = new Map<NameKey, number>();
  #retry: Timer | undefined;

  constructor(env: Env, client: GfsClient, timeouts: Timeouts) {
    this.#env = env;
    this.#client = client;
    this.#timeouts = timeouts;
  }

  /** From now on the kernel hears of what others change. */
  attach(notify: Notify, notified: () => Promise<boolean>): void {
    this.#notify = notify;
    this.#notified = notified;
    this.#client.onChange({
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
    if (!old) this.#told(this.#nodes, inode, attributeTimeoutMs, expireNode);
    return { attributes: nodeAttributes(attributes), attributeTimeoutMs: old ? 0 : attributeTimeoutMs };
  }

  entry(attributes: Attributes, asked: Moment, parent: InodeId, name: Uint8Array): Entry {
    const { entryTimeoutMs } = this.#timeouts;
    const key = nameKey(parent, name);
    const old = this.#client.changes.changedSince(key, asked);
    if (!old) this.#told(this.#names, key, entryTimeoutMs, expireName);
    return { ...this.attributes(attributes, asked), entryTimeoutMs: old ? 0 : entryTimeoutMs };
  }

  /** The kernel moved a name by itself, with what it believes of it. */
  renamed(parent: InodeId, name: Uint8Array): void {
    this.#told(this.#names, nameKey(parent, name), this.#timeouts.entryTimeoutMs, expireName);
  }

  /**
   * Resolves when nothing that the kernel keeps of the node is older than what the client knows now. `changed`: it is older,
   * and its pages go, whatever their times say.
   */
  async upToDate(node: number, changed: boolean): Promise<void> {
    const isTaken = !changed || this.#notify(dropPages(node));
    if (isTaken && (await this.#notified())) return;
    throw new GfsError('IO_ERROR', 'the kernel has too much to hear to be told that its pages are old');
  }

  #told<K>(map: Map<K, number>, key: K, timeoutMs: number, expire: (key: K) => Uint8Array): void {
    if (timeoutMs === 0) return;
    const nowMs = this.#env.monotonicMs();
    map.delete(key);
    map.set(key, nowMs + timeoutMs);
    for (const [oldest, untilMs] of map) {
      if (untilMs > nowMs && (map.size <= TOLD_COUNT_MAX || !this.#notify(expire(oldest)))) return;
      map.delete(oldest);
    }
  }

  #inodeChanged(inode: InodeId): void {
    if (this.#notify(expireNode(inode))) this.#nodes.delete(inode);
    else this.#everythingChanged();
  }

  #nameChanged(parent: InodeId, name: Uint8Array, removed: InodeId | 0): void {
    const message = removed === 0 ? expireEntry(parent, name) : deletedEntry(parent, removed, name);
    if (this.#notify(message)) this.#names.delete(nameKey(parent, name));
    else this.#everythingChanged();
  }

  /** What the notifier does not take now stays noted, and is told a little later. */
  #everythingChanged(): void {
    if (this.#forgetAll(this.#names, expireName) && this.#forgetAll(this.#nodes, expireNode)) return;
    this.#retry?.cancel();
    this.#retry = this.#env.setTimer(RETRY_DELAY_MS, () => this.#everythingChanged());
  }

  #forgetAll<K>(map: Map<K, number>, expire: (key: K) => Uint8Array): boolean {
    const nowMs = this.#env.monotonicMs();
    for (const [key, untilMs] of map) {
      if (untilMs > nowMs && !this.#notify(expire(key))) return false;
      map.delete(key);
    }
    return true;
  }
}

function expireName(key: NameKey): Uint8Array {
  const { parent, name } = keyedName(key);
  return expireEntry(parent, name);
}
