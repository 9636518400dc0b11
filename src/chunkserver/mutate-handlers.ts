import { lengthOf, NO_BYTES } from '../base/bytes.ts';
import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import { checksumsMatch, crc32OfBytes } from '../base/crc.ts';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { badLengths } from '../core/append-entries.ts';
import type { MutationAnswer, MutationRequest } from '../core/primary.ts';
import { type MutateRequest, type MutateResponse, MutationKind } from '../rpc/messages.ts';
import type { Incoming } from '../rpc/network.ts';
import type { HeldChunk } from './held-chunk.ts';
import type { MutationData } from './order-line.ts';
import type { PrimaryRole } from './primary-role.ts';
import { mendMerged } from './read-mended.ts';
import { type ChunkserverHandlers, heldOrBegun, notPrimary, type ServerParts } from './server-parts.ts';
import { messageOfEntry, noSuchChunk, recordOf, sameNumbers } from './wire.ts';

/**
 * How long a mutation waits for its primary to have reconciled the members, or to have one evicted; nearly always that is
 * done by then. Its client looks meanwhile whether the server is still there.
 */
const SETTLE_MS_MAX = 8 * SECOND_MS;

export function mutateHandlers(parts: ServerParts): Pick<ChunkserverHandlers, 'mutate'> {
  return {
    mutate: async (incoming, { requestId }) => {
      const { message } = incoming;
      const kind = kindOf(message);
      const { chunk, version, writer, number, chunkOffset } = message;
      const length = kind === 'seal' ? 0 : message.length;
      const recordChecksum = kind === 'append' ? checksumOfRecord(message) : 0;
      const lengths = kind === 'append' ? recordLengthsOf(message) : {};
      const request = { kind, writer, number, chunkOffset, length, recordChecksum, ...lengths };
      const held = parts.chunks.peek(chunk) ?? (await parts.chunks.hold(chunk));
      let role = held === undefined ? undefined : await activeRole(parts, held, version);
      // What was done before is answered whether or not its data came again, and on a full disk too.
      const known = role?.recall(request);
      if (known !== undefined) {
        giveBack(parts, message);
        return { message: answered(parts, message, await known) };
      }
      if (role === undefined) checkFirst(parts, message, request);
      const room = kind === 'seal' ? undefined : parts.checkRoom(kind === 'zero' ? 0 : length);
      if (room !== undefined) await orGiveBack(parts, room, message);
      const data = takeData(parts, kind, incoming);
      const { release } = data;
      try {
        role ??= await activeRole(parts, await heldOrBegun(parts, message), version);
        const merges = kind === 'write' || kind === 'zero';
        const mended = merges && held ? mendMerged(parts.mender, held.replica, request) : undefined;
        if (mended !== undefined) await mended;
        return { message: answered(parts, message, await role.mutate(request, data, requestId)) };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

/** It may have been carried over to a later version, which has other members. */
function answered(
  parts: ServerParts,
  { chunk, version }: MutateRequest,
  answer: MutationAnswer,
): MutateResponse {
  const taken = answer.taken === undefined ? undefined : messageOfEntry(answer.taken);
  return { ...answer, taken, version: parts.chunks.peek(chunk)?.replica.state.record.version ?? version };
}

function kindOf({ kind }: MutateRequest): MutationRequest['kind'] {
  switch (kind) {
    case MutationKind.MUTATION_KIND_WRITE:
      return 'write';
    case MutationKind.MUTATION_KIND_ZERO:
      return 'zero';
    case MutationKind.MUTATION_KIND_APPEND:
      return 'append';
    case MutationKind.MUTATION_KIND_SEAL:
      return 'seal';
    default:
      // A cut goes with a raise of the version (P19).
      throw new GfsError('INVALID_ARGUMENT', `no mutation of kind ${kind}`);
  }
}

function checksumOfRecord({ chunk, checksums }: MutateRequest): number {
  const [checksum] = checksums;
  if (checksum !== undefined && checksums.length === 1) return checksum;
  throw new GfsError('INVALID_ARGUMENT', `a record for chunk ${hex(chunk)} has one checksum, of all of it`);
}

function recordLengthsOf(message: MutateRequest): { readonly recordLengths?: readonly number[] } {
  const { recordLengths } = message;
  if (recordLengths.length === 0) return {};
  const bad = badLengths(recordLengths, message);
  if (bad !== undefined) throw new GfsError('INVALID_ARGUMENT', bad);
  return { recordLengths };
}

/** A chunk that is not here begins with its first mutation (P23), but not with one that is refused. */
function checkFirst(parts: ServerParts, { chunk, first }: MutateRequest, request: MutationRequest): void {
  if (first === undefined) throw noSuchChunk(chunk);
  parts.chunks.checkFirst(recordOf(first), request);
}

/** Orders under this version, or is over; NOT_PRIMARY: this server is none. */
export async function activeRole(parts: ServerParts, held: HeldChunk, version: number): Promise<PrimaryRole> {
  held.checkVersion(version);
  const { role } = held;
  if (role === undefined) throw notPrimary(held);
  if (role.active) return role;
  await settledWithin(parts.env, role.settled, SETTLE_MS_MAX);
  // The next version may have begun, perhaps with this server as its primary again.
  held.checkVersion(version);
  // One that ended says why: a full disk is not made larger by another primary.
  return role;
}

/** Refused for want of room, before anything is ordered: what was pushed would come again with the next attempt. */
async function orGiveBack(parts: ServerParts, room: Promise<void>, message: MutateRequest): Promise<void> {
  try {
    await room;
  } catch (error) {
    giveBack(parts, message);
    throw error;
  }
}

/** What was pushed for it is not needed. */
function giveBack(parts: ServerParts, { chunk, pushId }: MutateRequest): void {
  if (pushId !== undefined) parts.pushes.take(chunk, pushId.writer, pushId.number)?.release();
}

/** The data, verified: what came with the request, or was pushed before and now is this mutation's. */
function takeData(
  parts: ServerParts,
  kind: MutationRequest['kind'],
  { message, payload }: Incoming<MutateRequest>,
): MutationData {
  if (kind === 'seal' || kind === 'zero')
    return { bytes: NO_BYTES, checksums: [], pushId: undefined, release: nothing };
  const { chunk, chunkOffset, length, checksums, pushId } = message;
  if (kind === 'write' && length > MUTATION_BYTES_MAX) {
    throw new GfsError('INVALID_ARGUMENT', `a write of ${length} bytes; at most ${MUTATION_BYTES_MAX}`);
  }
  if (pushId === undefined) {
    if (lengthOf(payload) !== length)
      throw new GfsError('INVALID_ARGUMENT', `${lengthOf(payload)} bytes came, not ${length}`);
    checkData(kind, message, payload);
    return { bytes: payload, checksums, pushId, release: nothing };
  }
  const taken = parts.pushes.take(chunk, pushId.writer, pushId.number);
  if (taken === undefined)
    throw new GfsError('NO_SUCH_PUSH', `push ${pushId.writer}/${pushId.number} is not here`);
  const { data } = taken;
  try {
    const placed = kind === 'append' || data.chunkOffset === chunkOffset;
    if (data.length !== length || !placed) {
      const pushed = `${data.length} bytes at ${data.chunkOffset}`;
      throw new GfsError('INVALID_ARGUMENT', `push ${pushId.writer}/${pushId.number} was of ${pushed}`);
    }
    // Every piece was verified when it came in; the request's sums only have to say the same.
    if (kind === 'append' || !sameNumbers(checksums, data.checksums)) checkData(kind, message, data.bytes);
  } catch (error) {
    taken.release();
    throw error;
  }
  return { bytes: data.bytes, checksums, pushId, release: taken.release };
}

function checkData(kind: 'write' | 'append', message: MutateRequest, bytes: readonly Uint8Array[]): void {
  const { chunk, chunkOffset, checksums } = message;
  const matches =
    kind === 'write' ? checksumsMatch(bytes, chunkOffset, checksums) : crc32OfBytes(bytes) === checksums[0];
  if (!matches)
    throw new GfsError('CHECKSUM_MISMATCH', `data for chunk ${hex(chunk)} got damaged on its way`);
}

/** Returns when the promise has settled or the time is over. */
async function settledWithin(env: Env, promise: Promise<void>, timeMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = env.setTimer(timeMs, resolve);
    const settled = () => {
      timer.cancel();
      resolve();
    };
    promise.then(settled, settled);
  });
}

const nothing = () => undefined;
