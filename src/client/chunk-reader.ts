import { boundedCache } from '../base/bounded.ts';
import { type Bytes, lengthOf } from '../base/bytes.ts';
import { checksumsMatch } from '../base/crc.ts';
import type { Env } from '../base/env.ts';
import { codeOf, type ErrorCode, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { MiB, SECOND_MS } from '../base/units.ts';
import { ChunkserverDefinition, type Replica } from '../rpc/messages.ts';
import { type ExtentSpan, isExtent } from './extent-map.ts';
import type { Access, Locations } from './locations.ts';
import { nearestFirst } from './nearness.ts';
import { isTransient, type Patience } from './patience.ts';
import type { ServerPool } from './server-pool.ts';

const { read } = ChunkserverDefinition.methods;
/** A server that is silent for so long is passed over. */
const READ_ATTEMPT_MS = 2 * SECOND_MS;
/** Neighbouring reads go to one server, for its disk's sake; the next stretch goes to another. */
export const STRETCH_BYTES = 8 * MiB;
/** Rounds in which every replica answered, and badly. More rounds would not mend them. */
const BAD_ROUNDS_MAX = 2;
const BAD_REPLICAS_MAX = 4096;
/** So long a member may lack a chunk that others begin: the first order is on its way to it, or the version is left. */
const BEGINNING_MS_MAX = 10 * SECOND_MS;

const ZEROS = Buffer.alloc(1 * MiB);

/** `length` zeros, all views of the same bytes: nobody writes to what was read. */
export function zeros(length: number): Bytes {
  const result: Uint8Array[] = [];
  for (let left = length; left > 0; left -= ZEROS.length) {
    result.push(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
  }
  return result;
}

export interface ChunkReaderOptions {
  readonly env: Env;
  readonly pool: ServerPool;
  readonly locations: Locations;
  readonly host: string;
  /** Tells the master; nobody waits for it. */
  readonly onBadReplica: (bad: { chunk: number; version: number; server: number; reason: ErrorCode }) => void;
}

/** What became of asking the members of one chunk. */
type Outcome =
  | { readonly kind: 'data'; readonly bytes: Bytes }
  /** A replica has another version, or all say that there is nothing: the location may be old. */
  | { readonly kind: 'stale' }
  /** `isUnready`: some members answer, and may not serve reads before their version is raised (P6, P7). */
  | { readonly kind: 'failed'; readonly error: unknown; readonly isUnready?: boolean };

/**
 * Reads parts of a file from the cluster: any member of a chunk will do, nearest first, and on to the next when one is
 * silent or its bytes do not have their checksums. What no replica holds below the file's length is zeros.
 */
export class ChunkReader {
  readonly #options: ChunkReaderOptions;
  /** Replicas that were bad at their version: told once, asked last. A repaired one has another version. */
  readonly #bad = boundedCache<string, true>(BAD_REPLICAS_MAX);
  /** Replicas that were not there while others were: since when. */
  readonly #absentSinceMs = boundedCache<string, number>(BAD_REPLICAS_MAX);

  constructor(options: ChunkReaderOptions) {
    this.#options = options;
  }

  /**
   * All `length` bytes from `fileOffset`; the caller knows that the file is as long. `grewAtMs`: since when. An extent that
   * was looked up before may have been sealed since, and have a follower; a hole may have been filled.
   */
  async read(
    access: Access,
    fileOffset: number,
    length: number,
    grewAtMs: number,
    patience: Patience,
  ): Promise<Bytes> {
    return await this.#range(access, fileOffset, fileOffset + length, grewAtMs, patience, 0);
  }

  async #range(
    access: Access,
    start: number,
    end: number,
    grewAtMs: number,
    patience: Patience,
    round: number,
  ): Promise<Bytes> {
    const parts: Promise<Bytes>[] = [];
    try {
      for (let position = start; position < end; ) {
        const span = await this.#options.locations.forRead(access, position, patience);
        if (!isExtent(span) && span.checkedAtMs <= grewAtMs && round === 0) {
          this.#options.locations.forget(access.inode, span);
          parts.push(this.#range(access, position, end, grewAtMs, patience, 1));
          break;
        }
        const to = Math.min(end, span.end);
        if (isExtent(span)) {
          const part = this.#extent(access, span, position, to, grewAtMs, patience, round);
          // Whoever awaits all parts hears of it; meanwhile the next location is being looked up.
          part.catch(() => undefined);
          parts.push(part);
        } else {
          parts.push(Promise.resolve(zeros(to - position)));
        }
        position = to;
      }
    } catch (error) {
      await Promise.allSettled(parts);
      throw error;
    }
    const only = parts[0];
    if (only !== undefined && parts.length === 1) return await only;
    return (await Promise.all(parts)).flat();
  }

  /** The part [start, end) of a file, which lies in one extent. */
  async #extent(
    access: Access,
    span: ExtentSpan,
    start: number,
    end: number,
    grewAtMs: number,
    patience: Patience,
    round: number,
  ): Promise<Bytes> {
    const fresh = round > 0;
    const outcome = await this.#ask(span, start - span.start, end - start, grewAtMs, patience, fresh);
    if (outcome.kind === 'data') return outcome.bytes;
    this.#options.locations.forget(access.inode, span);
    let next = round + 1;
    if (outcome.kind === 'failed') {
      if (outcome.isUnready) await this.#options.locations.complain(access, span, patience);
      if (isTransient(outcome.error)) next = Math.max(1, round);
      else if (next >= BAD_ROUNDS_MAX) throw outcome.error;
      await patience.pause(outcome.error);
    }
    return await this.#range(access, start, end, grewAtMs, patience, next);
  }

  /** Asks member after member. `fresh`: the location was asked for on purpose of this read. */
  async #ask(
    span: ExtentSpan,
    chunkOffset: number,
    length: number,
    grewAtMs: number,
    patience: Patience,
    fresh: boolean,
  ): Promise<Outcome> {
    const { pool, host } = this.#options;
    const { chunk, members } = span.location;
    const turn = chunk + Math.floor(chunkOffset / STRETCH_BYTES);
    const isSuspect = (member: Replica) => pool.isSuspect(member.address) || this.#isBad(span, member);
    const order = nearestFirst(members, host, turn, isSuspect);
    const absent: Replica[] = [];
    let failure: unknown =
      order.length < members.length ? new GfsError('UNAVAILABLE', 'a member has no address yet') : undefined;
    let isUnready = false;
    let longest: Bytes = [];
    for (let member = order.shift(); member !== undefined; member = order.shift()) {
      try {
        const bytes = await this.#readFrom(member, span, chunkOffset, length, patience);
        const found = lengthOf(bytes);
        if (found > 0) this.#reportAbsent(span, absent);
        if (found === length) return { kind: 'data', bytes };
        // Shorter than the file says: a member that cannot tell what is committed refuses instead (P13), so there is no
        // more at this version, whoever is asked.
        longest = bytes;
        failure = undefined;
        break;
      } catch (error) {
        switch (this.#judge(error, member, span, patience)) {
          case 'fatal':
            throw error;
          case 'absent':
            absent.push(member);
            break;
          case 'stale':
            if (!fresh) return { kind: 'stale' };
            failure = new GfsError('NOT_READY', `replicas of chunk ${hex(chunk)} change version`, {
              cause: error,
            });
            break;
          case 'bad':
            failure ??= error;
            break;
          case 'silent':
            failure = error;
            isUnready ||= codeOf(error) === 'NOT_READY';
            break;
        }
      }
    }
    if (failure !== undefined) return { kind: 'failed', error: failure, isUnready };
    if (members.length === 0) {
      return { kind: 'failed', error: new GfsError('CHUNK_LOST', `chunk ${hex(chunk)} has no replica`) };
    }
    const mayHaveFollower = span.checkedAtMs <= grewAtMs;
    if (!fresh && (absent.length > 0 || mayHaveFollower)) return { kind: 'stale' };
    return { kind: 'data', bytes: [...longest, ...zeros(length - lengthOf(longest))] };
  }

  /** A member that has no replica while another one holds bytes has lost its own, if it is like that for long. */
  #reportAbsent(span: ExtentSpan, absent: Replica[]): void {
    const nowMs = this.#options.env.monotonicMs();
    for (const member of absent.splice(0)) {
      const key = replicaKey(span.location, member.server);
      const sinceMs = this.#absentSinceMs.get(key);
      if (sinceMs === undefined) this.#absentSinceMs.set(key, nowMs);
      else if (nowMs - sinceMs > BEGINNING_MS_MAX) this.#report(span, member, 'NO_SUCH_CHUNK');
    }
  }

  #report(span: ExtentSpan, { server }: Replica, reason: ErrorCode): void {
    const { chunk, version } = span.location;
    const key = replicaKey(span.location, server);
    if (this.#bad.has(key)) return;
    this.#bad.set(key, true);
    const { env, onBadReplica } = this.#options;
    env.log
      .of('files')
      .warn({ chunk: hex(chunk), version, server, reason }, 'a replica is bad; others are read');
    onBadReplica({ chunk, version, server, reason });
  }

  #isBad({ location }: ExtentSpan, { server }: Replica): boolean {
    return this.#bad.size > 0 && this.#bad.has(replicaKey(location, server));
  }

  async #readFrom(
    member: Replica,
    span: ExtentSpan,
    chunkOffset: number,
    length: number,
    patience: Patience,
  ): Promise<Bytes> {
    const { chunk, version } = span.location;
    const reply = await this.#options.pool.call(
      member.address,
      read,
      { chunk, version, chunkOffset, length },
      patience.attempt(READ_ATTEMPT_MS),
    );
    if (
      lengthOf(reply.payload) > length ||
      !checksumsMatch(reply.payload, chunkOffset, reply.message.checksums)
    ) {
      const message = `chunk ${hex(chunk)} from offset ${chunkOffset} as server ${member.server} sent it`;
      throw new GfsError('CHECKSUM_MISMATCH', message);
    }
    return reply.payload;
  }

  /** What an error says of a member; tells the master and the pool when it is bad. */
  #judge(
    error: unknown,
    member: Replica,
    span: ExtentSpan,
    patience: Patience,
  ): 'fatal' | 'stale' | 'absent' | 'bad' | 'silent' {
    const { env, pool } = this.#options;
    const code = codeOf(error);
    switch (code) {
      case 'NO_SUCH_CHUNK':
        return 'absent';
      case 'VERSION_MISMATCH':
        return 'stale';
      case 'CHECKSUM_MISMATCH':
      case 'CORRUPT':
      case 'IO_ERROR':
        this.#report(span, member, code);
        return 'bad';
      case 'UNAVAILABLE':
      case 'DEADLINE_EXCEEDED':
        if (env.monotonicMs() >= patience.deadlineMs) return 'fatal';
        pool.suspect(member.address);
        return 'silent';
      case 'NOT_READY':
      case 'INTERNAL':
        return 'silent';
      default:
        return 'fatal';
    }
  }
}

function replicaKey({ chunk, version }: { chunk: number; version: number }, server: number): string {
  return `${chunk}.${version}.${server}`;
}
