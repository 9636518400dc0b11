import { lengthOf } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import { MiB } from '../base/units.ts';
import type { Call, NamedAppender, Waiting } from '../client/api.ts';
import type { FilesAppendRequest, FilesAppendResponse } from '../rpc/messages.ts';
import type { ServerStream } from '../rpc/network.ts';
import type { IncomingRecord } from './append.ts';

/** What is taken from one stream, and its ack is not with the caller yet. */
const RECORDS_MAX = 64;
const BYTES_MAX = 4 * MiB;

/** Records of one stream on their way to a file, and their acks back. The first that fails takes along all behind it. */
export class AppendRun {
  readonly #appender: NamedAppender;
  readonly #acks: Pick<ServerStream<FilesAppendRequest, FilesAppendResponse>, 'send'>;
  readonly #abort = sharedAbort();
  readonly #waiting: Waiting;
  #records = 0;
  #bytes = 0;
  #onRoom: () => void = () => undefined;
  /** Resolves when all records so far have their acks on the way, in order; rejects with the first failure. */
  #acked: Promise<void> = Promise.resolve();
  /** Resolves when the caller can have the acks so far, or never will. */
  #sent: Promise<void> = Promise.resolve();

  constructor(
    appender: NamedAppender,
    acks: Pick<ServerStream<FilesAppendRequest, FilesAppendResponse>, 'send'>,
    { signal, deadlineMs, requestId }: Call,
  ) {
    this.#appender = appender;
    this.#acks = acks;
    this.#waiting = { signal: this.#abort.signal, deadlineMs, requestId };
    if (signal?.aborted === true) this.#abort.abort();
    signal?.addEventListener('abort', () => this.#fail(), { once: true });
  }

  /** Resolves when the last ack is sent. A bad record fails it when those before have theirs. */
  async all(records: AsyncIterable<IncomingRecord>): Promise<void> {
    const failed = new Promise<void>((resolve) => {
      this.#abort.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    try {
      await Promise.race([this.#take(records), failed]);
    } finally {
      try {
        // What failed first is told.
        await this.#acked;
      } finally {
        await this.#sent;
      }
    }
    if (this.#abort.signal.aborted) throw new GfsError('CANCELLED', 'the caller has gone');
  }

  async #take(records: AsyncIterable<IncomingRecord>): Promise<void> {
    for await (const record of records) {
      while (this.#isFull && !this.#abort.signal.aborted) {
        await new Promise<void>((resolve) => {
          this.#onRoom = resolve;
        });
      }
      if (this.#abort.signal.aborted) return;
      this.#append(record);
    }
  }

  get #isFull(): boolean {
    return this.#records >= RECORDS_MAX || this.#bytes >= BYTES_MAX;
  }

  #append({ sequence, payload }: IncomingRecord): void {
    const length = lengthOf(payload);
    this.#records += 1;
    this.#bytes += length;
    const onSent = () => {
      this.#records -= 1;
      this.#bytes -= length;
      this.#onRoom();
    };
    const appended = this.#appender.append(sequence, payload, this.#waiting, () => this.#fail());
    // It is told in its turn.
    appended.catch(() => undefined);
    this.#acked = this.#acked.then(async () => {
      const offset = await appended;
      // Those of one batch go together: who takes no acks gets no more records taken.
      this.#sent = this.#acks.send({ sequence, offset }).then(onSent, () => this.#fail());
    });
    this.#acked.catch(() => undefined);
  }

  #fail(): void {
    this.#abort.abort();
    this.#onRoom();
  }
}
