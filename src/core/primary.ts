import { assert } from '../base/assert.ts';
import { hex } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { AppendTail } from './append-tail.ts';
import { APPEND_ENTRIES_MAX, type AppendEntry } from './replica-types.ts';
import { WriteMemory } from './write-memory.ts';

/** What a client asks of a primary. A write's place is the client's choice, an append's the primary's. */
export interface MutationRequest {
  readonly kind: 'write' | 'append' | 'seal';
  readonly writer: number;
  readonly number: number;
  /** Of a write. */
  readonly chunkOffset: number;
  readonly length: number;
}

/** A mutation in its place in the order: what all members apply. */
export interface Order {
  readonly serial: number;
  readonly kind: 'write' | 'append' | 'seal';
  readonly chunkOffset: number;
  readonly length: number;
}

export interface MutationAnswer {
  readonly chunkOffset: number;
  readonly chunkLength: number;
  /** The record did not fit and is not in the chunk. */
  readonly sealed: boolean;
}

/** What became of a request. `answer` may go out once every serial up to and with `serial` is committed. */
export type Admission =
  | { readonly kind: 'order'; readonly order: Order; readonly answer: MutationAnswer }
  /** Taken before: it is not applied again. A negative serial: committed under an earlier version. */
  | { readonly kind: 'repeat'; readonly serial: number; readonly answer: MutationAnswer };

/** An append that the chunk's table holds (P15). */
type TableHit = Pick<AppendEntry, 'number' | 'chunkOffset'>;

export interface PrimaryOptions {
  readonly chunk: number;
  readonly version: number;
  /** Of the version, this server included. */
  readonly memberCount: number;
  readonly chunkSizeBytes: number;
  readonly length: number;
  readonly sealed: boolean;
  /** Writers in the replica's table of appends. */
  readonly tableSize: number;
}

/** The serial of what an earlier version committed: reconcile put it on all members before this one began. */
export const COMMITTED_BEFORE = -1;

/**
 * Who orders the mutations of one chunk under one version (§3.1). It gives each its serial, knows which members have
 * applied what, and when a mutation may be answered: in serial order, when all members have applied it (P10, P11).
 * Whether a role exists at all - versions, leases - is decided elsewhere; one that failed is thrown away.
 */
export class Primary {
  readonly #options: PrimaryOptions;
  readonly #writes = new WriteMemory();
  /** Appends of this version, by writer: newer than what the replica's table may have by now. */
  readonly #appends = new Map<
    number,
    TableHit & { readonly serial: number; readonly answer: MutationAnswer }
  >();
  readonly #inFlight = new Map<number, number>();
  readonly #tail = new AppendTail();
  readonly #allMembers: number;
  /** Length and seal when all that was ordered is applied. */
  #length: number;
  #sealedBy: number | undefined;
  #tableSize: number;
  #nextSerial = 0;
  #committedSerial = 0;

  constructor(options: PrimaryOptions) {
    assert(options.memberCount >= 1 && options.memberCount < 31, 'members fit a mask');
    this.#options = options;
    this.#allMembers = 2 ** options.memberCount - 1;
    this.#length = options.length;
    this.#sealedBy = options.sealed ? COMMITTED_BEFORE : undefined;
    this.#tableSize = options.tableSize;
  }

  get version(): number {
    return this.#options.version;
  }

  /** Every serial below is applied by all members. */
  get committedSerial(): number {
    return this.#committedSerial;
  }

  get nextSerial(): number {
    return this.#nextSerial;
  }

  get idle(): boolean {
    return this.#committedSerial === this.#nextSerial;
  }

  get sealed(): boolean {
    return this.#sealedBy !== undefined;
  }

  /** The length that readers may be told, of a replica that is `replicaLength` long (P13). */
  visibleLength(replicaLength: number): number {
    return this.#tail.visible(replicaLength);
  }

  /** Whether an append of this writer needs its entry of the replica's table to be admitted. */
  wantsTableEntry(writer: number): boolean {
    return !this.#appends.has(writer);
  }

