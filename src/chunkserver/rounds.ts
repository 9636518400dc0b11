import { joinedRequestIds } from '../base/request-ids.ts';

/**
 * Work that many ask for and one round of which serves all who asked before it began: syncing all members, asking all
 * for their version. Whoever asks while a round is on its way gets the next one, since his question came later.
 */
export class Rounds<T> {
  readonly #work: (requestId: string) => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;
  #askers: string[] = [];

  /** `work` is told the names of the operations that it is done for. */
  constructor(work: (requestId: string) => Promise<T>) {
    this.#work = work;
  }

  /** The result of a round that begins after this call. */
  join(requestId: string): Promise<T> {
    this.#askers.push(requestId);
    if (this.#running === undefined) return this.#begin();
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<T>): Promise<T> {
    await running.catch(() => undefined);
    this.#next = undefined;
    return await this.#begin();
  }

  #begin(): Promise<T> {
    const askers = this.#askers;
    this.#askers = [];
    const round = this.#work(joinedRequestIds(askers)).finally(() => {
      if (this.#running === round) this.#running = undefined;
    });
    this.#running = round;
    return round;
  }
}
