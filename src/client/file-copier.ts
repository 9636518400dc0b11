import { NO_BYTES } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import type { ExtentLocation, Replica } from '../rpc/messages.ts';
import { type ChunkPusher, type PushedRange, serverNamedBy } from './chunk-pusher.ts';
import { type ChunkReader, STRETCH_BYTES } from './chunk-reader.ts';
import type { ChunkWriter, Push, WriteData } from './chunk-writer.ts';
import type { DataFinder } from './data-finder.ts';
import { isExtent } from './extent-map.ts';
import type { FileState } from './file-state.ts';
import type { Access, Locations } from './locations.ts';
import { nearestFirst } from './nearness.ts';
import { Patience } from './patience.ts';
import type { RangeSharer } from './range-sharer.ts';
import type { RangeZeroer } from './range-zeroer.ts';
import type { ServerPool } from './server-pool.ts';

/** Enough to keep every server busy. */
const IN_FLIGHT_COUNT_MAX = 8;
/**
 * Less than this of an extent is copied: the first write to what is shared costs a clone and two versions, which takes as
 * long as copying so much. Of smaller chunks, half is enough: whoever has these, wants to see it happen.
 */
const SHARE_BYTES_MIN = 1 * MiB;
/** Of data, in one go: whoever waits for it holds others up meanwhile. Holes cost nothing. */
const DATA_BYTES_MAX = 64 * MiB;

export interface FileCopierOptions {
  readonly env: Env;
  readonly pool: ServerPool;
  readonly locations: Locations;
  readonly host: string;
  readonly reader: ChunkReader;
  readonly writer: ChunkWriter;
  readonly zeroer: RangeZeroer;
  readonly pusher: ChunkPusher;
  readonly finder: DataFinder;
  readonly sharer: RangeSharer;
  readonly chunkSizeBytes: number;
  /** A mutation ends where a multiple of it begins in the file. */
  readonly unitBytes: number;
}

/** A place in a file. */
export interface CopyPlace {
  readonly state: FileState;
  readonly access: Access;
  readonly start: number;
}

/** What became of a copy. `endsInHole`: nothing has made the target as long as that. */
export interface Copied {
  readonly length: number;
  /** Of the target, that were data and are a hole now. */
  readonly zeroedBytes: number;
  readonly endsInHole: boolean;
}

/**
 * Copies parts of files at the cluster. Whole extents become both files', if they lie alike in them (P20). Otherwise a
 * member of the source's chunk pushes what it has to the target's members, as a client pushes what it writes, and is then
 * mutated with (§3.2). The bytes pass this client only where that fails. Holes stay holes.
 */
export class FileCopier {
  readonly #options: FileCopierOptions;

  constructor(options: FileCopierOptions) {
    this.#options = options;
  }

  /**
   * Copies some of `length` bytes, all of which the source has, from its start on. Whoever calls it keeps changes of the target
   * apart (P10). When it fails on the way, what was copied before counts, and the next call tells why. `commit` has the master
   * know how long the target is: extents that it gets whole take the place of all that is there.
   */
  async copy(
    source: CopyPlace,
    target: CopyPlace,
    length: number,
    patience: Patience,
    commit: () => Promise<void>,
  ): Promise<Copied> {
    const end = source.start + length;
    let position = source.start;
    let endsInHole = false;
    let dataBytes = 0;
    let zeroedBytes = 0;
    let mayShare = true;
    try {
      while (position < end && dataBytes < DATA_BYTES_MAX) {
        const run = await this.#runAt(source, position, end, patience);
        const from = { ...source, start: position };
        const to = { ...target, start: target.start + position - source.start };
        if (mayShare && run.isData && (await this.#isWorthSharing(from, to, end, patience))) {
          const shared = await this.#options.sharer.share(from, to, end - position, patience, commit);
          position += shared;
          if (shared > 0) endsInHole = false;
          mayShare = shared > 0;
          continue;
        }
        if (!run.isData) {
          zeroedBytes += await this.#zero(to, run.end - position, patience);
          position = run.end;
          endsInHole = true;
          continue;
        }
        if (run.end <= position) {
          await patience.pause(
            new GfsError('NOT_READY', 'what is to be copied changes while it is looked for'),
          );
          continue;
        }
        const wanted = Math.min(run.end - position, DATA_BYTES_MAX - dataBytes);
        const copied = await this.#copyData(from, to, wanted, patience);
        dataBytes += copied;
        position += copied;
        endsInHole = false;
        if (copied < wanted) break;
      }
    } catch (error) {
      if (position === source.start) throw error;
      this.#stopped(error);
    }
    return { length: position - source.start, zeroedBytes, endsInHole };
  }

  #stopped(error: unknown): void {
    const fields = { code: codeOf(error), error: messageOf(error) };
    this.#options.env.log.of('files').debug(fields, 'a copy came to an end on its way');
  }

