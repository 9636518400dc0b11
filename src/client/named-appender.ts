import { type Bytes, lengthOf } from '../base/bytes.ts';
import { INLINE_MUTATION_BYTES_MAX } from '../base/constants.ts';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import { APPEND_RECORDS_MAX } from '../core/append-entries.ts';
import { QueuedRecord } from './append-queue.ts';
import { telling } from './applied.ts';
import type { ExtentSpan } from './extent-map.ts';
import type { BatchFate, NamedWriter } from './named-writer.ts';
import { Patience } from './patience.ts';

export interface NamedAppendQueueOptions {
  readonly env: Env;
  readonly recordBytesMax: number;
  readonly writer: NamedWriter;
  /** Does `work` while records of the file may pass, behind what was written to it. */
  readonly pass: (work: () => Promise<void>, patience: Patience) => Promise<void>;
  /** That is in the file, by this client. */
  readonly onAppended: (span: ExtentSpan, fileOffset: number, bytes: Bytes) => void;
}

/**
 * Numbered records on their way to a file: in the order of their numbers, one batch at a time, and what queues up meanwhile goes
 * in the next one. Each is there once, whoever else appends by the same name, or did so and died before he had its answer.
 */
export class NamedAppendQueue {
  readonly #options: NamedAppendQueueOptions;
  readonly #batchBytesMax: number;
  #queue: NumberedRecord[] = [];
  #busy = false;
  #onIdle: (() => void) | undefined;
  #closed = false;

  constructor(options: NamedAppendQueueOptions) {
    this.#options = options;
    this.#batchBytesMax = Math.min(INLINE_MUTATION_BYTES_MAX, options.recordBytesMax);
  }

