import { assert } from '../base/assert.ts';
import { recordBytesMax } from '../base/constants.ts';
import { hex } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { entryAfter, NUMBERED_WRITERS_MAX, placeIn, placesOf } from './append-entries.ts';
import { AppendTail } from './append-tail.ts';
import { liesInAny } from './reconcile.ts';
import { APPEND_ENTRIES_MAX, type AppendEntry } from './replica-types.ts';
import { NO_RULES, type Rules } from './rules.ts';
import { WriteMemory } from './write-memory.ts';

/** What a client asks of a primary. The place of a write or of zeros is the client's choice, an append's the primary's. */
export interface MutationRequest {
  readonly kind: 'write' | 'zero' | 'append' | 'seal';
  readonly writer: number;
  readonly number: number;
  /** Of a write or of zeros: their place. An append or a seal: where the chunk has to end at least before it, filled up with zeros. */
  readonly chunkOffset: number;
  readonly length: number;
  /** Of an append: CRC-32 of the whole record. */
  readonly recordChecksum: number;
  /** Of an append that is a batch of numbered records, of which `number` is the last one's: how long each is. */
  readonly recordLengths?: readonly number[];
}

/** A mutation in its place in the order: what all members apply. */
export interface Order {
  readonly serial: number;
  readonly kind: 'write' | 'zero' | 'append' | 'seal';
  /** Of a seal: the chunk's length for ever. */
  readonly chunkOffset: number;
  readonly length: number;
}

export interface MutationAnswer {
  readonly chunkOffset: number;
  readonly chunkLength: number;
  /** The record did not fit and is not in the chunk. */
  readonly sealed: boolean;
  /** To a batch of numbered records of which some were taken before: all that the table says of the writer. Nothing is ordered. */
  readonly taken?: AppendEntry;
  /** Of zeros, if this server found out by applying them: so many bytes were data before. */
  readonly zeroedBytes?: number;
}

/** What became of a request. `answer` may go out once every serial up to and with `serial` is committed. */
export type Admission =
  | { readonly kind: 'order'; readonly order: Order; readonly answer: MutationAnswer }
  | Repeat;

/** Taken before: it is not applied again. A negative serial: committed under an earlier version. */
export interface Repeat {
  readonly kind: 'repeat';
  readonly serial: number;
  readonly answer: MutationAnswer;
}

/** What is known of a writer's appends. It may go out once every serial up to and with `serial` is committed. */
export interface Recalled {
  readonly serial: number;
  readonly entry: AppendEntry | undefined;
  readonly sealed: boolean;
  readonly chunkLength: number;
}

/** An entry of the table of appends (P15), with the serial that put it there. */
type Append = Omit<AppendEntry, 'writer'> & { readonly serial: number };

export interface PrimaryOptions {
  readonly chunk: number;
  readonly version: number;
  /** Of the version, this server included. */
  readonly memberCount: number;
  readonly chunkSizeBytes: number;
  readonly length: number;
  readonly sealed: boolean;
  /** Of appends, as the replicas hold it. */
  readonly table: readonly AppendEntry[];
  /** What these held is gone: no record in them is there, whatever the table says. */
  readonly lostBlocks?: ReadonlySet<number>;
  /** Nothing is ordered (P20); what was done before is answered. */
  readonly frozen?: boolean | undefined;
  readonly withoutRules?: Rules;
}

/** Members and a learner fit a mask. */
export const MEMBERS_MAX = 29;

/** The serial of what an earlier version committed: reconcile put it on all members before this one began. */
export const COMMITTED_BEFORE = -1;

const NONE: ReadonlySet<number> = new Set();

/**
 * Who orders the mutations of one chunk under one version (§3.1). It gives each its serial, knows which members have
 * applied what, and when a mutation may be answered: in serial order, when all members have applied it (P10, P11).
 * Whether a role exists at all - versions, leases - is decided elsewhere; one that failed is thrown away.
 */
export class Primary {
  readonly #options: PrimaryOptions;
  readonly #writes = new WriteMemory();
  /** The table of appends as it is when all that was ordered is applied, by writer. */
  readonly #appends = new Map<number, Append>();
  #numberedWriters = 0;
  readonly #inFlight = new Map<number, number>();
  readonly #tail = new AppendTail();
  /** Who has to apply what is ordered now: all members, and a learner that is required. */
  #required: number;
  readonly #learnerBit: number;
  readonly #withoutRules: Rules;
  /** Length and seal when all that was ordered is applied. */
  #length: number;
  #sealedBy: number | undefined;
  #nextSerial = 0;
  #committedSerial = 0;

