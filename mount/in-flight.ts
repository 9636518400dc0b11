import { assert } from '../src/base/assert.ts';
import type { Operation } from './wire/requests.ts';

/** Interrupts that came before their request are kept for it; more than so many at a time means they came after it. */
const EARLY_INTERRUPT_COUNT_MAX = 64;

/**
 * Requests that the kernel waits for, and which of them a signal may end.
 *
 * A caller that is told EINTR does it again. So what may have been applied is never answered with it: an append would be there
 * twice, a mkdir would find its own directory. What only reads is given up at once, and its late answer is dropped.
 */
export class InFlight {
  readonly #requests = new Map<bigint, Waiting>();
  /** With several readers an interrupt can overtake its request on the way to us. */
  readonly #interruptedEarly = new Set<bigint>();

  get size(): number {
    return this.#requests.size;
  }

  /** False: it was interrupted already, and is to be answered EINTR without being started. */
  begin(request: Waiting): boolean {
    const { unique } = request;
    if (this.#interruptedEarly.delete(unique) && mayEnd(request)) return false;
    assert(!this.#requests.has(unique), 'the kernel numbers each request anew');
    this.#requests.set(unique, request);
    return true;
  }

  /** False: it was given up, and has been answered. Otherwise it is to be answered now. */
  end(unique: bigint): boolean {
    return this.#requests.delete(unique);
  }

  /**
   * The request that is given up by this, and is to be answered EINTR now. One that can be cancelled learns of it, and ends by
   * itself: it may have come to its end just before.
   */
  interrupt(unique: bigint): Waiting | undefined {
    const request = this.#requests.get(unique);
    if (request !== undefined) {
      request.cancellation?.abort();
      if (request.cancellation !== undefined || !isInterruptible(request.kind)) return undefined;
      this.#requests.delete(unique);
      return request;
    }
    // Not there yet, or answered by now: then it is dropped when its turn comes, for numbers never come back.
    this.#interruptedEarly.add(unique);
    if (this.#interruptedEarly.size > EARLY_INTERRUPT_COUNT_MAX) {
      for (const oldest of this.#interruptedEarly) {
        this.#interruptedEarly.delete(oldest);
        break;
      }
    }
    return undefined;
  }
}

/** A request that the kernel waits for. */
export interface Waiting {
  readonly unique: bigint;
  readonly kind: Operation['kind'];
  /** Where the reply has to go. */
  readonly reader: number;
  /** For what may take long, and is undone when it is cancelled. */
  readonly cancellation?: AbortController | undefined;
}

function mayEnd({ kind, cancellation }: Waiting): boolean {
  return cancellation !== undefined || isInterruptible(kind);
}

function isInterruptible(kind: Operation['kind']): boolean {
  switch (kind) {
    case 'lookup':
    case 'getAttributes':
    case 'readSymlink':
    case 'statFilesystem':
    case 'read':
    case 'readDirectory':
    case 'getLock':
      return true;
    // Opening leaves an open file behind that only the reply tells the kernel of; flush and sync report an error once.
    case 'open':
    case 'openDirectory':
    case 'flush':
    case 'sync':
    case 'syncDirectory':
    case 'release':
    case 'releaseDirectory':
    case 'setAttributes':
    case 'makeSymlink':
    case 'makeNode':
    case 'makeDirectory':
    case 'unlink':
    case 'removeDirectory':
    case 'rename':
    case 'makeLink':
    case 'create':
    case 'write':
    case 'setLock':
      return false;
  }
}
