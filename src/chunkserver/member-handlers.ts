import { type Bytes, lengthOf, NO_BYTES, NO_PAYLOAD, slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES, CHUNK_SIZE_BYTES_MAX } from '../base/constants.ts';
import { checksumsMatch } from '../base/crc.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import type { Mutation } from '../core/replica-types.ts';
import {
  type ApplyRequest,
  ChunkserverDefinition,
  type Order,
  type PushId,
  type ReconcileBlock,
} from '../rpc/messages.ts';
import { watched } from '../rpc/watched-call.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { HeldChunk } from './held-chunk.ts';
import { probeOf } from './peers.ts';
import {
  type ChunkserverHandlers,
  heldAt,
  heldOrBegun,
  notPrimary,
  type ServerParts,
} from './server-parts.ts';
import { carriesData, entryOf, messageOfSums, mutationOf, sameNumbers } from './wire.ts';

/** A disk under load takes its time; a member that is silent longer has failed. */
const SYNC_MS_MAX = 30 * SECOND_MS;

type MemberMethods = 'apply' | 'sync' | 'blockChecksums' | 'readBlock' | 'reconcile';

/** What a primary asks of its members; `sync` is asked of the primary by clients, and passed on by it. */
export function memberHandlers(parts: ServerParts): Pick<ChunkserverHandlers, MemberMethods> {
  return {
    apply: async ({ message, payload }) => {
      const { chunk, version, committedSerial } = message;
      const held = parts.chunks.peek(chunk) ?? (await heldOrBegun(parts, message));
      const orders = held.orders(version);
      const taken = takeOrders(parts, message, payload);
      orders.committed(committedSerial);
      const nowMs = parts.env.monotonicMs();
      const applied = await Promise.allSettled(
        taken.map(({ mutation, bytes }) => orders.order(mutation, bytes, nowMs)),
      );
      for (const { release } of taken) release();
      const failed = applied.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      return { message: { chunkLength: held.replica.state.length } };
    },

    sync: async ({ message }, { requestId }) => {
      const held = await heldAt(parts, message.chunk, message.version);
      if (message.replicaOnly) {
        mustBeWhole(held);
        await held.replica.sync();
      } else {
        mustHaveKept(held, message.acknowledgedVersion);
        await syncMembers(parts, held, requestId);
      }
      held.checkVersion(message.version);
      return { message: { serial: held.replica.state.stream.nextSerial } };
    },

    blockChecksums: async ({ message }) => {
      const held = await heldAt(parts, message.chunk, message.version);
      const { whole } = held.replica.state;
      const sums = await held.replica.blockChecksums();
      held.checkVersion(message.version);
      return { message: messageOfSums(sums, whole) };
    },

    readBlock: async ({ message }) => {
      const { chunk, version, blockIndex } = message;
      const held = await heldAt(parts, chunk, version);
      const { payload } = await held.replica.read(blockIndex * CHECKSUM_BLOCK_BYTES, CHECKSUM_BLOCK_BYTES);
      held.checkVersion(version);
      return { message: { payload: NO_PAYLOAD }, payload };
    },

    reconcile: async ({ message, payload }) => {
      const { chunk, version, step } = message;
      const { replica } = await heldAt(parts, chunk, version);
      switch (step?.$case) {
        case 'cut': {
          const { length, lowered, dropped } = step.value;
          await replica.reconcileCut(version, length, { lowered: lowered.map(entryOf), dropped });
          break;
        }
        case 'block':
          await reconcileBlock(replica, version, step.value, payload);
          break;
        case 'finish':
          await replica.reconcileFinish(version, { ...step.value, table: step.value.table.map(entryOf) });
          parts.chunks.reconciled(chunk);
          break;
        default:
          throw new GfsError('INVALID_ARGUMENT', 'a reconcile without a step');
      }
      return { message: {} };
    },
  };
}

function reconcileBlock(
  replica: Replica,
  version: number,
  { blockIndex, checksum, lostBytes }: ReconcileBlock,
  payload: Bytes,
): Promise<void> {
  if (lostBytes === 0) return replica.reconcileBlock(version, blockIndex, payload, checksum);
  return replica.reconcileLostBlock(version, { blockIndex, length: lostBytes, checksum });
}

export interface TakenOrder {
  readonly mutation: Mutation;
  readonly bytes: Bytes;
  release(): void;
}

/**
 * All orders of a call with their data, verified. Where one cannot be meant, or has no data, none is given: an order that
 * the replica itself refuses would end the version's stream with it (P11).
 */
export function takeOrders(
  parts: ServerParts,
  { chunk, version, orders }: Pick<ApplyRequest, 'chunk' | 'version' | 'orders'>,
  payload: Bytes,
): TakenOrder[] {
  const taken: TakenOrder[] = [];
  let position = 0;
  try {
    for (const order of orders) {
      checkRange(parts, order);
      const isInline = order.pushId === undefined && carriesData(order.kind);
      const end = position + (isInline ? order.length : 0);
      const inline = position === 0 && orders.length === 1 ? payload : slice(payload, position, end);
      position = end;
      taken.push({ mutation: mutationOf(version, order), ...takeData(parts, chunk, order, inline) });
    }
  } catch (error) {
    for (const { release } of taken) release();
    throw error;
  }
  return taken;
}

