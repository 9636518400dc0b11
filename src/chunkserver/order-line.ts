import { type Bytes, lengthOf, NO_BYTES, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES, MUTATION_BYTES_MAX } from '../base/constants.ts';
import { checksumsOf } from '../base/crc.ts';
import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { pushPieces } from '../base/pieces.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import { KiB, SECOND_MS } from '../base/units.ts';
import type { Order as CoreOrder, MutationRequest } from '../core/primary.ts';
import {
  type ApplyRequest,
  ChunkserverDefinition,
  MutationKind,
  type Order,
  type PushHeader,
  type PushId,
} from '../rpc/messages.ts';
import type { Connection } from '../rpc/network.ts';
import { carriesData } from './wire.ts';

/** A member that has not applied an order by then has failed. */
export const APPLY_MS_MAX = 10 * SECOND_MS;
/** Calls with inline data under way; orders that come meanwhile gather for the next one. */
const INLINE_CALLS_MAX = 2;
const BATCH_BYTES_MAX = 256 * KiB;
const BATCH_COUNT_MAX = 256;

/** The data of a mutation, verified, with how members may find it. */
export interface MutationData {
  readonly bytes: Bytes;
  /** Of a write: cut where blocks begin. Of an append: of the whole record. */
  readonly checksums: readonly number[];
  /** Members were sent it before, under this id. */
  readonly pushId: PushId | undefined;
  /** Not needed any more. */
  release(): void;
}

/** An order on its way to a member, with the data that the member may have been pushed before. */
export interface OrderInFlight {
  readonly message: Order;
  readonly bytes: Bytes;
  /** Of the mutation. */
  readonly requestId: string;
}

export interface OrderLineOptions {
  readonly env: Env;
  readonly connection: Connection;
  /** What carries these orders, with what else the member is to know by then. */
  readonly request: (orders: Order[]) => ApplyRequest;
  readonly onApplied: (serial: number) => void;
  readonly onFailed: (error: unknown) => void;
}

/**
 * A primary's orders to one member. Small ones that queue up behind others go together: one call, and one write of the
 * member's log. (One at a time costs a busy member most of its time for a hundred bytes.)
 */
export class OrderLine {
  readonly #options: OrderLineOptions;
  readonly #waiting: OrderInFlight[] = [];
  #inlineCalls = 0;
  #closed = false;

  constructor(options: OrderLineOptions) {
    this.#options = options;
  }

