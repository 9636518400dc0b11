import { boundedCache } from '../base/bounded.ts';
import { GfsError } from '../base/errors.ts';
import type { ExtentLocation, VersionRecord } from '../rpc/messages.ts';

/** Each is a number or two. */
const CHUNK_COUNT_MAX = 128 * 1024;

/** What this client's own mutations tell of chunks, beside what the master says of where they are. */
export class KnownChunks {
  /** New chunks that took a mutation of ours: they need no creating any more. */
  readonly #begun = boundedCache<number, true>(CHUNK_COUNT_MAX);
  /** Of chunks that mutations were answered under a later version than they were asked for: that one. */
  readonly #versions = boundedCache<number, number>(CHUNK_COUNT_MAX);
  /** Chunks of ours that gave their place to others. */
  readonly #replaced = boundedCache<number, true>(CHUNK_COUNT_MAX);

  /** What the first mutation of a new chunk tells its servers (P23); nothing once it has taken one of ours. */
  firstRecord(location: ExtentLocation): VersionRecord | undefined {
    if (location.version !== 1 || this.#begun.has(location.chunk)) return undefined;
    const { chunk, version, members, primary } = location;
    const nothing = { cutVersion: undefined, cutLength: undefined, loss: 0, frozen: false };
    return { chunk, version, members, primary, ...nothing };
  }

  took(location: ExtentLocation): void {
    if (location.version === 1) this.#begun.set(location.chunk, true);
  }

  wasReplaced({ chunk }: ExtentLocation): boolean {
    return this.#replaced.has(chunk);
  }

  /**
   * Nothing of ours was acknowledged by the chunk of the extent at `start`; `there` is what the master has then where we wanted
   * to write. A clone has what the chunk had, which is another file's now (P20); an extent that begins elsewhere lies behind it,
   * as it was sealed.
   */
  noteReplaced(
    { chunk, start }: Pick<ExtentLocation, 'chunk' | 'start'>,
    there: ExtentLocation | undefined,
  ): void {
    if (there === undefined || there.chunk === chunk) return;
    if (there.start !== start || there.firstVersion > 1) return;
    this.#replaced.set(chunk, true);
    if (!this.#begun.has(chunk)) return;
    throw new GfsError('WRITES_LOST', `chunk ${chunk} was given up while a write to it was acknowledged`);
  }

  noteVersion(chunk: number, version: number): void {
    if (version > (this.#versions.get(chunk) ?? 0)) this.#versions.set(chunk, version);
  }

  /** What the master says is older than what mutations were answered under. */
  isOld({ chunk, version }: ExtentLocation): boolean {
    return version < (this.#versions.get(chunk) ?? 0);
  }
}