  /** `bytes` are borrowed until it settles. */
  async append(
    sequence: number,
    bytes: Bytes,
    patience: Patience,
    onFailure: () => void = () => undefined,
  ): Promise<number> {
    if (this.#closed) throw new GfsError('BAD_FILE', 'the appender is closed');
    const length = lengthOf(bytes);
    const { recordBytesMax, env } = this.#options;
    if (!Number.isSafeInteger(sequence) || sequence < 1)
      throw new GfsError('INVALID_ARGUMENT', `${sequence} is no number of a record`);
    if (length === 0) throw new GfsError('INVALID_ARGUMENT', 'an append of nothing');
    if (length > recordBytesMax) {
      const message = `a record of ${length} bytes is longer than ${recordBytesMax}, a quarter chunk`;
      throw new GfsError('INVALID_ARGUMENT', message);
    }
    return await new Promise((resolve, reject) => {
      const settle = {
        resolve,
        reject: (error: unknown) => {
          reject(error);
          onFailure();
        },
      };
      this.#queue.push(new NumberedRecord(sequence, env, bytes, length, patience, settle));
      if (this.#busy) return;
      this.#busy = true;
      // What is asked for in the same breath goes together. It answers each record itself, and never fails.
      void Promise.resolve().then(() => this.#work());
    });
  }

  /** Resolves when everything that was asked for has its answer. Takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#busy) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  async #work(): Promise<void> {
    for (;;) {
      this.#queue = this.#queue.filter(({ waits }) => waits);
      if (this.#queue.length === 0) break;
      this.#queue.sort((one, other) => one.sequence - other.sequence);
      await this.#round();
    }
    this.#busy = false;
    this.#onIdle?.();
  }

  /** Answers what is known already, and appends what follows. */
  async #round(): Promise<void> {
    const all = new AbortController();
    const askers = [...this.#queue];
    let waiting = askers.length;
    for (const record of askers) {
      record.onGivenUp = () => {
        waiting -= 1;
        if (waiting === 0) all.abort();
      };
    }
    const requestId = joinedRequestIds(askers.map(({ patience }) => patience.requestId));
    const deadlineMs = Math.max(...askers.map(({ patience }) => patience.deadlineMs));
    const patience = new Patience(this.#options.env, { deadlineMs, signal: all.signal, requestId }, 0);
    const fate: BatchFate = { mayBeApplied: false };
    const sent = new Set<NumberedRecord>();
    try {
      await this.#options.pass(() => this.#appendAll(askers, sent, patience, fate), patience);
    } catch (error) {
      this.#options.writer.doubt();
      // Of those that were not sent nothing is known to be wrong, but they would meet the same.
      for (const record of askers)
        record.reject(telling(error, fate.mayBeApplied && sent.has(record) ? 'unknown' : 'no'));
    }
  }

  /** One batch at the most, in as many attempts as it takes. */
  async #appendAll(
    askers: readonly NumberedRecord[],
    sent: Set<NumberedRecord>,
    patience: Patience,
    fate: BatchFate,
  ): Promise<void> {
    const { writer } = this.#options;
    let isFresh = false;
    for (;;) {
      if (!writer.isFound) await writer.find(patience);
      this.#answerKnown(askers);
      const batch = this.#batchOf(askers);
      const last = batch.at(-1);
      if (last === undefined) {
        const left = askers.filter(({ waits }) => waits);
        if (left.length === 0) return;
        if (isFresh) {
          for (const record of left) record.reject(this.#gapBefore(record));
          return;
        }
        // Somebody else may have appended what is missing.
        isFresh = true;
        writer.doubt();
        continue;
      }
      for (const record of batch) {
        sent.add(record);
        record.isSent = true;
      }
      // A copy: a record that is given up gives its bytes back, and what is sent must stay the same.
      const bytes = [Buffer.concat(batch.flatMap((record) => record.bytes))];
      const lengths = batch.map(({ length }) => length);
      const outcome = await writer.append({ number: last.sequence, lengths, bytes }, patience, fate);
      if (outcome.kind === 'appended') {
        this.#options.onAppended(outcome.span, outcome.fileOffset, bytes);
        this.#answerKnown(batch);
        return;
      }
    }
  }

  #answerKnown(askers: readonly NumberedRecord[]): void {
    const { known } = this.#options.writer;
    for (const record of askers) {
      const { sequence, length } = record;
      if (sequence > (known.highest ?? 0)) continue;
      const found = known.find(sequence);
      if (found === undefined) record.reject(tooOld(sequence, known.highest ?? 0));
      else if (found.length !== length) record.reject(another(sequence, found.length));
      else record.resolve(found.fileOffset);
    }
  }

  /** What goes together of those that wait, from the first that may follow what is in the file. */
  #batchOf(askers: readonly NumberedRecord[]): NumberedRecord[] {
    const { known, mayHaveForgotten } = this.#options.writer;
    const waiting = askers.filter(({ waits }) => waits);
    const [first] = waiting;
    if (first === undefined) return [];
    const { highest } = known;
    const follows = highest === undefined || mayHaveForgotten || first.sequence === highest + 1;
    if (!follows) return [];
    const batch = [first];
    let { length } = first;
    for (const record of waiting) {
      const next = first.sequence + batch.length;
      if (record.sequence < next) continue;
      length += record.length;
      const fits = length <= this.#batchBytesMax && batch.length < APPEND_RECORDS_MAX;
      if (record.sequence > next || !fits) break;
      batch.push(record);
    }
    return batch;
  }

  #gapBefore({ sequence }: NumberedRecord): GfsError {
    const highest = this.#options.writer.known.highest ?? 0;
    return new GfsError('INVALID_ARGUMENT', `record ${sequence} does not follow ${highest}, the latest one`, {
      fields: { highest: String(highest), applied: 'no' },
    });
  }
}

/** It waits for its turn, as any record does, and has a number. */
class NumberedRecord extends QueuedRecord {
  readonly sequence: number;

  constructor(sequence: number, ...rest: ConstructorParameters<typeof QueuedRecord>) {
    super(...rest);
    this.sequence = sequence;
  }
}

function tooOld(sequence: number, highest: number): GfsError {
  return new GfsError(
    'EXISTS',
    `record ${sequence} was appended before: ${highest} is the latest, and only of the latest ${APPEND_RECORDS_MAX} is kept where they lie`,
    { fields: { highest: String(highest), applied: 'unknown' } },
  );
}

function another(sequence: number, length: number): GfsError {
  return new GfsError('INVALID_ARGUMENT', `record ${sequence} was another one before, of ${length} bytes`, {
    fields: { applied: 'no' },
  });
}
