import { must } from '../base/assert.ts';
import { GfsError } from '../base/errors.ts';
import type { Order } from '../core/primary.ts';
import type { MutationData } from './order-line.ts';

/** A mutation that was ordered and is not answered yet. */
export interface Flight {
  readonly order: Order;
  readonly data: MutationData;
  readonly promise: Promise<void>;
  /** This server's replica has it. */
  appliedHere: boolean;
  /** So many bytes were data there and are zeros now. */
  zeroedBytes: number;
}

interface Entry extends Flight {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Mutations in flight, by serial. Each ends in one of three ways: committed, abandoned, or left to the next version. */
export class Flights {
  readonly #bySerial = new Map<number, Entry>();

  get size(): number {
    return this.#bySerial.size;
  }

  begin(order: Order, data: MutationData): Flight {
    let resolve: () => void = unset;
    let reject: (error: unknown) => void = unset;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    const flight: Entry = { order, data, promise, appliedHere: false, zeroedBytes: 0, resolve, reject };
    this.#bySerial.set(order.serial, flight);
    return flight;
  }

  /** Undefined: it has ended. */
  promiseOf(serial: number): Promise<void> | undefined {
    return this.#bySerial.get(serial)?.promise;
  }

  /** All members have it. */
  committed(serial: number): void {
    const flight = must(this.#bySerial.get(serial), 'what is committed was in flight');
    this.#bySerial.delete(serial);
    flight.data.release();
    flight.resolve();
  }

  /** Whether they happened is not known. */
  abandonAll(error: GfsError): void {
    for (const flight of this.#bySerial.values()) abandon(flight, error);
    this.#bySerial.clear();
  }

  /** Their answers become another's to give. */
  leave(): LeftFlights {
    const flights = [...this.#bySerial.values()];
    this.#bySerial.clear();
    return new LeftFlights(flights);
  }
}

/**
 * Mutations that a primary did not get through its version, and may answer under the next one (P12): its own replica has
 * them, and once it has made all members equal to itself, so have they.
 */
export class LeftFlights {
  #flights: readonly Entry[];

  constructor(flights: readonly Entry[]) {
    this.#flights = flights;
  }

  get size(): number {
    return this.#flights.length;
  }

  /**
   * All members are equal to this server's replica: what it has is committed, the rest is nowhere, and so is what went into
   * a block whose bytes no member has.
   */
  settle(error: GfsError, isLost: (order: Order) => boolean): void {
    for (const flight of this.#take()) {
      if (!flight.appliedHere || isLost(flight.order)) {
        abandon(flight, error);
        continue;
      }
      flight.data.release();
      flight.resolve();
    }
  }

  abandonAll(error: GfsError): void {
    for (const flight of this.#take()) abandon(flight, error);
  }

  /** With those of a version that never became active. */
  and(others: LeftFlights): LeftFlights {
    return new LeftFlights([...this.#take(), ...others.#take()]);
  }

  #take(): readonly Entry[] {
    const flights = this.#flights;
    this.#flights = [];
    return flights;
  }
}

/**
 * Whether it happened is not known. An append may be on all members, and in their tables: that one of them has no space
 * must not make its writer believe that it is nowhere (P17).
 */
function abandon({ order, data, reject }: Entry, error: GfsError): void {
  data.release();
  const isTold = order.kind !== 'append' || error.code === 'NOT_PRIMARY';
  reject(isTold ? error : new GfsError('NOT_PRIMARY', error.message, { cause: error }));
}

const unset = () => undefined;
