/**
 * How long a server bears that the master takes another process for it. That may be its own predecessor, just killed, which
 * the master believes in until it has been silent; if it lives on, this one is a copy and has to end.
 */
export class TakenPlace {
  readonly #patienceMs: number;
  #taken: { readonly by: string; readonly sinceMs: number } | undefined;

  /** `silenceMs`: after so long the master believes in nobody; `marginMs`: to try once more behind that. */
  constructor({ silenceMs, marginMs }: { silenceMs: number; marginMs: number }) {
    this.#patienceMs = silenceMs + marginMs;
  }

  /**
   * The master refused this process for the sake of the one with that incarnation. Whether that one is alive beyond doubt.
   * Another one than last time is another predecessor, whose registration came late: it has its own time.
   */
  refused(by: string, nowMs: number): boolean {
    if (this.#taken?.by !== by) this.#taken = { by, sinceMs: nowMs };
    return nowMs - this.#taken.sinceMs > this.#patienceMs;
  }

  registered(): void {
    this.#taken = undefined;
  }
}
