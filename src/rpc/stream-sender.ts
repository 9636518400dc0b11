import type { Bytes } from '../base/bytes.ts';
import {
  FLAG_END,
  FLAG_MESSAGE,
  FRAME_HEADER_BYTES,
  KIND_MESSAGE,
  STREAM_WINDOW_BYTES,
} from './frame-format.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { MessageType } from './network.ts';
import { type Encoded, encodeMessage } from './wire-message.ts';

interface Waiting {
  readonly encoded: Encoded;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Is told how much is sent. */
export interface SentCount {
  sent(bytes: number): void;
}

interface Line {
  readonly writer: FrameWriter;
  readonly call: number;
}

const SENT: Promise<void> = Promise.resolve();

/**
 * The sending half of one stream: in order, within the window that the receiver returns, and no faster than the
 * socket. `send` settles when the payload's buffers are free and there is room for more.
 */
export class StreamSender<T> {
  readonly #type: MessageType<T>;
  readonly #call: SentCount;
  /** Absent until the connection is there: what is sent before waits. */
  #line: Line | undefined;
  #windowBytes = STREAM_WINDOW_BYTES;
  #waiting: Waiting[] = [];
  #endWanted = false;
  #endWritten = false;
  #over: { error: unknown } | undefined;
  #drainAsked = false;

  constructor(type: MessageType<T>, call: SentCount) {
    this.#type = type;
    this.#call = call;
  }

  start(writer: FrameWriter, call: number): void {
    this.#line = { writer, call };
    this.#pump();
    if (this.#endWanted && this.#waiting.length === 0) this.#writeEnd();
  }

  send(message: T, payload?: Bytes): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over.error);
    let encoded: Encoded;
    try {
      encoded = encodeMessage(this.#type, message, payload);
    } catch (error) {
      return Promise.reject(error);
    }
    const line = this.#waiting.length === 0 ? this.#lineWithRoom() : undefined;
    if (line !== undefined) return this.#write(line, encoded);
    return new Promise((resolve, reject) => this.#waiting.push({ encoded, resolve, reject }));
  }

  /** After what is still waiting, the last frame. */
  end(): void {
    if (this.#over !== undefined || this.#endWanted) return;
    this.#endWanted = true;
    if (this.#waiting.length === 0) this.#writeEnd();
  }

  credit(bytes: number): void {
    this.#windowBytes += bytes;
    this.#pump();
  }

  /** The call is over: whoever waits to send learns why. */
  stop(error: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #pump(): void {
    while (this.#over === undefined && this.#waiting.length > 0) {
      const line = this.#lineWithRoom();
      if (line === undefined) return;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#write(line, next.encoded).then(next.resolve, next.reject);
      if (this.#waiting.length === 0 && this.#endWanted) this.#writeEnd();
    }
  }

  #lineWithRoom(): Line | undefined {
    const line = this.#line;
    if (line === undefined || this.#windowBytes <= 0) return undefined;
    if (!line.writer.congested) return line;
    if (!this.#drainAsked) {
      this.#drainAsked = true;
      line.writer.onDrain(() => {
        this.#drainAsked = false;
        this.#pump();
      });
    }
    return undefined;
  }

  #write({ writer, call }: Line, { message, payload, sizeBytes }: Encoded): Promise<void> {
    this.#windowBytes -= FRAME_HEADER_BYTES + sizeBytes;
    this.#call.sent(sizeBytes);
    const head = { kind: KIND_MESSAGE, flags: FLAG_MESSAGE, call };
    if (payload.length === 0) {
      writer.frame(head, message);
      return SENT;
    }
    let copied = false;
    const sent = new Promise<void>((resolve) => {
      copied = writer.frame(head, message, payload, resolve);
    });
    return copied ? SENT : sent;
  }

  #writeEnd(): void {
    if (this.#line === undefined || this.#endWritten) return;
    this.#endWritten = true;
    const { writer, call } = this.#line;
    writer.frame({ kind: KIND_MESSAGE, flags: FLAG_END, call });
  }
}

/** The receiving half's bookkeeping: room is returned in lumps of half a window. */
export class WindowReturn {
  #line: Line | undefined;
  #takenBytes = 0;

  start(writer: FrameWriter, call: number): void {
    this.#line = { writer, call };
  }

  taken(sizeBytes: number): void {
    this.#takenBytes += sizeBytes;
    if (this.#line === undefined || this.#takenBytes < STREAM_WINDOW_BYTES / 2) return;
    this.#line.writer.credit(this.#line.call, this.#takenBytes);
    this.#takenBytes = 0;
  }

  /** The sender has ended: it needs no more room. */
  stop(): void {
    this.#line = undefined;
  }
}