function checkRange(parts: ServerParts, { kind, chunkOffset, length }: Order): void {
  const hasLength = !carriesData(kind) || (length > 0 && length <= parts.mutationBytesMax());
  if (hasLength && chunkOffset + length <= CHUNK_SIZE_BYTES_MAX) return;
  throw new GfsError('INVALID_ARGUMENT', `no order is for ${length} bytes at ${chunkOffset}`);
}

function takeData(
  parts: ServerParts,
  chunk: number,
  order: Order,
  payload: Bytes,
): { bytes: Bytes; release(): void } {
  if (!carriesData(order.kind)) return { bytes: NO_BYTES, release: nothing };
  if (order.pushId !== undefined) return takePushed(parts, chunk, order, order.pushId);
  const { chunkOffset, length, checksums } = order;
  if (lengthOf(payload) !== length || !checksumsMatch(payload, chunkOffset, checksums)) {
    throw new GfsError('CHECKSUM_MISMATCH', `an order's data for chunk ${hex(chunk)} got damaged on its way`);
  }
  return { bytes: payload, release: nothing };
}

/** What the client pushed here may be something else than its primary was given: then it counts as not pushed. */
function takePushed(
  parts: ServerParts,
  chunk: number,
  { chunkOffset, length, checksums }: Order,
  { writer, number }: PushId,
): { bytes: Bytes; release(): void } {
  const taken = parts.pushes.take(chunk, writer, number);
  // It was verified when it came in: where the sums are the same there is nothing to compute.
  const isMeant =
    taken?.data.length === length &&
    (sameNumbers(checksums, taken.data.checksums) ||
      checksumsMatch(taken.data.bytes, chunkOffset, checksums));
  if (taken !== undefined && isMeant) return { bytes: taken.data.bytes, release: taken.release };
  taken?.release();
  throw new GfsError('NO_SUCH_PUSH', `push ${writer}/${number} is not here`);
}

/**
 * What this replica lost with its power before a sync is not on its disk after it: the primary has to make it equal
 * first (P7, P14).
 */
function mustBeWhole({ chunk, replica }: HeldChunk): void {
  if (replica.state.whole) return;
  throw new GfsError(
    'NOT_READY',
    `chunk ${hex(chunk)}: this replica lost power, and has nothing to vouch for`,
  );
}

/** What was acknowledged before a loss of power on all members is nowhere for certain: a sync of it would be a lie (P14). */
function mustHaveKept({ chunk, replica }: HeldChunk, acknowledgedVersion: number): void {
  const { loss } = replica.state.record;
  if (acknowledgedVersion === 0 || acknowledgedVersion >= loss) return;
  throw new GfsError(
    'WRITES_LOST',
    `writes to chunk ${hex(chunk)} at version ${acknowledgedVersion} were lost with the power of all its servers`,
  );
}

/**
 * Syncs all members (P14). It needs the version's reconciled primary but not its lease: what was acknowledged under this
 * version is applied on all members, and each that is still at this version puts it on its disk.
 */
async function syncMembers(parts: ServerParts, held: HeldChunk, asker: string): Promise<void> {
  const { record, standing } = held.replica.state;
  if (record.primary !== parts.self() || standing === 'restarted') throw notPrimary(held);
  if (standing !== 'reconciled')
    throw new GfsError('NOT_READY', `chunk ${hex(held.chunk)} is being reconciled`);
  const { sync } = ChunkserverDefinition.methods;
  const rounds = held.syncRounds(async (requestId) => {
    const request = {
      chunk: record.chunk,
      version: record.version,
      replicaOnly: true,
      acknowledgedVersion: 0,
    };
    const deadlineMs = parts.env.monotonicMs() + SYNC_MS_MAX;
    const others = record.members.filter(({ server }) => server !== parts.self());
    const { role } = held;
    const synced = await Promise.allSettled([
      held.replica.sync().catch((error: unknown) => {
        role?.resign('this server cannot sync', error);
        throw error;
      }),
      ...others.map(async ({ server, address }) => {
        const peer = parts.peers.at(address);
        try {
          await watched(parts.env, { probe: probeOf(peer) }, (signal) =>
            peer.call(sync, request, { deadlineMs, signal, requestId }),
          );
        } catch (error) {
          role?.accuse(server, error);
          throw error;
        }
      }),
    ]);
    const failed = synced.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    // Without a role nobody asks for an eviction: the caller's complaint gets the chunk a higher version.
    throw new GfsError('NOT_PRIMARY', `a member of chunk ${hex(held.chunk)} cannot sync`, {
      cause: failed.reason,
    });
  });
  await rounds.join(asker);
}

const nothing = () => undefined;
