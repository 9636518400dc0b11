import { type Bytes, lengthOf, NO_BYTES, NO_PAYLOAD, slice } from '../base/bytes.ts';
import { INLINE_MUTATION_BYTES_MAX } from '../base/constants.ts';
import { checksumsOf, crc32OfBytes } from '../base/crc.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import {
  ChunkserverDefinition,
  type ExtentLocation,
  type MutateResponse,
  MutationKind,
  type PushId,
  type RecallResponse,
  type Replica,
} from '../rpc/messages.ts';
import {
  ATTEMPT_MS_MAX,
  ChunkPusher,
  type ChunkPusherOptions,
  type PushedRange,
  serverNamedBy,
} from './chunk-pusher.ts';
import type { ExtentSpan } from './extent-map.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import type { Patience } from './patience.ts';
import type { Session } from './session.ts';
import type { Unsynced } from './unsynced-chunks.ts';

const { mutate, sync, chunkLength, recall } = ChunkserverDefinition.methods;

export interface ChunkWriterOptions extends ChunkPusherOptions {
  readonly locations: Locations;
  readonly session: Session;
}

/** Who mutates: the session at the time, and a number that stays the same however often it is tried (P10). */
export interface MutationId {
  readonly writer: number;
  readonly number: number;
}

/** A mutation as it is asked of one chunk's primary. */
export interface Mutation {
  readonly id: MutationId;
  readonly kind:
    | typeof MutationKind.MUTATION_KIND_WRITE
    | typeof MutationKind.MUTATION_KIND_ZERO
    | typeof MutationKind.MUTATION_KIND_APPEND
    | typeof MutationKind.MUTATION_KIND_SEAL;
  /** Of an append or a seal: what the primary chooses is not below it. */
  readonly chunkOffset: number;
  readonly bytes: Bytes;
  /** Of what has no bytes here: zeros, and what is pushed from elsewhere. */
  readonly length?: number;
  readonly push?: Push;
  /** Of an append that is a batch of numbered records, up to the one that its id names: how long each is. */
  readonly recordLengths?: readonly number[];
}

/** Has the members of a chunk hold what is to be written there at `chunkOffset`, again for each attempt. */
export type Push = (
  location: ExtentLocation,
  chunkOffset: number,
  patience: Patience,
) => Promise<PushedRange>;

/** What is to be written to a file. */
export interface WriteData {
  readonly length: number;
  /** Of a part of it, as a mutation takes it. */
  within(start: number, end: number): Pick<Mutation, 'bytes' | 'length' | 'push'>;
}

/** What a failed attempt means for the next one. */
export type Remedy = { readonly kind: 'suspect'; readonly suspicion: Suspicion } | { readonly kind: 'wait' };

/** Mutates chunks (§3.1, §3.2): finds the primary, pushes what is large, and asks until it is done or refused. */
export class ChunkWriter {
  readonly #options: ChunkWriterOptions;
  readonly #pusher: ChunkPusher;

  constructor(options: ChunkWriterOptions) {
    this.#options = options;
    this.#pusher = new ChunkPusher(options, () => this.newId());
  }

  /** Another mutation's name. */
  newId(): MutationId {
    const { session } = this.#options;
    return { writer: session.id, number: session.nextNumber() };
  }

  /**
   * Writes all of `data` at `fileOffset`, over as many extents as it takes. `onWritten` hears of each extent that took
   * some. Whoever calls it keeps overlapping writes apart (P10).
   */
  async write(
    access: Access,
    fileOffset: number,
    data: WriteData,
    patience: Patience,
    onWritten: (span: ExtentSpan) => void,
  ): Promise<void> {
    for (let done = 0; done < data.length; ) {
      done = await this.#part(access, fileOffset, data, done, patience, onWritten);
    }
  }

