import { type Bytes, lengthOf } from '../base/bytes.ts';
import { INLINE_MUTATION_BYTES_MAX } from '../base/constants.ts';
import type { Env, Timer } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import { telling } from './applied.ts';
import { Patience } from './patience.ts';
import type { Writer } from './writers.ts';

/** Appends `bytes` as one record; resolves to its file offset. */
export type AppendRecord = (writer: Writer, bytes: Bytes, patience: Patience) => Promise<number>;

export interface AppendQueueOptions {
  readonly env: Env;
  /** Small records together are no longer than this either. */
  readonly recordBytesMax: number;
  readonly takeWriter: (patience: Patience) => Promise<Writer>;
  readonly giveBack: (writer: Writer) => void;
  readonly append: AppendRecord;
}

/**
 * The appends of one writer: one at a time (P15), in the order in which they were asked for. Small ones that queue up
 * meanwhile go out together, as one record of the protocol: each is whole, and has its own place in it and its own answer.
 */
export class AppendQueue {
  readonly #options: AppendQueueOptions;
  readonly #batchBytesMax: number;
  readonly #queue: QueuedRecord[] = [];
  #writer: Writer | undefined;
  #busy = false;
  #onIdle: (() => void) | undefined;
  #closed = false;

  constructor(options: AppendQueueOptions) {
    this.#options = options;
    this.#batchBytesMax = Math.min(INLINE_MUTATION_BYTES_MAX, options.recordBytesMax);
  }

  /** `bytes` are borrowed until it settles. Errors have `applied`. */
  async append(bytes: Bytes, patience: Patience): Promise<number> {
    try {
      return await this.#append(bytes, patience);
    } catch (error) {
      // It was not sent, or who sent it told what is known.
      throw telling(error, 'no');
    }
  }

  async #append(bytes: Bytes, patience: Patience): Promise<number> {
    if (this.#closed) throw new GfsError('BAD_FILE', 'the writer is closed');
    const length = lengthOf(bytes);
    const { recordBytesMax } = this.#options;
    if (length === 0) throw new GfsError('INVALID_ARGUMENT', 'an append of nothing');
    if (length > recordBytesMax) {
      const message = `a record of ${length} bytes is longer than ${recordBytesMax}, a quarter chunk`;
      throw new GfsError('INVALID_ARGUMENT', message);
    }
    if (this.#busy) {
      return await new Promise((resolve, reject) => {
        this.#queue.push(new QueuedRecord(this.#options.env, bytes, length, patience, { resolve, reject }));
      });
    }
    this.#busy = true;
    try {
      return await this.#send(bytes, patience);
    } finally {
      this.#next();
    }
  }

  /** Resolves when everything that was asked for has its answer. Takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    if (this.#writer !== undefined) this.#options.giveBack(this.#writer);
    this.#writer = undefined;
  }

  async #send(bytes: Bytes, patience: Patience): Promise<number> {
    this.#writer ??= await this.#options.takeWriter(patience);
    return await this.#options.append(this.#writer, bytes, patience);
  }

  #next(): void {
    const batch = this.#takeBatch();
    if (batch.length > 0) {
      // It answers each record itself, and never fails.
      void this.#sendBatch(batch).then(() => this.#next());
      return;
    }
    this.#busy = false;
    this.#onIdle?.();
  }

  /** The oldest record, and with it those behind it that fit. */
  #takeBatch(): QueuedRecord[] {
    const batch: QueuedRecord[] = [];
    let length = 0;
    for (const record of this.#queue) {
      if (!record.waits) continue;
      if (batch.length > 0 && length + record.length > this.#batchBytesMax) break;
      length += record.length;
      batch.push(record);
    }
    const last = batch.at(-1);
    if (last === undefined) this.#queue.length = 0;
    else this.#queue.splice(0, this.#queue.indexOf(last) + 1);
    return batch;
  }

  async #sendBatch(batch: readonly QueuedRecord[]): Promise<void> {
    const all = new AbortController();
    let waiting = batch.length;
    for (const record of batch) {
      record.onGivenUp = () => {
        waiting -= 1;
        if (waiting === 0) all.abort();
      };
    }
    const requestId = joinedRequestIds(batch.map(({ patience }) => patience.requestId));
    const deadlineMs = Math.max(...batch.map(({ patience }) => patience.deadlineMs));
    const patience = new Patience(this.#options.env, { deadlineMs, signal: all.signal, requestId }, 0);
    try {
      for (const record of batch) record.isSent = true;
      // A copy: a record that is given up gives its bytes back, and what is sent must stay the same.
      const copy = Buffer.concat(batch.flatMap((record) => record.bytes));
      let fileOffset = await this.#send([copy], patience);
      for (const record of batch) {
        record.resolve(fileOffset);
        fileOffset += record.length;
      }
    } catch (error) {
      for (const record of batch) record.reject(error);
    }
  }
}

/** A record that waits for its turn, and then for its answer, no longer than its own deadline and signal allow. */
export class QueuedRecord {
  readonly bytes: Bytes;
  readonly length: number;
  readonly patience: Patience;
  onGivenUp: (() => void) | undefined;
  /** Or may be any moment. */
  isSent = false;
  #settle: Settle | undefined;
  readonly #timer: Timer;

  constructor(env: Env, bytes: Bytes, length: number, patience: Patience, settle: Settle) {
    this.bytes = bytes;
    this.length = length;
    this.patience = patience;
    this.#settle = settle;
    const leftMs = patience.deadlineMs - env.monotonicMs();
    this.#timer = env.setTimer(Math.max(0, leftMs), () => {
      this.#giveUp(new GfsError('DEADLINE_EXCEEDED', 'the record has no answer at its deadline'));
    });
    patience.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (patience.signal?.aborted) this.#onAbort();
  }

  /** Nobody has given it up. */
  get waits(): boolean {
    return this.#settle !== undefined;
  }

  resolve(fileOffset: number): void {
    this.#settled()?.resolve(fileOffset);
  }

  reject(error: unknown): void {
    this.#settled()?.reject(error);
  }

  readonly #onAbort = () => this.#giveUp(new GfsError('CANCELLED', 'cancelled'));

  #giveUp(error: GfsError): void {
    if (!this.waits) return;
    this.reject(telling(error, this.isSent ? 'unknown' : 'no'));
    this.onGivenUp?.();
  }

  #settled(): Settle | undefined {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#timer.cancel();
    this.patience.signal?.removeEventListener('abort', this.#onAbort);
    return settle;
  }
}

interface Settle {
  readonly resolve: (fileOffset: number) => void;
  readonly reject: (error: unknown) => void;
}
