import type { Env } from '../base/env.ts';
import type { InodeId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type { SessionTable } from '../core/session-table.ts';
import { Background } from './background.ts';
import type { Metadata } from './metadata.ts';

const RETRY_DELAY_MS = 1 * SECOND_MS;
/** What was let go gathers for so long: a command for each file would cost the log as much as its unlinking did. */
const GATHER_MS = 1 * SECOND_MS;
/** Files in one command: each may have many extents, and nobody waits for longer than one command takes. */
const BATCH_SIZE_MAX = 64;
const PAGE_SIZE = 1000;

/**
 * Removes files that have no name any more, once nobody has them open. Which files these are is durable; who has them
 * open is not, so a restarted master first waits for its sessions to tell.
 */
export class OrphanReaper {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #sessions: SessionTable;
  readonly #onReaped: () => void;
  readonly #work: Background;
  /** Found once at the start; what comes later is told by those who unlink and close. */
  #scannedTo: InodeId | 0 | 'all' = 0;
  readonly #candidates = new Set<InodeId>();
  /** Found, and whoever made them has not heard of it yet: when he asks again, he opens them. */
  readonly #awaited = new Set<InodeId>();

  constructor(parts: { env: Env; metadata: Metadata; sessions: SessionTable; onReaped: () => void }) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#sessions = parts.sessions;
    this.#onReaped = parts.onReaped;
    this.#work = new Background(parts.env, {
      name: 'removing files without a name',
      component: 'garbage',
      retryDelayMs: RETRY_DELAY_MS,
      round: () => this.#round(),
    });
    this.#work.wake();
  }

  /** The file lost its last name, or its last open ended: if both, it goes. */
  consider(inodes: Iterable<InodeId>): void {
    const before = this.#candidates.size;
    for (const inode of inodes) this.#candidates.add(inode);
    if (this.#candidates.size > before) this.#work.wake(GATHER_MS);
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  async #round(): Promise<number | undefined> {
    if (!this.#sessions.isComplete(this.#env.monotonicMs())) return RETRY_DELAY_MS;
    if (this.#candidates.size === 0) this.#scan();
    this.#considerHeardOf();
    const batch: InodeId[] = [];
    for (const inode of this.#candidates) {
      this.#candidates.delete(inode);
      // One that is open comes again with its last close.
      if (!this.#isReapable(inode)) continue;
      batch.push(inode);
      if (batch.length === BATCH_SIZE_MAX) break;
    }
    if (batch.length > 0) {
      try {
        unwrap(await this.#metadata.execute(INTERNAL, 'reap', { inodes: batch }));
      } catch (error) {
        for (const inode of batch) this.#candidates.add(inode);
        throw error;
      }
      this.#onReaped();
    }
    if (this.#candidates.size > 0 || this.#scannedTo !== 'all') return 0;
    return this.#awaited.size > 0 ? RETRY_DELAY_MS : undefined;
  }

  /** A file that was made without a name is not reaped before its maker can have opened it. */
  #considerHeardOf(): void {
    for (const inode of this.#awaited) {
      if (this.#metadata.state.isAwaited(inode)) continue;
      this.#awaited.delete(inode);
      this.#candidates.add(inode);
    }
  }

  #isReapable(inode: InodeId): boolean {
    if (this.#sessions.isOpen(inode)) return false;
    const row = this.#metadata.state.attributes(inode);
    return row.ok && row.value.linkCount === 0;
  }

  #scan(): void {
    if (this.#scannedTo === 'all') return;
    const page = this.#metadata.state.orphans(this.#scannedTo, PAGE_SIZE);
    for (const inode of page) this.#awaited.add(inode);
    this.#scannedTo = page.length < PAGE_SIZE ? 'all' : (page.at(-1) ?? 'all');
  }
}