  /** Writes of what comes behind `done` as much as belongs to one extent; returns how much is done then. */
  async #part(
    access: Access,
    dataOffset: number,
    data: WriteData,
    done: number,
    patience: Patience,
    onWritten: (span: ExtentSpan) => void,
  ): Promise<number> {
    const fileOffset = dataOffset + done;
    let suspicion: Suspicion | undefined;
    let tried: { chunk: number; length: number; mutation: Mutation } | undefined;
    for (;;) {
      const span = await this.#spanFor(access, fileOffset, suspicion, patience);
      const { chunk } = span.location;
      const fits = Math.min(data.length - done, span.end - fileOffset);
      if (tried === undefined || tried.chunk !== chunk || tried.length !== fits) {
        const part = data.within(done, done + fits);
        const chunkOffset = fileOffset - span.start;
        const kind = MutationKind.MUTATION_KIND_WRITE;
        tried = { chunk, length: fits, mutation: { id: this.newId(), kind, chunkOffset, ...part } };
      }
      try {
        const { version } = await this.mutate(span, tried.mutation, patience);
        if (this.#options.locations.wasReplaced(span.location)) continue;
        this.#options.locations.acknowledged(access.inode, span, version);
        onWritten(span);
        return done + fits;
      } catch (error) {
        suspicion = await this.recover(error, span, suspicion, patience);
        if (suspicion !== undefined && this.#options.locations.firstRecord(span.location) !== undefined) {
          suspicion = { ...suspicion, unacknowledged: true };
        }
        if (codeOf(error) === 'SEALED') await this.#leaveSealed(access, span, patience);
      }
    }
  }

  /** The extent to write to, with a primary; behind what is there where its servers have no room and none can be spared. */
  async #spanFor(
    access: Access,
    fileOffset: number,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<ExtentSpan> {
    const { locations } = this.#options;
    try {
      return await locations.forWrite(access, fileOffset, suspicion, patience);
    } catch (error) {
      if (suspicion?.full === undefined || !hasRoomElsewhere(error)) throw error;
      const span = await locations.withPrimary(access, fileOffset, undefined, patience);
      if (span?.location.chunk !== suspicion.chunk) throw error;
      const { length } = await this.lengthOf(access, span.start, patience);
      // What is in the chunk stays there.
      if (length === 0 || fileOffset < span.start + length) throw error;
      const sealed = await this.seal(access, span.start, 0, patience);
      if (sealed !== undefined) await locations.addBehind(access, sealed.span, sealed.length, patience);
      return await locations.forWrite(access, fileOffset, undefined, patience);
    }
  }

  /**
   * Ends the chunk of the extent at `start` for ever, at its present length or at `chunkOffset` where that is further.
   * INVALID_ARGUMENT: there is nothing in it. Undefined: there is no such extent any more.
   */
  async seal(
    access: Access,
    start: number,
    chunkOffset: number,
    patience: Patience,
  ): Promise<{ span: ExtentSpan; length: number } | undefined> {
    const kind = MutationKind.MUTATION_KIND_SEAL;
    const mutation: Mutation = { id: this.newId(), kind, chunkOffset, bytes: NO_BYTES };
    let sealed: { span: ExtentSpan; length: number } | undefined;
    await this.atPrimary(access, start, patience, async (span) => {
      sealed = { span, length: (await this.mutate(span, mutation, patience)).chunkLength };
    });
    return sealed;
  }

  /**
   * The extent that is appended to again, with a primary. Where its servers have no room and none can be spared, the chunk ends
   * at what it holds: then it says whether a record is in it, and the next one is on servers that have room.
   */
  async spanForAppend(
    access: Access,
    { start, end }: { start: number; end: number },
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<ExtentSpan | undefined> {
    try {
      return await this.#options.locations.forAppend(access, start, suspicion, patience);
    } catch (error) {
      if (suspicion?.full === undefined || !hasRoomElsewhere(error)) throw error;
      return await this.#sealedSpan(access, { start, end }, error, patience);
    }
  }

  async #sealedSpan(
    access: Access,
    { start, end }: { start: number; end: number },
    refusal: unknown,
    patience: Patience,
  ): Promise<ExtentSpan | undefined> {
    try {
      return (await this.seal(access, start, end, patience))?.span;
    } catch (error) {
      // An empty chunk has no end that another could begin behind.
      throw codeOf(error) === 'INVALID_ARGUMENT' ? refusal : error;
    }
  }

  /** The rest belongs to another extent, which the master may not know to begin already. */
  async #leaveSealed(access: Access, span: ExtentSpan, patience: Patience): Promise<void> {
    const { length, sealed } = await this.lengthOf(access, span.start, patience);
    if (sealed) await this.#options.locations.addBehind(access, span, length, patience);
  }

  /** One attempt at one mutation, at the primary that `span` names. */
  async mutate(span: ExtentSpan, mutation: Mutation, patience: Patience): Promise<MutateResponse> {
    const { pool, locations } = this.#options;
    const { chunk, version } = span.location;
    const { id, kind, chunkOffset, bytes } = mutation;
    const primary = primaryOf(span.location);
    const isZeros = kind === MutationKind.MUTATION_KIND_ZERO;
    const length = mutation.length ?? lengthOf(bytes);
    const isAppend = kind === MutationKind.MUTATION_KIND_APPEND;
    let checksums: number[] | undefined;
    let pushId: PushId | undefined;
    if (mutation.push !== undefined) {
      ({ pushId, checksums } = await mutation.push(span.location, chunkOffset, patience));
    } else if (!isZeros && length > INLINE_MUTATION_BYTES_MAX) {
      const data = { chunkOffset: isAppend ? 0 : chunkOffset, bytes };
      ({ pushId, checksums } = await this.#pusher.push(span.location, data, patience));
    }
    if (isAppend) checksums = [crc32OfBytes(bytes)];
    else checksums ??= checksumsOf(bytes, chunkOffset);
    const reply = await pool.callWatched(
      primary.address,
      mutate,
      {
        chunk,
        version,
        writer: id.writer,
        number: id.number,
        kind,
        chunkOffset,
        pushId,
        length,
        checksums,
        // What was never written has nothing to become zeros.
        first: isZeros ? undefined : locations.firstRecord(span.location),
        recordLengths: [...(mutation.recordLengths ?? [])],
        payload: NO_PAYLOAD,
      },
      { payload: pushId === undefined ? bytes : undefined, ...patience.attempt(ATTEMPT_MS_MAX) },
    );
    locations.took(span.location);
    return reply.message;
  }

  /**
   * All members sync what they have of the extent at `start` (P14); WRITES_LOST when they do not have any more what they
   * acknowledged. A hole has nothing to sync. Another chunk in the place of `writtenChunk` owes nothing for it: the
   * file was truncated in between. But a clone has what was written before, and began later (P20).
   */
  async sync(
    access: Access,
    { chunk: writtenChunk, start, version: versionWritten }: Unsynced,
    patience: Patience,
  ): Promise<void> {
    await this.atPrimary(access, start, patience, async (span) => {
      const { chunk, version, firstVersion } = span.location;
      const owes = chunk === writtenChunk || firstVersion > versionWritten;
      const acknowledgedVersion = owes ? versionWritten : 0;
      const request = { chunk, version, replicaOnly: false, acknowledgedVersion };
      const options = patience.attempt(ATTEMPT_MS_MAX);
      await this.#options.pool.callWatched(primaryOf(span.location).address, sync, request, options);
    });
  }

  /** Length and seal of a chunk as its primary has them; an extent that was never written is empty. */
  async lengthOf(
    access: Access,
    fileOffset: number,
    patience: Patience,
  ): Promise<{ length: number; sealed: boolean }> {
    let result = { length: 0, sealed: false };
    await this.atPrimary(access, fileOffset, patience, async (span) => {
      try {
        result = await this.lengthAt(span.location, patience);
      } catch (error) {
        const unwritten = this.#options.locations.firstRecord(span.location) !== undefined;
        if (codeOf(error) !== 'NO_SUCH_CHUNK' || !unwritten) throw error;
      }
    });
    return result;
  }

  /** One question to the primary that is named there: how long the chunk is on all members (P22). */
  async lengthAt(location: ExtentLocation, patience: Patience): Promise<{ length: number; sealed: boolean }> {
    const { chunk, version } = location;
    const options = patience.attempt(ATTEMPT_MS_MAX);
    const { address } = primaryOf(location);
    return (await this.#options.pool.callWatched(address, chunkLength, { chunk, version }, options)).message;
  }

  /** One question to one member: what the chunk's table of appends says of a writer. */
  async recallAt(
    { chunk, version }: ExtentLocation,
    { address }: Replica,
    writer: number,
    patience: Patience,
  ): Promise<RecallResponse> {
    const options = patience.attempt(ATTEMPT_MS_MAX);
    return (await this.#options.pool.callWatched(address, recall, { chunk, version, writer }, options))
      .message;
  }

  /** Does `work` at the primary of the extent at `fileOffset`, whichever that is when it succeeds. */
  async atPrimary(
    access: Access,
    fileOffset: number,
    patience: Patience,
    work: (span: ExtentSpan) => Promise<void>,
  ): Promise<void> {
    let suspicion: Suspicion | undefined;
    for (;;) {
      const span = await this.#options.locations.withPrimary(access, fileOffset, suspicion, patience);
      if (span === undefined) return;
      try {
        await work(span);
        return;
      } catch (error) {
        suspicion = await this.recover(error, span, suspicion, patience);
      }
    }
  }

  /** After a failed attempt: waits for another one, and says whom that should not trust; throws when nothing helps. */
  async recover(
    error: unknown,
    span: ExtentSpan,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<Suspicion | undefined> {
    const remedy = this.remedyFor(error, span.location);
    await patience.pause(error);
    return remedy.kind === 'suspect' ? remedy.suspicion : suspicion;
  }

  /** What to do about a failed attempt; throws when nothing helps. */
  remedyFor(error: unknown, location: ExtentLocation): Remedy {
    const { chunk, start, version } = location;
    switch (codeOf(error)) {
      case 'VERSION_MISMATCH':
      case 'NOT_PRIMARY':
      case 'NO_SUCH_CHUNK':
      case 'IO_ERROR':
      case 'CORRUPT':
      case 'UNAVAILABLE':
      case 'DEADLINE_EXCEEDED':
        return { kind: 'suspect', suspicion: { chunk, start, version } };
      case 'NO_SPACE': {
        const full = serverNamedBy(error) ?? location.primary;
        const unacknowledged = this.#options.locations.firstRecord(location) !== undefined;
        return { kind: 'suspect', suspicion: { chunk, start, version, full, unacknowledged } };
      }
      case 'SEALED':
      case 'NOT_READY':
      case 'TOO_FEW_REPLICAS':
      case 'SERIAL_GAP':
      case 'NO_SUCH_PUSH':
      case 'CHECKSUM_MISMATCH':
        return { kind: 'wait' };
      default:
        throw error;
    }
  }
}

/** Bytes that are here. */
export function dataOf(bytes: Bytes): WriteData {
  const length = lengthOf(bytes);
  return {
    length,
    within: (start, end) => ({ bytes: end - start === length ? bytes : slice(bytes, start, end) }),
  };
}

export function primaryOf({ primary, members, chunk }: ExtentLocation): Replica {
  const found = members.find(({ server }) => server === primary);
  if (found === undefined) throw new GfsError('NOT_READY', `chunk ${hex(chunk)} has no primary`);
  return found;
}

/** The master's word that a chunk's servers are full: whether others have room. */
export function hasRoomElsewhere(error: unknown): boolean {
  return error instanceof GfsError && error.code === 'NO_SPACE' && error.fields.elsewhere === 'yes';
}
