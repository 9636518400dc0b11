import type { Env } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import type { ChunkHandle } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ChunkLocations } from '../core/chunk-locations.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import { FILE_LENGTH_MAX } from '../core/metadata/extents.ts';
import { FileType, type Inode } from '../core/metadata/rows.ts';
import type { SessionTable, Unsettled } from '../core/session-table.ts';
import { Background } from './background.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import { fenceFile } from './file-fence.ts';
import type { LockKeeper } from './lock-keeper.ts';
import type { Metadata } from './metadata.ts';

const RETRY_DELAY_MS = SECOND_MS / 5;
/** Of files that are settled at a time: many at once would keep clients' raises waiting. */
const BATCH_SIZE_MAX = 16;
const PAGE_SIZE = 1000;

/**
 * Learns how long files are whose writer went without a word (P21): what it was acknowledged is in chunks, and the master was
 * not told. The version is raised first, so that nothing it sent can arrive any more; then the primary's length is believed.
 * Until then such a file counts as being written.
 */
export class LengthSettler {
  readonly #parts: LengthSettlerParts;
  readonly #work: Background;
  /** Chunks whose version was raised since the writer of this turn went, and which are reconciled before they answer. */
  readonly #raised = new Map<ChunkHandle, number>();

  constructor(parts: LengthSettlerParts) {
    this.#parts = parts;
    this.#work = new Background(parts.env, {
      name: 'learning the length of files whose writers are gone',
      component: 'files',
      retryDelayMs: RETRY_DELAY_MS,
      round: () => this.#round(),
    });
    this.#work.wake();
  }

  /** A session ended: perhaps it left files that it was writing, or was never heard of by this master. */
  wake(): void {
    this.#work.wake();
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  async #round(): Promise<number | undefined> {
    const { sessions, env, locks } = this.#parts;
    if (sessions.mayHaveLostWriters) await this.#findLost();
    const batch = sessions.unsettled(BATCH_SIZE_MAX);
    const failed = new Set<Unsettled>();
    await Promise.all(
      batch.map(async (unsettled) => {
        const { inode } = unsettled;
        try {
          const endedHolders = locks.endedHolders(inode);
          if (endedHolders.length > 0) await this.#fence(unsettled);
          await this.#settle(unsettled);
          sessions.settled(unsettled);
          locks.fenced(inode, endedHolders);
        } catch (error) {
          failed.add(unsettled);
          env.log
            .of('files')
            .info({ inode, code: codeOf(error), error: messageOf(error) }, 'a length is not known yet');
        }
      }),
    );
    // Those that failed go to the end of the line.
    for (const unsettled of failed) sessions.postpone(unsettled);
    if (sessions.unsettled(1).length === 0) {
      this.#raised.clear();
      return undefined;
    }
    return failed.size === batch.length ? RETRY_DELAY_MS : 0;
  }

  /**
   * A session that this master's predecessor knew went without telling what it had open. Any file may have been among that
   * whose last chunk is longer than the master knows, as servers report, or is being written right now.
   */
  async #findLost(): Promise<void> {
    const { metadata, sessions, env } = this.#parts;
    for (let after = 0; ; ) {
      const page = metadata.state.tables.inodes(after, PAGE_SIZE);
      for (const inode of page) if (this.#mayBeLonger(inode)) sessions.unsettle(inode.inode);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SIZE) break;
      after = last.inode;
      await env.sleep(0);
    }
    sessions.lostWritersFound();
  }

  #mayBeLonger(inode: Inode): boolean {
    if (inode.type !== FileType.REGULAR) return false;
    const { locations, leases, metadata, env } = this.#parts;
    for (let before = FILE_LENGTH_MAX + 1; ; ) {
      const extent = metadata.state.tailExtent(inode.inode, inode.length, before);
      if (extent === undefined) return false;
      const row = metadata.state.chunk(extent.chunk);
      if (row === undefined) return false;
      if (leases.primaryOf(extent.chunk, row.version, env.monotonicMs()) !== undefined) return true;
      for (const member of row.members) {
        if (!locations.isKnown(member)) return true;
        const length = locations.replicaAt(member, extent.chunk)?.length ?? 0;
        if (extent.start + length > inode.length) return true;
      }
      before = extent.start;
    }
  }

  async #settle({ inode, turn }: Unsettled): Promise<void> {
    const { metadata } = this.#parts;
    for (let before = FILE_LENGTH_MAX + 1; ; ) {
      const row = metadata.state.tables.inode(inode);
      const extent = row === undefined ? undefined : metadata.state.tailExtent(inode, row.length, before);
      if (row === undefined || extent === undefined) return;
      const length = await this.#lengthUnderNewVersion(extent.chunk, turn);
      const end = extent.start + length;
      if (length > 0) {
        // What its writer wrote into holes nobody knows.
        if (end <= row.length && row.holeBytes === 0) return;
        const { truncations } = row;
        const commit = { inode, length: end, mtime: undefined, truncations };
        unwrap(await metadata.execute(INTERNAL, 'commitLength', commit));
        return;
      }
      // Added, and never written: the file ends before it.
      before = extent.start;
    }
  }

  /** Whoever locks the file next is to find nothing of it changed by one who had it locked and is gone: not in any chunk. */
  async #fence({ inode, turn }: Unsettled): Promise<void> {
    await fenceFile(this.#parts, inode, {
      isFenced: (chunk) => this.#raised.get(chunk) === turn,
      onFenced: (chunk) => this.#raised.set(chunk, turn),
    });
  }

  /** NOT_READY while the primary reconciles the members: then it is asked again, without another raise. */
  async #lengthUnderNewVersion(chunk: ChunkHandle, turn: number): Promise<number> {
    const { raiser, calls, metadata } = this.#parts;
    if (this.#raised.get(chunk) !== turn) await raiser.raise(chunk);
    const row = metadata.state.chunk(chunk);
    // Truncated away meanwhile: nothing of the file is in it.
    if (row === undefined || row.primary === 0) return 0;
    const { version, primary } = row;
    this.#raised.set(chunk, turn);
    try {
      const length = await calls.chunkLength(primary, chunk, version);
      this.#raised.delete(chunk);
      return length;
    } catch (error) {
      if (codeOf(error) !== 'NOT_READY') this.#raised.delete(chunk);
      throw error;
    }
  }
}

export interface LengthSettlerParts {
  readonly env: Env;
  readonly metadata: Metadata;
  readonly sessions: SessionTable;
  readonly locations: ChunkLocations;
  readonly leases: LeaseTable;
  readonly raiser: ChunkRaiser;
  readonly calls: ChunkserverCalls;
  readonly locks: LockKeeper;
}