  /** The range begins with an extent that is large enough, has all of it, and it may have the same place in the target. */
  async #isWorthSharing(
    { state, access, start }: CopyPlace,
    target: CopyPlace,
    end: number,
    patience: Patience,
  ): Promise<boolean> {
    const { locations, chunkSizeBytes } = this.#options;
    const bytesMin = Math.min(SHARE_BYTES_MIN, chunkSizeBytes / 2);
    if (end - start < bytesMin || (target.start - start) % chunkSizeBytes !== 0) return false;
    const span = await locations.forRead(access, start, patience);
    const isWhole = span.end <= end || state.length <= end;
    return isExtent(span) && span.start === start && isWhole && span.end - start >= bytesMin;
  }

  async #runAt(
    { access }: CopyPlace,
    start: number,
    end: number,
    patience: Patience,
  ): Promise<{ isData: boolean; end: number }> {
    const { finder, locations } = this.#options;
    const dataStart = await finder.find(access, { start, fileLength: end }, 'data', patience);
    if (dataStart > start) return { isData: false, end: dataStart };
    // No further than its extent: what lies in two of them, no server has.
    const span = await locations.forRead(access, start, patience);
    const fileLength = Math.min(end, span.end);
    return { isData: true, end: await finder.find(access, { start, fileLength }, 'hole', patience) };
  }

  async #zero({ state, access, start }: CopyPlace, length: number, patience: Patience): Promise<number> {
    const end = start + length;
    const { zeroer } = this.#options;
    state.overwriting(start, end, access.caller);
    const zeroed = await zeroer.zero(access, start, end, patience, (span) =>
      state.unsynced.acknowledged(span),
    );
    state.overwritten(start, end);
    return zeroed;
  }

  /** Copies what is all data; returns up to where all of it is there, and throws when that is nothing. */
  async #copyData(source: CopyPlace, target: CopyPlace, length: number, patience: Patience): Promise<number> {
    const { unitBytes } = this.#options;
    target.state.overwriting(target.start, target.start + length, target.access.caller);
    let next = 0;
    let reached = length;
    let failure: unknown;
    const work = async () => {
      while (next < reached) {
        const start = next;
        next = Math.min(length, start + unitBytes - ((target.start + start) % unitBytes));
        try {
          await this.#piece(source, target, { start, end: next }, patience);
        } catch (error) {
          if (start >= reached) continue;
          reached = start;
          failure = error;
        }
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT_COUNT_MAX }, work));
    if (reached === 0) throw failure;
    if (failure !== undefined) this.#stopped(failure);
    return reached;
  }

  async #piece(
    source: CopyPlace,
    { state, access, start: targetStart }: CopyPlace,
    { start, end }: { start: number; end: number },
    patience: Patience,
  ): Promise<void> {
    const { env, writer } = this.#options;
    const { truncations } = state;
    const data: WriteData = {
      length: end - start,
      within: (from, to) => {
        const part = { ...source, start: source.start + start + from };
        const length = to - from;
        const push: Push = (location, chunkOffset, attempt) =>
          this.#push(part, location, { chunkOffset, length }, attempt);
        return { bytes: NO_BYTES, length, push };
      },
    };
    // Its pauses are its own.
    const own = new Patience(env, patience, 0);
    await writer.write(access, targetStart + start, data, own, (span) => state.unsynced.acknowledged(span));
    state.copied(targetStart + start, targetStart + end, truncations);
  }

  /** The target's members hold it: from a member of the source, or by way of this client. */
  async #push(
    source: CopyPlace,
    target: ExtentLocation,
    to: { chunkOffset: number; length: number },
    patience: Patience,
  ): Promise<PushedRange> {
    const { pusher, reader } = this.#options;
    const pushed = await this.#pushThere(source, target, to, patience);
    if (pushed !== undefined) return pushed;
    const { access, start, state } = source;
    const bytes = await reader.read(access, start, to.length, state.grewAtMs, patience);
    return await pusher.push(target, { chunkOffset: to.chunkOffset, bytes }, patience);
  }

  /** Undefined: it did not work, for whatever reason. Reading and pushing by oneself finds out, and what to do about it. */
  async #pushThere(
    { access, start }: CopyPlace,
    target: ExtentLocation,
    to: { chunkOffset: number; length: number },
    patience: Patience,
  ): Promise<PushedRange | undefined> {
    const { env, pool, locations, pusher } = this.#options;
    const span = await locations.forRead(access, start, patience);
    if (!isExtent(span) || span.end < start + to.length) return undefined;
    const { chunk, version } = span.location;
    const chunkOffset = start - span.start;
    const member = this.#memberOf(span.location, chunkOffset, target);
    if (member === undefined) return undefined;
    try {
      return await pusher.pushRange(target, { chunk, version, chunkOffset, member }, to, patience);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'CANCELLED' || env.monotonicMs() >= patience.deadlineMs) throw error;
      // One that refuses at once what it was told to pass on is not the one that is silent.
      const isSilent = code === 'UNAVAILABLE' && serverNamedBy(error) === undefined;
      if (isSilent) pool.suspect(member.address);
      env.log
        .of('files')
        .debug({ chunk, member: member.server, code }, 'a member does not push what is copied');
      return undefined;
    }
  }

  /** One that is to have the data anyway, rather than one nearby. */
  #memberOf(
    { chunk, members }: ExtentLocation,
    chunkOffset: number,
    target: ExtentLocation,
  ): Replica | undefined {
    const { pool, host } = this.#options;
    const turn = chunk + Math.floor(chunkOffset / STRETCH_BYTES);
    const order = nearestFirst(members, host, turn, ({ address }) => pool.isSuspect(address)).filter(
      ({ address }) => !pool.isSuspect(address),
    );
    return order.find(({ server }) => target.members.some((other) => other.server === server)) ?? order[0];
  }
}
