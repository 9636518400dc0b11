import type { Route } from '../../src/rpc/contract.ts';
import type { ErrorDetail } from '../../src/rpc/messages.ts';
import type { Encoded } from '../../src/rpc/wire-message.ts';
import type { SimEnv } from './sim-env.ts';

/** What travels over a link; the payload is a copy, so nothing is shared between processes. */
export type Frame =
  | {
      readonly kind: 'open';
      readonly call: number;
      readonly route: Route;
      readonly requestId: string;
      readonly deadlineLeftMs: number | undefined;
      /** The only request; absent when requests are a stream. */
      readonly data: Encoded | undefined;
    }
  | {
      readonly kind: 'message';
      readonly call: number;
      readonly data: Encoded | undefined;
      readonly end: boolean;
    }
  | { readonly kind: 'error'; readonly call: number; readonly detail: ErrorDetail }
  | { readonly kind: 'cancel'; readonly call: number }
  | { readonly kind: 'credit'; readonly call: number; readonly bytes: number }
  /** The other side has closed, or died: nothing comes after it. */
  | { readonly kind: 'closed' };

export interface LinkUser {
  receive(frame: Frame): void;
  /** No frame comes any more, nothing sent from now on arrives. Called once. */
  broken(reason: string): void;
}

/** How a link's frames reach the other end; the network decides when, and whether. */
export interface Carrier {
  carry(from: LinkEnd, to: LinkEnd, frame: Frame): void;
}

/**
 * One end of an established connection between two processes. Each direction keeps its order; what is sent to an end
 * that is gone is lost.
 */
export class LinkEnd {
  readonly env: SimEnv;
  readonly machine: string;
  /** "machine:port" of this end. */
  readonly address: string;
  /** Both ends' addresses, the same at both. */
  connection = '';
  /** When the last frame to this end arrives: none overtakes it. */
  lastArrivalMs = 0;
  /** Frames to this end that a partition holds up. */
  readonly held: Frame[] = [];
  readonly #carrier: Carrier;
  #peer: LinkEnd | undefined;
  #user: LinkUser | undefined;
  #open = true;

  constructor(
    carrier: Carrier,
    { env, machine, address }: { env: SimEnv; machine: string; address: string },
  ) {
    this.#carrier = carrier;
    this.env = env;
    this.machine = machine;
    this.address = address;
  }

  static join(one: LinkEnd, other: LinkEnd): void {
    one.#peer = other;
    other.#peer = one;
    one.connection = [one.address, other.address].sort().join(' ');
    other.connection = one.connection;
  }

  get open(): boolean {
    return this.#open;
  }

  get peer(): LinkEnd | undefined {
    return this.#peer;
  }

  serve(user: LinkUser): void {
    this.#user = user;
  }

  send(frame: Frame): void {
    if (this.#open && this.#peer !== undefined) this.#carrier.carry(this, this.#peer, frame);
  }

  /** From this side: what was sent before still arrives. */
  close(): void {
    this.send({ kind: 'closed' });
    this.#open = false;
  }

  arrive(frame: Frame): void {
    this.env.whenRunning(() => {
      if (!this.#open) return;
      if (frame.kind === 'closed') this.#breakNow('closed by the other side');
      else this.#user?.receive(frame);
    });
  }

  break(reason: string): void {
    if (!this.env.alive) this.#open = false;
    this.env.whenRunning(() => this.#breakNow(reason));
  }

  #breakNow(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#user?.broken(reason);
  }
}
