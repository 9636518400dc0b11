import { codeOf, type ErrorCode, GfsError, messageOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type InodeId, type ServerId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import { memberCountMin } from '../core/placement.ts';
import type { VersionRecord } from '../rpc/messages.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { ExtentLocator } from './extent-locator.ts';
import type { Metadata } from './metadata.ts';

export interface ChunkClonerParts {
  readonly metadata: Metadata;
  readonly raiser: Pick<ChunkRaiser, 'mend'>;
  readonly calls: Pick<ChunkserverCalls, 'cloneHere'>;
  readonly locator: Pick<ExtentLocator, 'replica'>;
  /** A clone has no fewer members, or all of a lower goal (P3). */
  readonly minReplicas: number;
  /** Somebody waits to write a chunk that has too few members left. */
  readonly onTooFew: (chunk: ChunkHandle) => void;
  /** A clone that was begun is not used. */
  readonly onGarbage: () => void;
}

interface Place {
  readonly inode: InodeId;
  /** Of the extent. */
  readonly start: number;
}

/**
 * Copy on write (P20, §3.4): an extent whose chunk others have too gets one of its own before it is written to. The servers
 * that hold the chunk copy what they have, each on its own disk, and the clone takes the chunk's place in that extent. Its
 * handle is garbage in the log until then, so whatever becomes of the attempt, nothing is left of it.
 */
export class ChunkCloner {
  readonly #parts: ChunkClonerParts;
  readonly #running = new Map<string, Promise<void>>();
  readonly #making = new Set<ChunkHandle>();

  constructor(parts: ChunkClonerParts) {
    this.#parts = parts;
  }

  /** Its members may be making it: it is not to be deleted yet. */
  isMaking(clone: ChunkHandle): boolean {
    return this.#making.has(clone);
  }

  /**
   * Resolves to the chunk that the extent has and no other extent does. Where there is no such extent any more, that is
   * `chunk`, as it was before. `session`: for whose write it is, 0: nobody's. Throws NOT_READY, TOO_FEW_REPLICAS, NO_SPACE
   * when there can be none now.
   */
  async ownChunk({ inode, start }: Place, chunk: ChunkHandle, session: number): Promise<ChunkHandle> {
    const { state } = this.#parts.metadata;
    for (;;) {
      const extent = state.tables.extent(inode, start);
      const row = extent === undefined ? undefined : state.chunk(extent.chunk);
      if (extent === undefined || row === undefined) return chunk;
      if (row.referenceCount === 1) return extent.chunk;
      const key = `${inode} ${start}`;
      const running = this.#running.get(key);
      if (running !== undefined) {
        // Its failure is its asker's.
        await running.catch(() => undefined);
        continue;
      }
      const cloning = this.#clone({ inode, start }, extent.chunk, row, session);
      this.#running.set(
        key,
        cloning.finally(() => this.#running.delete(key)),
      );
      await this.#running.get(key);
    }
  }

  async #clone(place: Place, chunk: ChunkHandle, row: Chunk, session: number): Promise<void> {
    const { metadata, onGarbage } = this.#parts;
    const { version, members } = row;
    const clone = metadata.dealChunk();
    this.#making.add(clone);
    try {
      unwrap(await metadata.execute(INTERNAL, 'beginClone', { chunk: clone, members }));
      const made = await this.#madeBy(chunk, row, clone);
      const by = session === 0 ? 0 : sessionId(session);
      const body = { ...place, chunk, version, clone, members: made, session: by } as const;
      const result = await metadata.execute(INTERNAL, 'cloneExtent', body);
      // Written to, truncated or shared no more: the extent is looked at again.
      if (!result.ok && !CHANGED.has(result.error.code)) unwrap(result);
    } finally {
      this.#making.delete(clone);
      if (metadata.state.isGarbage(clone)) onGarbage();
    }
  }

  /** The members that have a replica of the clone now: all, but for those who are silent or cannot. */
  async #madeBy(chunk: ChunkHandle, row: Chunk, clone: ChunkHandle): Promise<ServerId[]> {
    const { calls, raiser, minReplicas, onTooFew } = this.#parts;
    const { members, goal } = row;
    const record = this.#recordOf(clone, row);
    const made: ServerId[] = [];
    const failures: { member: ServerId; error: unknown }[] = [];
    await Promise.all(
      members.map(async (member) => {
        try {
          await calls.cloneHere(member, record, chunk);
          made.push(member);
        } catch (error) {
          failures.push({ member, error });
        }
      }),
    );
    if (failures.some(({ error }) => UNSETTLED.has(codeOf(error)))) {
      await raiser.mend(chunk);
      throw new GfsError('NOT_READY', `members of chunk ${hex(chunk)} are made equal before it is cloned`);
    }
    if (made.length >= memberCountMin(goal, minReplicas)) return members.filter((one) => made.includes(one));
    const full = failures.find(({ error }) => codeOf(error) === 'NO_SPACE');
    if (full !== undefined) {
      const message = `server ${full.member} has no room for a clone of chunk ${hex(chunk)}`;
      throw new GfsError('NO_SPACE', message, { cause: full.error });
    }
    onTooFew(chunk);
    const [first] = failures;
    const why = `${made.length} members of chunk ${hex(chunk)} make a clone: ${messageOf(first?.error)}`;
    throw new GfsError('TOO_FEW_REPLICAS', why, { cause: first?.error });
  }

  #recordOf(clone: ChunkHandle, { version, members, loss }: Chunk): VersionRecord {
    return {
      chunk: clone,
      version,
      members: members.map((member) => this.#parts.locator.replica(member)),
      primary: 0,
      cutVersion: undefined,
      cutLength: undefined,
      loss,
      frozen: false,
    };
  }
}

/** What the extent or its chunk was a moment ago, it is not any more. */
const CHANGED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NOT_FOUND',
  'NO_SUCH_CHUNK',
  'VERSION_MISMATCH',
]);

/** Of members that have not what the others have, but will. */
const UNSETTLED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NOT_READY',
  'NO_SUCH_CHUNK',
  'VERSION_MISMATCH',
]);
