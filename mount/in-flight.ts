import { assert } from '../src/base/assert.ts';
import type { Operation } from './wire/requests.ts';

/** Interrupts that came before their request are kept for it; more than so many at a time means they came after it. */
const EARLY_INTERRUPT_COUNT_MAX = 64;

/**
 * Requests that the kernel waits for, and which of them end with their caller.
 *
 * POSIX lets no signal end a look-up or a read of a file, and programs with a timer rely on that: only a caller that is being
 * killed is told EINTR, which nobody will see, so that he need not wait for a cluster that does not answer. What may
 * have been applied is not given up even so: the kernel would believe that it was not. A wait for a lock ends with any signal:
 * programs rely on that, too.
 */
export class InFlight {
  readonly #requests = new Map<bigint, Waiting>();
  /** Those whose caller got a signal, and which he would not have to wait for. */
  readonly #interrupted = new Map<bigint, Waiting>();
  /** With several readers an interrupt can overtake its request on the way to us. */
  readonly #interruptedEarly = new Set<bigint>();

  get size(): number {
    return this.#requests.size;
  }

  /** The kernel tells of a caller's first signal only: whether another one killed him has to be looked at until they end. */
  get interrupted(): Iterable<Waiting> {
    return this.#interrupted.values();
  }

  get isAnyInterrupted(): boolean {
    return this.#interrupted.size > 0;
  }

  /** False: it was interrupted already, and is to be answered EINTR without being started. */
  begin(request: Waiting): boolean {
    const { unique, cancellation } = request;
    const isInterrupted = this.#interruptedEarly.delete(unique);
    if (isInterrupted && cancellation !== undefined) return false;
    assert(!this.#requests.has(unique), 'the kernel numbers each request anew');
    this.#requests.set(unique, request);
    if (isInterrupted) this.#note(request);
    return true;
  }

  /** False: it was given up, and has been answered. Otherwise it is to be answered now. */
  end(unique: bigint): boolean {
    this.#interrupted.delete(unique);
    return this.#requests.delete(unique);
  }

  /** What can be cancelled learns of it, and ends by itself: it may have come to its end just before. */
  interrupt(unique: bigint): void {
    const request = this.#requests.get(unique);
    if (request !== undefined) {
      request.cancellation?.abort();
      this.#note(request);
      return;
    }
    // Not there yet, or answered by now: then it is dropped when its turn comes, for numbers never come back.
    this.#interruptedEarly.add(unique);
    if (this.#interruptedEarly.size > EARLY_INTERRUPT_COUNT_MAX) {
      for (const oldest of this.#interruptedEarly) {
        this.#interruptedEarly.delete(oldest);
        break;
      }
    }
  }

  #note(request: Waiting): void {
    if (endsWithItsCaller(request.kind)) this.#interrupted.set(request.unique, request);
  }
}

/** A request that the kernel waits for. */
export interface Waiting {
  readonly unique: bigint;
  readonly kind: Operation['kind'];
  /** Where the reply has to go. */
  readonly reader: number;
  /** The calling thread's id; 0: in a process namespace that we do not see. */
  readonly pid: number;
  /** For what may take long, and is undone when it is cancelled: any signal ends it. */
  readonly cancellation?: AbortController | undefined;
}

function endsWithItsCaller(kind: Operation['kind']): boolean {
  switch (kind) {
    case 'lookup':
    case 'getAttributes':
    case 'readSymlink':
    case 'getXattr':
    case 'listXattrs':
    case 'statFilesystem':
    case 'read':
    case 'seek':
    case 'readDirectory':
    case 'getLock':
      return true;
    // Opening leaves an open file behind that only the reply tells the kernel of; flush and sync report an error once.
    case 'open':
    case 'openDirectory':
    case 'flush':
    case 'sync':
    case 'allocate':
    case 'copyRange':
    case 'syncDirectory':
    case 'release':
    case 'releaseDirectory':
    case 'setAttributes':
    case 'setXattr':
    case 'removeXattr':
    case 'makeSymlink':
    case 'makeNode':
    case 'makeDirectory':
    case 'unlink':
    case 'removeDirectory':
    case 'rename':
    case 'makeLink':
    case 'create':
    case 'createUnnamed':
    case 'write':
    case 'setLock':
      return false;
  }
}