  send(order: OrderInFlight): void {
    if (order.message.pushId !== undefined) void this.#carry([order]);
    else if (this.#inlineCalls < INLINE_CALLS_MAX) void this.#carryInline([order]);
    else this.#waiting.push(order);
  }

  /** What waits is not sent any more, and nobody hears of what is under way. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  async #carryInline(orders: readonly OrderInFlight[]): Promise<void> {
    this.#inlineCalls += 1;
    await this.#carry(orders);
    this.#inlineCalls -= 1;
    const batch = this.#takeBatch();
    if (batch.length > 0) void this.#carryInline(batch);
  }

  /** Never fails: it is told. */
  async #carry(orders: readonly OrderInFlight[]): Promise<void> {
    const { onApplied, onFailed } = this.#options;
    try {
      await this.#apply(orders);
    } catch (error) {
      if (!this.#closed) onFailed(error);
      return;
    }
    for (const { message } of orders) {
      if (!this.#closed) onApplied(message.serial);
    }
  }

  async #apply(orders: readonly OrderInFlight[]): Promise<void> {
    try {
      await this.#call(orders);
    } catch (error) {
      const [pushed] = orders;
      if (codeOf(error) !== 'NO_SUCH_PUSH' || pushed === undefined || this.#closed) throw error;
      await this.#applyWithData(pushed);
    }
  }

  /** The member lost what was pushed (P11): this time the data goes with the order, or right before it. */
  async #applyWithData({ message, bytes, requestId }: OrderInFlight): Promise<void> {
    if (message.length <= MUTATION_BYTES_MAX) {
      await this.#call([{ message: { ...message, pushId: undefined }, bytes, requestId }]);
      return;
    }
    const { chunk, version } = this.#options.request([]);
    const order = { message, bytes, requestId };
    const options = { ...this.#callOptions(), requestId };
    await pushData(this.#options.connection, { chunk, version }, order, options);
    await this.#call([order]);
  }

  async #call(orders: readonly OrderInFlight[]): Promise<void> {
    const [first] = orders;
    const inline = first?.message.pushId === undefined;
    const payload = !inline ? NO_BYTES : orders.length === 1 ? first?.bytes : orders.flatMap(bytesOf);
    const request = this.#options.request(orders.map(({ message }) => message));
    const { apply } = ChunkserverDefinition.methods;
    const requestId = orders.length === 1 ? first?.requestId : joinedRequestIds(orders.map(requestIdOf));
    await this.#options.connection.call(apply, request, { payload, requestId, ...this.#callOptions() });
  }

  #takeBatch(): OrderInFlight[] {
    return this.#waiting.splice(0, batchCountOf(this.#waiting));
  }

  #callOptions() {
    return { deadlineMs: this.#options.env.monotonicMs() + APPLY_MS_MAX };
  }
}

/** How many of these orders fit one call. */
export function batchCountOf(orders: readonly OrderInFlight[]): number {
  let length = 0;
  let count = 0;
  for (const { bytes } of orders) {
    length += lengthOf(bytes);
    if (count > 0 && (length > BATCH_BYTES_MAX || count === BATCH_COUNT_MAX)) break;
    count += 1;
  }
  return count;
}

/** The data of an order that is too long for a call, to one server alone; the order follows. */
export async function pushData(
  connection: Connection,
  { chunk, version }: { readonly chunk: number; readonly version: number },
  { message, bytes }: OrderInFlight,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal; readonly requestId?: string },
): Promise<void> {
  const { chunkOffset, length, pushId } = message;
  const stream = connection.stream(ChunkserverDefinition.methods.push, options);
  let header: PushHeader | undefined = { pushId, chunk, version, chunkOffset, length, chain: [] };
  for (const { bytes: piece, checksums } of pushPieces(bytes, chunkOffset)) {
    await stream.send({ header, checksums, payload: NO_PAYLOAD }, piece);
    header = undefined;
  }
  stream.end();
  await stream.finished();
}

/** As members are told it. A record that lies in one block has its own checksum there. */
export function orderMessage(
  order: CoreOrder,
  { writer, number, recordChecksum, recordLengths = [] }: MutationRequest,
  data: MutationData,
): Order {
  const { serial, kind, chunkOffset, length } = order;
  const isInBlock = (chunkOffset % CHECKSUM_BLOCK_BYTES) + length <= CHECKSUM_BLOCK_BYTES;
  const isCut = kind === 'write' || isInBlock;
  const checksums = isCut ? [...data.checksums] : checksumsOf(data.bytes, chunkOffset);
  const pushId = data.pushId;
  const message = { serial, kind: WIRE_KINDS[kind], writer, number, chunkOffset, length };
  return carriesData(message.kind)
    ? { ...message, checksums, pushId, recordChecksum, recordLengths: [...recordLengths] }
    : { ...message, checksums: [], pushId: undefined, recordChecksum: 0, recordLengths: [] };
}

const WIRE_KINDS = {
  write: MutationKind.MUTATION_KIND_WRITE,
  zero: MutationKind.MUTATION_KIND_ZERO,
  append: MutationKind.MUTATION_KIND_APPEND,
  seal: MutationKind.MUTATION_KIND_SEAL,
} as const;
const bytesOf = ({ bytes }: OrderInFlight) => bytes;
const requestIdOf = ({ requestId }: OrderInFlight) => requestId;