  constructor(options: PrimaryOptions) {
    assert(
      options.memberCount >= 1 && options.memberCount <= MEMBERS_MAX,
      'members and a learner fit a mask',
    );
    this.#options = options;
    this.#withoutRules = options.withoutRules ?? NO_RULES;
    this.#required = this.#withoutRules.has('P10') ? 1 : 2 ** options.memberCount - 1;
    this.#learnerBit = 2 ** options.memberCount;
    this.#length = options.length;
    this.#sealedBy = options.sealed ? COMMITTED_BEFORE : undefined;
    for (const { writer, ...entry } of options.table) {
      this.#appends.set(writer, { ...entry, serial: COMMITTED_BEFORE });
      if (entry.records !== undefined) this.#numberedWriters += 1;
    }
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

  /** When all that was ordered is applied. */
  get length(): number {
    return this.#length;
  }

  get sealed(): boolean {
    return this.#sealedBy !== undefined;
  }

  /** The length that readers may be told, of a replica that is `replicaLength` long (P13). */
  visibleLength(replicaLength: number): number {
    return this.#withoutRules.has('P13') ? replicaLength : this.#tail.visible(replicaLength);
  }

  /** Takes a mutation into the order, finds it taken before, or refuses it; a refusal changes nothing. */
  admit(mutation: MutationRequest, version: number): Result<Admission> {
    const known = this.recall(mutation, version);
    if (!known.ok) return known;
    if (known.value !== undefined) return ok(known.value);
    switch (mutation.kind) {
      case 'write':
        return ok(this.#admitWrite(mutation));
      case 'zero':
        return ok(this.#admitZeros(mutation));
      case 'append':
        return ok(this.#admitAppend(mutation));
      case 'seal':
        return ok(this.#seal(mutation.chunkOffset));
    }
  }

  /**
   * As `admit`, as far as neither the data nor a place in the order is needed for it: what was taken before, what a
   * sealed chunk answers, what is refused. Undefined: it is new.
   */
  recall(mutation: MutationRequest, version: number): Result<Repeat | undefined> {
    const known = this.#recall(mutation, version);
    const isNew = known.ok && known.value === undefined;
    if (!isNew || !this.#options.frozen) return known;
    return refuse('NOT_PRIMARY', `chunk ${this.#name()} is shared: its primary orders nothing`);
  }

  /** What the table says of a writer, when all that was ordered is applied. */
  recallWriter(writer: number): Recalled {
    const append = this.#appends.get(writer);
    const serial = Math.max(append?.serial ?? COMMITTED_BEFORE, this.#sealedBy ?? COMMITTED_BEFORE);
    const entry = append === undefined ? undefined : entryOf(writer, append);
    return { serial, entry, sealed: this.sealed, chunkLength: this.#length };
  }

  #recall(mutation: MutationRequest, version: number): Result<Repeat | undefined> {
    if (version !== this.#options.version) {
      return refuse(
        'VERSION_MISMATCH',
        `chunk ${this.#name()} is at version ${this.#options.version}, not ${version}`,
      );
    }
    const { chunkOffset, length } = mutation;
    const hasPlace = mutation.kind === 'write' || mutation.kind === 'zero';
    const end = hasPlace ? chunkOffset + length : chunkOffset;
    if (!Number.isSafeInteger(end) || chunkOffset < 0 || end > this.#options.chunkSizeBytes) {
      const message = `bytes ${chunkOffset} to ${end} are not inside chunk ${this.#name()}`;
      return refuse('INVALID_ARGUMENT', message);
    }
    switch (mutation.kind) {
      case 'write':
      case 'zero':
        return this.#recallWrite(mutation);
      case 'append':
        return this.#recallAppend(mutation);
      case 'seal':
        return this.#recallSeal(mutation);
    }
  }

  /** One member (0 is this server) applied a serial. Returns the serials that are thereby committed, in order. */
  applied(serial: number, member: number): number[] {
    if (this.#withoutRules.has('P10') && member !== 0) return [];
    const missing = this.#inFlight.get(serial);
    assert(missing !== undefined, 'a member applies what was ordered and is not committed');
    assert((missing & (1 << member)) !== 0, 'a member applies a serial once');
    this.#inFlight.set(serial, missing & ~(1 << member));
    return this.#commit();
  }

  /**
   * From now on a learner counts as a member does (P9): it has applied every serial below `applied`, and nothing from there
   * on is committed without it. Not for what was committed before: that the learner gets there is its lesson's to see.
   */
  requireLearner(applied: number): void {
    this.#required |= this.#learnerBit;
    for (const [serial, missing] of this.#inFlight) {
      if (serial >= applied) this.#inFlight.set(serial, missing | this.#learnerBit);
    }
  }

  /** A learner of which nothing was asked yet is given up. Returns the serials that are thereby committed. */
  releaseLearner(): number[] {
    this.#required &= ~this.#learnerBit;
    for (const [serial, missing] of this.#inFlight) this.#inFlight.set(serial, missing & ~this.#learnerBit);
    return this.#commit();
  }

  /** The learner applied a serial. Returns the serials that are thereby committed. */
  learnerApplied(serial: number): number[] {
    const missing = this.#inFlight.get(serial);
    if (missing === undefined) return [];
    this.#inFlight.set(serial, missing & ~this.#learnerBit);
    return this.#commit();
  }

  /** Takes what all have applied, in serial order. */
  #commit(): number[] {
    const committed: number[] = [];
    while (this.#inFlight.get(this.#committedSerial) === 0) {
      this.#inFlight.delete(this.#committedSerial);
      committed.push(this.#committedSerial);
      this.#committedSerial += 1;
    }
    if (committed.length > 0) this.#tail.committed(this.#committedSerial);
    return committed;
  }

  #recallWrite({ kind, chunkOffset, length, writer, number }: MutationRequest): Result<Repeat | undefined> {
    if (length <= 0) return refuse('INVALID_ARGUMENT', 'a write of nothing');
    const remembered = this.#writes.find(writer, number);
    switch (remembered.kind) {
      case 'taken':
        if (kind === 'zero') return ok(this.#zeroed(remembered.serial, chunkOffset));
        return ok(this.#repeat(remembered.serial, chunkOffset));
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
    if (kind === 'write' && this.#sealedBy !== undefined && chunkOffset + length > this.#length) {
      return refuse('SEALED', `chunk ${this.#name()} is sealed at ${this.#length}`);
    }
    return ok(undefined);
  }

  #recallAppend(mutation: MutationRequest): Result<Repeat | undefined> {
    const { length, writer, number, recordChecksum } = mutation;
    if (length <= 0) return refuse('INVALID_ARGUMENT', 'an append of nothing');
    const lengthMax = recordBytesMax(this.#options.chunkSizeBytes);
    if (length > lengthMax) {
      const message = `a record of ${length} bytes is longer than ${lengthMax}, a quarter chunk`;
      return refuse('INVALID_ARGUMENT', message);
    }
    if (mutation.recordLengths !== undefined) return this.#recallRecords(mutation, mutation.recordLengths);
    const before = this.#withoutRules.has('P15') ? undefined : this.#appends.get(writer);
    if (before === undefined || number > before.number) return ok(this.#sealedAnswer());
    if (number < before.number) {
      const message = `append ${writer}/${number} comes after ${before.number}: one at a time (P15)`;
      return refuse('INVALID_ARGUMENT', message);
    }
    if (length !== before.length || recordChecksum !== before.checksum) {
      return refuse('INVALID_ARGUMENT', `append ${writer}/${number} was another record before`);
    }
    const { lostBlocks = NONE } = this.#options;
    if (before.serial === COMMITTED_BEFORE && liesInAny(lostBlocks, before.chunkOffset, length)) {
      return refuse('CHUNK_LOST', `append ${writer}/${number} lay in a block whose bytes no member has`);
    }
    return ok(this.#repeat(before.serial, before.chunkOffset));
  }

  /**
   * A batch of numbered records is taken as a whole or not at all. Who sends some of them again, or learns that somebody else
   * has appended by the same name, is told where the latest lie.
   */
  #recallRecords(
    { writer, number }: MutationRequest,
    lengths: readonly number[],
  ): Result<Repeat | undefined> {
    const before = this.#withoutRules.has('P15') ? undefined : this.#appends.get(writer);
    const first = number - lengths.length + 1;
    if (before === undefined || first > before.number) {
      const sealed = this.#sealedAnswer();
      if (sealed !== undefined || before === undefined || before.serial < this.#committedSerial)
        return ok(sealed);
      return refuse('NOT_READY', `records up to ${writer}/${before.number} are not on all members (P15)`);
    }
    const { lostBlocks = NONE } = this.#options;
    for (let one = first; before.serial === COMMITTED_BEFORE && one <= number; one += 1) {
      const place = placeIn(before, one);
      if (place !== undefined && liesInAny(lostBlocks, place.chunkOffset, place.length))
        return refuse('CHUNK_LOST', `record ${writer}/${one} lay in a block whose bytes no member has`);
    }
    const { serial, answer } = this.#repeat(before.serial, before.chunkOffset);
    return ok({ kind: 'repeat', serial, answer: { ...answer, taken: entryOf(writer, before) } });
  }

  #recallSeal({ chunkOffset }: MutationRequest): Result<Repeat | undefined> {
    const sealed = this.#sealedAnswer();
    if (sealed !== undefined || this.#length > 0 || chunkOffset > 0) return ok(sealed);
    return refuse('INVALID_ARGUMENT', `chunk ${this.#name()} is empty: nothing could follow its seal`);
  }

  #admitWrite({ chunkOffset, length, writer, number }: MutationRequest): Admission {
    this.#writes.remember(writer, number, this.#nextSerial);
    this.#length = Math.max(this.#length, chunkOffset + length);
    return this.#order('write', chunkOffset, length);
  }

  /** What the chunk has of the range; it does not get longer, and where there is nothing there is nothing to do. */
  #admitZeros({ chunkOffset, length, writer, number }: MutationRequest): Admission {
    const end = Math.min(chunkOffset + length, this.#length);
    const isNothing = end <= chunkOffset;
    // A late copy would find what was written since.
    this.#writes.remember(writer, number, isNothing ? COMMITTED_BEFORE : this.#nextSerial);
    if (isNothing) return this.#zeroed(COMMITTED_BEFORE, chunkOffset);
    const { order } = this.#order('zero', chunkOffset, end - chunkOffset);
    return { kind: 'order', order, answer: this.#zeroed(order.serial, chunkOffset).answer };
  }

  /** Where a sealed chunk ends, the rest of the range is another's. */
  #zeroed(serial: number, chunkOffset: number): Repeat {
    const answer = { chunkOffset, chunkLength: this.#length, sealed: this.sealed };
    return { kind: 'repeat', serial, answer };
  }

  #admitAppend(mutation: MutationRequest): Admission {
    const { length, writer, number, chunkOffset: end, recordChecksum, recordLengths } = mutation;
    const chunkOffset = Math.max(this.#length, end);
    const before = this.#appends.get(writer);
    const isNumbered = recordLengths !== undefined;
    // No padding (§3.3) but a seal: the record's chunk ends here, for every writer (P16).
    const fits = chunkOffset + length <= this.#options.chunkSizeBytes;
    const hasEntry = before !== undefined || this.#hasRoomForWriter(isNumbered);
    if (!fits || !hasEntry) return this.#seal(end);
    this.#length = chunkOffset + length;
    const admission = this.#order('append', chunkOffset, length);
    const { serial } = admission.order;
    const records = isNumbered ? { records: placesOf(chunkOffset, recordLengths) } : {};
    const append = { number, chunkOffset, length, checksum: recordChecksum, ...records, serial };
    this.#appends.set(writer, entryAfter(before, append));
    if (isNumbered && before === undefined) this.#numberedWriters += 1;
    this.#tail.appended(serial, chunkOffset);
    return admission;
  }

  #hasRoomForWriter(isNumbered: boolean): boolean {
    if (isNumbered && this.#numberedWriters >= NUMBERED_WRITERS_MAX) return false;
    return this.#appends.size < APPEND_ENTRIES_MAX;
  }

  #seal(end: number): Admission {
    this.#sealedBy = this.#nextSerial;
    this.#length = Math.max(this.#length, end);
    const { order } = this.#order('seal', this.#length, 0);
    return { kind: 'order', order, answer: { chunkOffset: 0, chunkLength: this.#length, sealed: true } };
  }

  #sealedAnswer(): Repeat | undefined {
    if (this.#sealedBy === undefined) return undefined;
    const answer = { chunkOffset: 0, chunkLength: this.#length, sealed: true };
    return { kind: 'repeat', serial: this.#sealedBy, answer };
  }

  #repeat(serial: number, chunkOffset: number): Repeat {
    return { kind: 'repeat', serial, answer: { chunkOffset, chunkLength: this.#length, sealed: false } };
  }

  #order(kind: Order['kind'], chunkOffset: number, length: number): Admission & { readonly kind: 'order' } {
    const serial = this.#nextSerial;
    this.#nextSerial += 1;
    this.#inFlight.set(serial, this.#required);
    const answer = { chunkOffset, chunkLength: this.#length, sealed: false };
    return { kind: 'order', order: { serial, kind, chunkOffset, length }, answer };
  }

  #name(): string {
    return hex(this.#options.chunk);
  }
}

function entryOf(writer: number, { serial: _, ...entry }: Append): AppendEntry {
  return { writer, ...entry };
}
