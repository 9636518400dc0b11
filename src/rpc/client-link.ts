import type { Socket } from 'node:net';
import { messageOf } from '../base/errors.ts';
import type { CallHome } from './client-call.ts';
import { lostError } from './failure.ts';
import type { FrameCall } from './frame-call.ts';
import { FrameDecoder } from './frame-decoder.ts';
import type { Dialled } from './frame-dial.ts';
import { KIND_PING, KIND_PONG } from './frame-format.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Limits } from './limits.ts';

const CALL_NUMBER_MAX = 0xffff_ffff;

export interface LinkEvents {
  /** Once; all calls have failed by then. */
  lost(error: Error): void;
}

/** One established connection, as the client sees it: its calls by number, and whether the other side is alive. */
export class ClientLink {
  readonly #socket: Socket;
  readonly #writer: FrameWriter;
  readonly #decoder = new FrameDecoder();
  readonly #home: CallHome;
  readonly #limits: Limits;
  readonly #events: LinkEvents;
  readonly #calls = new Map<number, FrameCall>();
  #streamCount = 0;
  #lastNumber = 0;
  #heardMs: number;
  /** When the silence is looked at again; undefined while no call is in flight. */
  #watchMs: number | undefined;
  #lossCause: unknown;
  #lost = false;
  #closeError: Error | undefined;
  #onLost: (() => void) | undefined;

  constructor({ socket, rest }: Dialled, home: CallHome, limits: Limits, events: LinkEvents) {
    this.#socket = socket;
    this.#home = home;
    this.#limits = limits;
    this.#events = events;
    this.#writer = new FrameWriter(socket);
    this.#heardMs = home.env.monotonicMs();
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => {
      this.#lossCause ??= error;
    });
    // Only now has the kernel let go of all buffers that were waiting to be sent.
    socket.on('close', () => this.#onClose());
    if (socket.destroyed) process.nextTick(() => this.#onClose());
    if (rest.length > 0) this.#receive(rest);
    socket.resume();
  }

  get callCount(): number {
    return this.#calls.size;
  }

  hasRoomFor(call: FrameCall): boolean {
    // While a broken connection ends its calls, others must not take their places on it: nothing would end those.
    if (!this.#socket.writable) return false;
    if (call.isStream) return this.#streamCount < this.#limits.streamsMax;
    return this.#calls.size - this.#streamCount < this.#limits.callsInFlightMax && !this.#writer.congested;
  }

  /** Calls back when a congested connection has room again. */
  onDrain(task: () => void): void {
    this.#writer.onDrain(task);
  }

  get congested(): boolean {
    return this.#writer.congested;
  }

  begin(call: FrameCall): void {
    const number = this.#freeNumber();
    this.#calls.set(number, call);
    if (call.isStream) this.#streamCount += 1;
    if (this.#watchMs === undefined) {
      // Idle time is not silence: nobody was asked.
      this.#heardMs = this.#home.env.monotonicMs();
      this.#watchFrom(this.#heardMs);
    }
    call.begin(this.#writer, number);
  }

  /** The call is over: what still comes for it is ignored. */
  forget(call: FrameCall): void {
    if (this.#calls.get(call.number) !== call) return;
    this.#calls.delete(call.number);
    if (call.isStream) this.#streamCount -= 1;
  }

  /** Ends the connection; calls in flight fail. */
  destroy(cause: Error): void {
    this.#lossCause ??= cause;
    this.#socket.destroy();
  }

  /** Ends the connection; calls still in flight fail with `error`. Resolves when the socket is closed. */
  end(error: Error): Promise<void> {
    this.#closeError = error;
    return new Promise((resolve) => {
      if (this.#lost) resolve();
      else this.#onLost = resolve;
      this.#socket.destroy();
    });
  }

  /** Looks whether the other side is silent for too long. */
  expire(): void {
    const watchedMs = this.#watchMs;
    this.#watchMs = undefined;
    if (watchedMs === undefined || this.#lost || this.#calls.size === 0) return;
    const now = this.#home.env.monotonicMs();
    const silentMs = now - this.#heardMs;
    if (silentMs >= this.#limits.silenceMsMax) {
      this.destroy(new Error(`nothing heard for ${Math.round(silentMs / 1000)} s`));
      return;
    }
    if (silentMs >= this.#limits.pingAfterMs) this.#writer.frame({ kind: KIND_PING, flags: 0, call: 0 });
    this.#watchFrom(now);
  }

  #watchFrom(nowMs: number): void {
    this.#watchMs = nowMs + this.#limits.pingAfterMs;
    this.#home.deadlines.add(this.#watchMs, this);
  }

  #freeNumber(): number {
    do {
      this.#lastNumber = this.#lastNumber === CALL_NUMBER_MAX ? 1 : this.#lastNumber + 1;
    } while (this.#calls.has(this.#lastNumber));
    return this.#lastNumber;
  }

  #receive(chunk: Buffer): void {
    this.#heardMs = this.#home.env.monotonicMs();
    this.#decoder.push(chunk);
    try {
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
        if (frame.kind === KIND_PING) this.#writer.frame({ kind: KIND_PONG, flags: 0, call: 0 });
        else this.#calls.get(frame.call)?.receive(frame);
      }
    } catch (error) {
      const { log, address } = this.#home;
      log.warn({ server: address, error }, 'a connection is closed: what came makes no sense');
      this.destroy(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  #onClose(): void {
    if (this.#lost) return;
    this.#lost = true;
    if (this.#watchMs !== undefined) this.#home.deadlines.remove(this.#watchMs, this);
    const error =
      this.#closeError ??
      lostError(this.#home.address, this.#lossCause ?? new Error('closed by the other side'));
    for (const call of [...this.#calls.values()]) call.fail(error);
    this.#events.lost(error);
    this.#onLost?.();
  }
}
