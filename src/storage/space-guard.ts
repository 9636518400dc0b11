import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { KiB, MiB, SECOND_MS } from '../base/units.ts';

/** How long, and for how many bytes, an answer of the disk is believed. */
const BELIEVED_MS_MAX = 1 * SECOND_MS;
const BELIEVED_BYTES_MAX = 64 * MiB;
/** Of what is left: others fill the same disk meanwhile, perhaps as fast, and together they must not reach the reserve. */
const BELIEVED_SHARE_MAX = 1 / 8;
/** A few records in files of their own, by the block. */
const RECORDS_BYTES_MIN = 64 * KiB;

/** Refuses what would not fit, before anything is changed; asks the disk now and then only. */
export class SpaceGuard {
  readonly #env: Env;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #reserveBytes: number;
  #freeBytes = 0;
  #takenBytes = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  private constructor(env: Env, disk: Disk, path: string, reserveBytes: number) {
    this.#env = env;
    this.#disk = disk;
    this.#path = path;
    this.#reserveBytes = reserveBytes;
  }

  static async open(env: Env, disk: Disk, path: string, reserveBytes: number): Promise<SpaceGuard> {
    const guard = new SpaceGuard(env, disk, path, reserveBytes);
    await guard.#ask();
    return guard;
  }

  /** NO_SPACE unless this much fits besides the reserve. Nothing to wait for most of the time. */
  check(bytes: number): Promise<void> | undefined {
    const isFresh = this.#env.monotonicMs() - this.#askedAtMs < BELIEVED_MS_MAX;
    if (isFresh && this.#takenBytes <= this.#believedBytes && this.#fits(bytes)) return undefined;
    return this.#askAndCheck(bytes);
  }

  /** As `check`; and it is taken. */
  take(bytes: number): Promise<void> | undefined {
    const checked = this.check(bytes);
    if (checked !== undefined) return checked.then(() => this.#taken(bytes));
    this.#taken(bytes);
    return undefined;
  }

  /** Whether the reserve has room for records. */
  async hasReserve(): Promise<boolean> {
    const isFresh = this.#env.monotonicMs() - this.#askedAtMs < BELIEVED_MS_MAX;
    if (!isFresh || this.#freeBytes - this.#takenBytes < RECORDS_BYTES_MIN) {
      this.#asking ??= this.#ask();
      await this.#asking;
    }
    return this.#freeBytes - this.#takenBytes >= RECORDS_BYTES_MIN;
  }

  /** Something is written that the reserve is for. */
  takeFromReserve(bytes: number): void {
    this.#taken(bytes);
  }

  /** The disk has refused something: what it said before is not believed any more. */
  forget(): void {
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
  }

  async #askAndCheck(bytes: number): Promise<void> {
    this.#asking ??= this.#ask();
    await this.#asking;
    if (this.#fits(bytes)) return;
    throw new GfsError(
      'NO_SPACE',
      `no room for ${bytes} bytes in ${this.#path}: ${this.#freeBytes} are free, ${this.#reserveBytes} stay so`,
    );
  }

  #taken(bytes: number): void {
    this.#takenBytes += bytes;
  }

  async #ask(): Promise<void> {
    try {
      const { freeBytes } = await this.#disk.space(this.#path);
      this.#freeBytes = freeBytes;
      this.#takenBytes = 0;
      this.#askedAtMs = this.#env.monotonicMs();
    } finally {
      this.#asking = undefined;
    }
  }

  get #believedBytes(): number {
    return Math.min(BELIEVED_BYTES_MAX, (this.#freeBytes - this.#reserveBytes) * BELIEVED_SHARE_MAX);
  }

  #fits(bytes: number): boolean {
    return this.#freeBytes - this.#takenBytes - this.#reserveBytes >= bytes;
  }
}
