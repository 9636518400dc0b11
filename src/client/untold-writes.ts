import { laterTime } from '../core/metadata/times.ts';
import type { LengthCommit, Time } from '../rpc/messages.ts';
import type { Identity } from './api.ts';

/** What this client wrote to a file, as far as the master has not been told of it. */
export class UntoldWrites {
  /** Writes taken, and how many of them the master has been told of. */
  #count = 0;
  #toldCount = 0;
  #end = 0;
  /** Acknowledged to us since the master was told; when a write failed, nobody knows what of it arrived. */
  #bytes = 0;
  #hasFailed = false;
  #truncations = 0;
  #mtime: Time | undefined;
  #writer: Identity | undefined;

  get areThere(): boolean {
    return this.#toldCount < this.#count;
  }

  /** Of all that were ever taken. */
  get count(): number {
    return this.#count;
  }

  /** The file is at least this long by what the cluster acknowledged to us. */
  get end(): number {
    return this.#end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many truncations were known when the first of them was taken. */
  get truncations(): number {
    return this.#truncations;
  }

  /** Of the last one, or what was set since. */
  get mtime(): Time | undefined {
    return this.#mtime;
  }

  /** In whose name the master is told, whoever has it told: it takes rights away from a file that a person wrote. */
  get writer(): Identity | undefined {
    return this.#writer;
  }

  /** What the master is to be told: only what was acknowledged, lest a failed write leave a tail of zeros. */
  get commit(): LengthCommit {
    const writtenBytes = this.#hasFailed ? undefined : this.#bytes;
    return { length: this.#end, mtime: this.#mtime, truncations: this.#truncations, writtenBytes };
  }

  /** Somebody's write is about to be taken. Where root and a person wrote, it is the person's. */
  by(writer: Identity): void {
    if (this.#writer === undefined || this.#writer.uid === 0) this.#writer = writer;
  }

  /** One more, when so many truncations are known. */
  taken(now: Time, truncations: number): void {
    if (!this.areThere) this.#truncations = truncations;
    this.#count += 1;
    this.#mtime = now;
  }

  /** Bytes are at the cluster. */
  arrived(end: number, bytes: number): void {
    this.#end = Math.max(this.#end, end);
    this.#bytes += bytes;
  }

  /** What is said of them is as of when so many truncations were known. */
  sentAfter(truncations: number): void {
    this.#truncations = Math.min(this.#truncations, truncations);
  }

  failed(): void {
    this.#hasFailed = true;
  }

  /** The file was cut while they were to be told; what of them is there does not reach further. */
  cut(length: number, truncations: number): void {
    this.#truncations = truncations;
    this.#end = Math.min(this.#end, length);
  }

  /** They were written before the file was truncated then, or since: they do not turn the time back. */
  notBefore(truncatedAt: Time | undefined): void {
    if (this.#mtime !== undefined && truncatedAt !== undefined)
      this.#mtime = laterTime(this.#mtime, truncatedAt);
  }

  /** Somebody chose the time of modification: what is told later keeps it. */
  timeWasSet(mtime: Time | undefined): void {
    if (this.areThere) this.#mtime = mtime;
  }

  /** The master was told of the first `count`, with this commit if there was one. */
  told(count: number, commit: LengthCommit | undefined): void {
    if (commit !== undefined) {
      this.#bytes -= commit.writtenBytes ?? this.#bytes;
      if (commit.writtenBytes === undefined) this.#hasFailed = false;
    }
    this.#toldCount = Math.max(this.#toldCount, count);
    if (!this.areThere) this.#forget();
  }

  /** The master found out by itself what was acknowledged. */
  drop(): void {
    this.#toldCount = this.#count;
    this.#bytes = 0;
    this.#forget();
  }

  /** A length that the master is told of again would undo what others cut since. */
  #forget(): void {
    this.#mtime = undefined;
    this.#writer = undefined;
    this.#end = 0;
  }
}
