import type { Bytes } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import type { RequestStreamHandler, ResponseStreamHandler, Route } from './contract.ts';
import { FLAG_END, type Frame, KIND_CREDIT, KIND_MESSAGE, messageBytesOf } from './frame-format.ts';
import type { FrameSession } from './frame-session.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Inbox } from './inbox.ts';
import type { Incoming, Outgoing, ServerStream } from './network.ts';
import { ServerCall } from './server-call.ts';
import type { Serving } from './serving.ts';
import { StreamSender, WindowReturn } from './stream-sender.ts';
import { decodeMessage, encodeMessage } from './wire-message.ts';

/** A call with a stream up, down or both, on the server's side of frames. */
export class ServerStreamCall extends ServerCall implements ServerStream<unknown, unknown> {
  readonly number: number;
  readonly #session: FrameSession;
  readonly #writer: FrameWriter;
  readonly #inbox: Inbox<unknown>;
  readonly #window = new WindowReturn();
  readonly #sender: StreamSender<unknown>;

  constructor(
    session: FrameSession,
    serving: Serving,
    route: Route,
    head: { requestId: string; deadlineLeftMs: number | undefined; peer: string },
    { number, writer }: { number: number; writer: FrameWriter },
  ) {
    super(serving, route, head);
    this.number = number;
    this.#session = session;
    this.#writer = writer;
    this.#window.start(writer, number);
    // A handler that stops listening may still answer: the rest of the requests is received and dropped.
    this.#inbox = new Inbox(
      (sizeBytes) => this.#window.taken(sizeBytes),
      () => undefined,
    );
    this.#sender = new StreamSender(route.method.responseType, this);
    this.#sender.start(writer, number);
  }

  get requests(): AsyncIterable<Incoming<unknown>> {
    return this.#inbox;
  }

  send(message: unknown, payload?: Bytes): Promise<void> {
    return this.#sender.send(message, payload);
  }

  /** `handler` is of the kind that the route's method asks for. */
  run(handler: unknown): void {
    // Streams live long: their deadline is watched even if the handler never looks at its signal.
    void this.signal;
    let work: Promise<Outgoing<unknown> | undefined>;
    try {
      work = this.route.method.responseStream
        ? (handler as ResponseStreamHandler)(this, this).then(() => undefined)
        : (handler as RequestStreamHandler)(this.#inbox, this);
    } catch (error) {
      this.#failed(error);
      return;
    }
    work.then(
      (answer) => this.#answered(answer),
      (error: unknown) => this.#failed(error),
    );
  }

  receive(frame: Frame): void {
    if (frame.kind === KIND_CREDIT) {
      this.#sender.credit(Buffer.from(frame.message).readUInt32LE(0));
      return;
    }
    if (frame.kind !== KIND_MESSAGE) return;
    if (frame.hasMessage) {
      try {
        const { requestType } = this.route.method;
        const request = decodeMessage(requestType, frame.message, frame.payload, this.route.fullName);
        this.received(messageBytesOf(frame));
        this.#inbox.push(request, frame.sizeBytes);
      } catch (error) {
        this.#inbox.fail(error);
      }
    }
    if (frame.end) this.endRequests();
  }

  endRequests(): void {
    this.#window.stop();
    this.#inbox.end();
  }

  protected override abandoned(error: GfsError): void {
    this.#close(error);
  }

  #answered(answer: Outgoing<unknown> | undefined): void {
    if (!this.over) {
      try {
        if (answer === undefined) {
          this.#writer.frame({ kind: KIND_MESSAGE, flags: FLAG_END, call: this.number });
        } else {
          const { message, payload } = answer;
          const encoded = encodeMessage(this.route.method.responseType, message, payload);
          this.sent(encoded.sizeBytes);
          this.#session.answer(this.number, encoded);
        }
      } catch (error) {
        this.#failed(error);
        return;
      }
      this.succeed();
      this.#close(new GfsError('CANCELLED', 'the call has ended'));
    }
    this.#session.streamSettled();
  }

  #failed(thrown: unknown): void {
    const error = this.failWith(thrown);
    if (error !== undefined) {
      this.#session.sendError(this.number, error);
      this.#close(error);
    }
    this.#session.streamSettled();
  }

  #close(error: GfsError): void {
    this.#session.forget(this.number);
    this.#window.stop();
    this.#inbox.fail(error);
    this.#sender.stop(error);
  }
}
