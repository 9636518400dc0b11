import type { Bytes } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { type CallHome, ClientCall } from './client-call.ts';
import type { Asker } from './client-connection.ts';
import type { Route } from './contract.ts';
import { errorOfDetail } from './failure.ts';
import {
  FLAG_END,
  FLAG_MESSAGE,
  type Frame,
  KIND_CANCEL,
  KIND_CREDIT,
  KIND_ERROR,
  KIND_MESSAGE,
  messageBytesOf,
} from './frame-format.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Inbox } from './inbox.ts';
import { ErrorDetail } from './messages.ts';
import type { ClientStream, Incoming, Reply, StreamOptions } from './network.ts';
import { StreamSender, WindowReturn } from './stream-sender.ts';
import { decodeMessage, type Encoded } from './wire-message.ts';

/** A call over frames: its number, and the frames that come for it. */
export abstract class FrameCall extends ClientCall {
  /** 0 while it waits for its connection. */
  number = 0;
  #writer: FrameWriter | undefined;

  /** Its connection is there: the first frame leaves. */
  begin(writer: FrameWriter, number: number): void {
    this.#writer = writer;
    this.number = number;
    this.start(writer);
  }

  receive(frame: Frame): void {
    if (frame.kind === KIND_ERROR) {
      const detail = decodeMessage(ErrorDetail, frame.message, [], 'an error').message;
      this.fail(this.asSeenHere(errorOfDetail(detail)));
    } else {
      this.message(frame);
    }
  }

  protected abstract start(writer: FrameWriter): void;
  protected abstract message(frame: Frame): void;

  protected override tellServer(): void {
    this.#writer?.frame({ kind: KIND_CANCEL, flags: 0, call: this.number });
  }

  protected openHead(flags: number) {
    const { deadlineMs, home } = this;
    const deadlineLeftMs = deadlineMs === undefined ? undefined : deadlineMs - home.env.monotonicMs();
    return { method: this.route.id, deadlineLeftMs, requestId: this.requestId, call: this.number, flags };
  }
}

export class UnaryCall extends FrameCall {
  readonly #request: Encoded;
  readonly #asker: Asker;
  /** The request's payload lies in the socket's queue: its owner may not have it back yet. */
  #borrowed = false;
  #rejection: { error: unknown } | undefined;

  constructor(
    home: CallHome,
    route: Route,
    requestId: string,
    options: StreamOptions,
    request: Encoded,
    asker: Asker,
  ) {
    super(home, route, requestId, false, options);
    this.#request = request;
    this.#asker = asker;
  }

  protected override start(writer: FrameWriter): void {
    const { message, payload, sizeBytes } = this.#request;
    this.sent(sizeBytes);
    const head = this.openHead(FLAG_MESSAGE | FLAG_END);
    if (payload.length === 0) writer.open(head, message, payload);
    else this.#borrowed = !writer.open(head, message, payload, () => this.#sent());
  }

  protected override message(frame: Frame): void {
    this.received(messageBytesOf(frame));
    let reply: Reply<unknown>;
    try {
      reply = decodeMessage(
        this.route.method.responseType,
        frame.message,
        frame.payload,
        this.route.fullName,
      );
    } catch (error) {
      this.fail(new GfsError('INTERNAL', 'the answer cannot be read', { cause: error }));
      return;
    }
    if (this.finish()) this.#asker.resolve(reply);
  }

  protected override failed(error: unknown): void {
    if (this.#borrowed) this.#rejection = { error };
    else this.#asker.reject(error);
  }

  #sent(): void {
    this.#borrowed = false;
    if (this.#rejection !== undefined) this.#asker.reject(this.#rejection.error);
  }
}

export class StreamCall extends FrameCall implements ClientStream<unknown, unknown> {
  readonly #sender: StreamSender<unknown>;
  readonly #inbox: Inbox<unknown>;
  readonly #window = new WindowReturn();

  constructor(home: CallHome, route: Route, requestId: string, options: StreamOptions) {
    super(home, route, requestId, true, options);
    this.#sender = new StreamSender(route.method.requestType, this);
    this.#inbox = new Inbox(
      (sizeBytes) => this.#window.taken(sizeBytes),
      () => this.cancel(),
    );
  }

  get answers(): AsyncIterable<Incoming<unknown>> {
    return this.#inbox;
  }

  send(message: unknown, payload?: Bytes): Promise<void> {
    return this.#sender.send(message, payload);
  }

  end(): void {
    this.#sender.end();
  }

  finished(): Promise<Incoming<unknown>> {
    return this.onlyAnswer(this.#inbox);
  }

  protected override start(writer: FrameWriter): void {
    writer.open(this.openHead(0), NOTHING, []);
    if (this.route.method.responseStream) this.#window.start(writer, this.number);
    this.#sender.start(writer, this.number);
  }

  protected override message(frame: Frame): void {
    if (frame.kind === KIND_CREDIT) {
      this.#sender.credit(Buffer.from(frame.message).readUInt32LE(0));
      return;
    }
    if (frame.kind !== KIND_MESSAGE) return;
    if (frame.hasMessage) {
      this.received(messageBytesOf(frame));
      try {
        const { responseType } = this.route.method;
        this.#inbox.push(
          decodeMessage(responseType, frame.message, frame.payload, this.route.fullName),
          frame.sizeBytes,
        );
      } catch (error) {
        this.cancelWith(new GfsError('INTERNAL', 'an answer cannot be read', { cause: error }));
        return;
      }
    }
    if (!frame.end || !this.finish()) return;
    this.#window.stop();
    this.#inbox.end();
    this.#sender.stop(new GfsError('CANCELLED', `${this.route.fullName} has ended`));
  }

  protected override failed(error: unknown): void {
    this.#window.stop();
    this.#inbox.fail(error);
    this.#sender.stop(error);
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
