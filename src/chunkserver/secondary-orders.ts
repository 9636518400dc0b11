import type { Bytes } from '../base/bytes.ts';
import { GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { AppendTail } from '../core/append-tail.ts';
import type { Mutation } from '../core/replica-types.ts';
import { SerialQueue } from '../core/serial-queue.ts';
import type { Replica } from '../storage/replica-store.ts';

/** How long an order waits for its predecessors; a connection that is alive brings them much sooner. */
export const HELD_ORDER_MS_MAX = 5_000;

interface HeldOrder {
  readonly mutation: Mutation;
  readonly data: Bytes;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A member's end of one version's orders: applied in serial order, whatever order they come in (P11). */
export class SecondaryOrders {
  readonly version: number;
  readonly #replica: Replica;
  readonly #queue: SerialQueue<HeldOrder>;
  readonly #tail = new AppendTail();
  #committedSerial = 0;
  #failure: GfsError | undefined;

  constructor(replica: Replica) {
    const { chunk, record, stream } = replica.state;
    this.version = record.version;
    this.#replica = replica;
    // The stream of a replica that is reconciled under its version is that version's.
    this.#queue = new SerialQueue({ chunk, next: stream.version === record.version ? stream.nextSerial : 0 });
  }

  /** Nothing is known here that the replica itself does not know. */
  get idle(): boolean {
    return this.#queue.heldCount === 0 && this.#tail.size === 0;
  }

  /** Whether readers may be told less than the replica holds. */
  visibleLength(replicaLength: number): number {
    return this.#tail.visible(replicaLength);
  }

  /** Every serial below is known to be on all members. */
  get committedSerial(): number {
    return this.#committedSerial;
  }

  committed(serial: number): void {
    this.#committedSerial = Math.max(this.#committedSerial, serial);
    this.#tail.committed(serial);
  }

  /** Resolves when the order is applied. */
  order(mutation: Mutation, data: Bytes, nowMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const ready = unwrap(this.#queue.offer(mutation.serial, { mutation, data, resolve, reject }, nowMs));
      for (const order of ready) this.#apply(order);
    });
  }

  /** Refuses orders that wait too long: what they wait for is lost, and with it this version's stream. */
  expire(nowMs: number): void {
    const late = this.#queue.expire(nowMs - HELD_ORDER_MS_MAX);
    if (late.length === 0) return;
    const { chunk } = this.#replica;
    this.#fail(new GfsError('SERIAL_GAP', `chunk ${hex(chunk)}: serial ${this.#queue.next} never came`));
    for (const order of late) order.reject(this.#failure);
  }

  /** The version is over. */
  end(error: GfsError): void {
    this.#fail(error);
  }

  #apply(order: HeldOrder): void {
    if (order.mutation.kind === 'append') {
      this.#tail.appended(order.mutation.serial, order.mutation.chunkOffset);
    }
    this.#replica.apply(order.mutation, order.data).then(order.resolve, (error: unknown) => {
      // Everything after a failed apply is refused: the next version decides what this replica holds.
      this.#fail(
        new GfsError('SERIAL_GAP', `an earlier order failed: ${messageOf(error)}`, { cause: error }),
      );
      order.reject(error);
    });
  }

  #fail(error: GfsError): void {
    this.#failure ??= error;
    for (const order of this.#queue.clear()) order.reject(this.#failure);
  }
}
