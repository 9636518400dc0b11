import type { Bytes } from '../../src/base/bytes.ts';
import { joined, lengthOf } from '../../src/base/bytes.ts';
import { STREAM_WINDOW_BYTES } from '../../src/rpc/frame-format.ts';
import type { MessageType } from '../../src/rpc/network.ts';
import { type Encoded, encodeMessage } from '../../src/rpc/wire-message.ts';
import type { LinkEnd } from './sim-link.ts';

/** What a message counts beside its bytes: a stream of empty ones has a window too. */
const OVERHEAD_BYTES = 256;

/** What a message counts against the window. */
export function windowBytesOf(data: Encoded): number {
  return data.sizeBytes + OVERHEAD_BYTES;
}

/** Encoded as for the wire, with the payload copied. */
export function packed<T>(type: MessageType<T>, message: T, payload?: Bytes): Encoded {
  const encoded = encodeMessage(type, message, payload);
  if (lengthOf(encoded.payload) === 0) return encoded;
  return { ...encoded, payload: [Buffer.from(joined(encoded.payload))] };
}

/** The sending half of a stream: in order, within the window that the receiver returns. */
export class SimSender<T> {
  readonly #type: MessageType<T>;
  #call = 0;
  #link: LinkEnd | undefined;
  #windowBytes = STREAM_WINDOW_BYTES;
  readonly #waiting: { data: Encoded; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #endWanted = false;
  #over: { error: unknown } | undefined;

  constructor(type: MessageType<T>) {
    this.#type = type;
  }

  /** The link is there: what waits may go. */
  start(link: LinkEnd, call: number): void {
    this.#link = link;
    this.#call = call;
    this.#pump();
  }

  send(message: T, payload?: Bytes): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) throw this.#over.error;
      this.#waiting.push({ data: packed(this.#type, message, payload), resolve, reject });
      this.#pump();
    });
  }

  end(): void {
    if (this.#endWanted) return;
    this.#endWanted = true;
    this.#pump();
  }

  credit(bytes: number): void {
    this.#windowBytes += bytes;
    this.#pump();
  }

  stop(error: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #pump(): void {
    if (this.#over !== undefined || this.#link === undefined) return;
    while (this.#windowBytes > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#windowBytes -= windowBytesOf(next.data);
      this.#link.send({ kind: 'message', call: this.#call, data: next.data, end: false });
      next.resolve();
    }
    if (this.#endWanted && this.#waiting.length === 0) {
      this.#link.send({ kind: 'message', call: this.#call, data: undefined, end: true });
      this.stop(new Error('the stream has ended'));
    }
  }
}