  /**
   * Takes a mutation into the order, finds it taken before, or refuses it; a refusal changes nothing. `entry` is what
   * the replica's table has of an append's writer.
   */
  admit(mutation: MutationRequest, version: number, entry?: TableHit): Result<Admission> {
    if (version !== this.#options.version) {
      return refuse(
        'VERSION_MISMATCH',
        `chunk ${this.#name()} is at version ${this.#options.version}, not ${version}`,
      );
    }
    switch (mutation.kind) {
      case 'write':
        return this.#admitWrite(mutation);
      case 'append':
        return this.#admitAppend(mutation, entry);
      case 'seal':
        return ok(this.#seal());
    }
  }

  /** One member (0 is this server) applied a serial. Returns the serials that are thereby committed, in order. */
  applied(serial: number, member: number): number[] {
    const missing = this.#inFlight.get(serial);
    assert(missing !== undefined, 'a member applies what was ordered and is not committed');
    assert((missing & (1 << member)) !== 0, 'a member applies a serial once');
    this.#inFlight.set(serial, missing & ~(1 << member));
    const committed: number[] = [];
    while (this.#inFlight.get(this.#committedSerial) === 0) {
      this.#inFlight.delete(this.#committedSerial);
      committed.push(this.#committedSerial);
      this.#committedSerial += 1;
    }
    if (committed.length > 0) this.#tail.committed(this.#committedSerial);
    return committed;
  }

  #admitWrite(mutation: MutationRequest): Result<Admission> {
    const { chunkOffset, length, writer, number } = mutation;
    if (length <= 0) return refuse('INVALID_ARGUMENT', 'a write of nothing');
    const end = chunkOffset + length;
    if (!Number.isSafeInteger(end) || chunkOffset < 0 || end > this.#options.chunkSizeBytes) {
      return refuse(
        'INVALID_ARGUMENT',
        `bytes ${chunkOffset} to ${end} are not inside chunk ${this.#name()}`,
      );
    }
    const remembered = this.#writes.find(writer, number);
    switch (remembered.kind) {
      case 'taken':
        return ok({
          kind: 'repeat',
          serial: remembered.serial,
          answer: { chunkOffset, chunkLength: this.#length, sealed: false },
        });
      case 'tooOld':
        return refuse(
          'INVALID_ARGUMENT',
          `write ${writer}/${number} comes after many newer ones: it may be a late copy`,
        );
      case 'full':
        return refuse('NOT_PRIMARY', `chunk ${this.#name()} has too many writers for one version`);
      case 'new':
        break;
    }
    if (this.#sealedBy !== undefined && end > this.#length) {
      return refuse('SEALED', `chunk ${this.#name()} is sealed at ${this.#length}`);
    }
    this.#writes.remember(writer, number, this.#nextSerial);
    this.#length = Math.max(this.#length, end);
    return ok(this.#order('write', chunkOffset, length));
  }

  #admitAppend(mutation: MutationRequest, entry: TableHit | undefined): Result<Admission> {
    const { length, writer, number } = mutation;
    if (length <= 0 || length > this.#options.chunkSizeBytes / 4) {
      return refuse('INVALID_ARGUMENT', `a record of ${length} bytes; at most a quarter chunk`); // §3.3
    }
    const before = this.#appends.get(writer);
    const hit = before ?? entry;
    if (hit !== undefined && number < hit.number) {
      return refuse(
        'INVALID_ARGUMENT',
        `append ${writer}/${number} comes after ${hit.number}: one at a time (P15)`,
      );
    }
    if (hit !== undefined && number === hit.number) {
      if (before !== undefined) return ok({ kind: 'repeat', serial: before.serial, answer: before.answer });
      const answer = { chunkOffset: hit.chunkOffset, chunkLength: this.#length, sealed: false };
      return ok({ kind: 'repeat', serial: COMMITTED_BEFORE, answer });
    }
    // No padding (§3.3) but a seal: the record's chunk ends here, for every writer (P16).
    const fits = this.#length + length <= this.#options.chunkSizeBytes;
    const known = hit !== undefined || this.#tableSize < APPEND_ENTRIES_MAX;
    if (this.#sealedBy !== undefined || !fits || !known) return ok(this.#seal());
    const chunkOffset = this.#length;
    this.#length += length;
    if (hit === undefined) this.#tableSize += 1;
    const admission = this.#order('append', chunkOffset, length);
    const { serial } = admission.order;
    this.#appends.set(writer, { number, chunkOffset, serial, answer: admission.answer });
    this.#tail.appended(serial, chunkOffset);
    return ok(admission);
  }

  #seal(): Admission {
    const answer = { chunkOffset: 0, chunkLength: this.#length, sealed: true };
    if (this.#sealedBy !== undefined) return { kind: 'repeat', serial: this.#sealedBy, answer };
    this.#sealedBy = this.#nextSerial;
    return { ...this.#order('seal', this.#length, 0), answer };
  }

  #order(kind: Order['kind'], chunkOffset: number, length: number): Admission & { readonly kind: 'order' } {
    const serial = this.#nextSerial;
    this.#nextSerial += 1;
    this.#inFlight.set(serial, this.#allMembers);
    const answer = { chunkOffset, chunkLength: this.#length, sealed: false };
    return { kind: 'order', order: { serial, kind, chunkOffset, length }, answer };
  }

  #name(): string {
    return hex(this.#options.chunk);
  }
}
