import type { Bytes } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { HOUR_MS } from '../base/units.ts';
import type { Rules } from '../core/rules.ts';
import {
  type ExtentLocation,
  MasterDefinition,
  MutationKind,
  type NameAppenderResponse,
  type TableEntry,
} from '../rpc/messages.ts';
import { findEnd, findEndIfAnswered, isAt, LAST_EXTENT_AGE_MS_MAX } from './appender.ts';
import { wasNotOrdered } from './applied.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { ExtentSpan } from './extent-map.ts';
import { KnownAppends } from './known-appends.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import { isTransient, type Patience } from './patience.ts';
import type { Session } from './session.ts';
import { SettledExtents } from './settled-extents.ts';

const { nameAppender } = MasterDefinition.methods;

/** A file that has too many appenders forgets those that were not named for a day. */
const NAMED_AGE_MS_MAX = HOUR_MS;

export interface NamedWriterOptions {
  readonly env: Env;
  readonly session: Session;
  readonly locations: Locations;
  readonly writer: ChunkWriter;
  readonly withoutRules: Rules;
  readonly access: Access;
  readonly name: Uint8Array;
  /** Records that somebody appended are there, up to this file offset: as if it had been this client, others rely on its word. */
  readonly onFound: (span: ExtentSpan, end: number) => void;
}

/** Numbered records that follow one another, up to `number`. */
export interface NumberedBatch {
  readonly number: number;
  readonly lengths: readonly number[];
  readonly bytes: Bytes;
}

/** What became of a batch. */
export type BatchOutcome =
  | { readonly kind: 'appended'; readonly span: ExtentSpan; readonly fileOffset: number }
  /** Something else is known than when it was made up: some of it may be in the file. */
  | { readonly kind: 'look again' };

/** Whether an attempt at a batch may have been carried out, or be still. */
export interface BatchFate {
  mayBeApplied: boolean;
}

/** The extent that takes the next records: the file's last one when it was asked for. */
interface Target {
  readonly span: ExtentSpan;
  readonly fileLength: number;
  readonly learntAtMs: number;
}

/**
 * The writer that a file has under a name, for as long as this process appends by it. Others may do so too, or have done so and
 * be dead, with a batch on its way that nobody waits for. So nothing is appended to an extent before
 *
 * - all that it can follow is settled: each extent before it that such a batch could go to is sealed, and its table read, from
 *   where the appender's latest records were known to be (P17);
 * - it was the last extent at a time when it was there already. Whoever looks later sees it, and settles it before he goes on
 *   behind it.
 *
 * In one chunk the primary decides: of a batch some of whose numbers are taken it takes nothing, and says what is there.
 */
export class NamedWriter {
  readonly known = new KnownAppends();
  readonly #options: NamedWriterOptions;
  readonly #settled: SettledExtents;
  #named: NameAppenderResponse | undefined;
  #namedAtMs = 0;
  /** Extents that end here or before are settled. */
  #floor = 0;
  #target: Target | undefined;
  /** Since the last truncation that is known here. */
  #hasAppended = false;

  constructor(options: NamedWriterOptions) {
    this.#options = options;
    this.#settled = new SettledExtents(options);
  }

  /** Some of its records may have gone with a truncation, and with them what their numbers were. */
  get mayHaveForgotten(): boolean {
    return this.#named?.truncated === true && !this.#hasAppended;
  }

  /** Its latest records are known, and where the next ones go. */
  get isFound(): boolean {
    return this.#target !== undefined;
  }

  /** The master knows the appender, or makes it. */
  async name(patience: Patience): Promise<void> {
    await this.#name(undefined, patience);
  }

  /** What is known is to be looked up again before the next batch. */
  doubt(): void {
    this.#target = undefined;
  }

  /** Resolves when the appender's latest records are known, and where the next ones go. */
  async find(patience: Patience): Promise<void> {
    await this.#findTarget(patience);
  }

  /** Tries to append a batch to the present target. */
  async append(batch: NumberedBatch, patience: Patience, fate: BatchFate): Promise<BatchOutcome> {
    const before = this.#target;
    const target = await this.#findTarget(patience);
    if (target !== before && before?.span.location.chunk !== target.span.location.chunk)
      return { kind: 'look again' };
    this.#target = undefined;
    const outcome = await this.#pursue(target, batch, patience, fate);
    switch (outcome.kind) {
      case 'done': {
        const { span, chunkOffset } = outcome;
        const { start } = span;
        let fileOffset = start + chunkOffset;
        let sequence = batch.number - batch.lengths.length + 1;
        for (const length of batch.lengths) {
          this.known.note(sequence, start, { fileOffset, length });
          sequence += 1;
          fileOffset += length;
        }
        const isSame = isAt(target.span.location, span.location);
        const learntAtMs = isSame ? target.learntAtMs : Number.NEGATIVE_INFINITY;
        this.#hasAppended = true;
        this.#target = { span, fileLength: 0, learntAtMs };
        return { kind: 'appended', span, fileOffset: start + chunkOffset };
      }
      case 'taken':
        this.known.noteEntry(outcome.span.start, outcome.entry);
        this.#tellFound(outcome.span, outcome.entry, outcome.chunkLength);
        this.#target = { ...target, span: outcome.span };
        return { kind: 'look again' };
      case 'sealed':
        fate.mayBeApplied = false;
        await this.#options.locations.addBehind(
          this.#options.access,
          outcome.span,
          outcome.sealedLength,
          patience,
        );
        return { kind: 'look again' };
      case 'gone':
        return { kind: 'look again' };
    }
  }

  async #findTarget(patience: Patience): Promise<Target> {
    const target = this.#target;
    if (target !== undefined && this.#isNamed) {
      const ageMs = this.#options.env.monotonicMs() - target.learntAtMs;
      if (ageMs < LAST_EXTENT_AGE_MS_MAX) return target;
      const confirmed = await this.#confirmed(target, patience);
      if (confirmed !== undefined) {
        this.#target = confirmed;
        return confirmed;
      }
    }
    for (;;) {
      this.#target = await this.#search(patience);
      if (this.#target !== undefined) return this.#target;
      await patience.pause(new GfsError('NOT_READY', 'the file changed while its end was looked for'));
    }
  }

  get #isNamed(): boolean {
    return this.#named !== undefined && this.#options.env.monotonicMs() - this.#namedAtMs < NAMED_AGE_MS_MAX;
  }

  /** It is still the last extent, as far as the master answers. */
  async #confirmed({ span }: Target, patience: Patience): Promise<Target | undefined> {
    const { env, locations, access } = this.#options;
    const learntAtMs = env.monotonicMs();
    const end = await findEndIfAnswered(env, locations, access, patience);
    if (end === undefined) return { span, fileLength: 0, learntAtMs };
    return isAt(end.chunk, span.location) ? { span, fileLength: end.fileLength, learntAtMs } : undefined;
  }

  /** Undefined: the file changed meanwhile. */
  async #search(patience: Patience): Promise<Target | undefined> {
    const { env, locations, access } = this.#options;
    if (!this.#isNamed) await this.#name(undefined, patience);
    const learntAtMs = env.monotonicMs();
    const end = await findEnd(locations, access, patience);
    const span =
      end.chunk === undefined
        ? await locations.forWrite(access, end.fileOffset, undefined, patience)
        : await locations.forAppend(access, end.fileOffset, undefined, patience);
    if (span === undefined) return undefined;
    // From here on it is there for all who look: what lies before it now is all that may.
    const { extents, truncations } = await locations.allFrom(access, this.#floor, patience);
    if (truncations !== this.#named?.truncations) {
      await this.#name(undefined, patience);
      return undefined;
    }
    const last = extents.at(-1);
    if (last === undefined || last.start !== span.start || last.chunk !== span.location.chunk)
      return undefined;
    const before = this.#options.withoutRules.has('A1') ? [last] : extents;
    const recalled = await this.#settled.recall(before, this.#named.writer, patience);
    if (recalled === undefined) return undefined;
    for (const { start, entry } of recalled) if (entry !== undefined) this.known.noteEntry(start, entry);
    const there = recalled.at(-1);
    if (there?.entry !== undefined) this.#tellFound(span, there.entry, there.length);
    this.#floor = Math.max(this.#floor, last.start);
    await this.#tellWhereItIs(extents, patience);
    return { span, fileLength: end.fileLength, learntAtMs };
  }

  /** What was cut off is not there. */
  #tellFound(span: ExtentSpan, { records }: TableEntry, chunkLength: number): void {
    const ends = records.map(({ chunkOffset, length }) => Math.min(chunkOffset + length, chunkLength));
    const end = Math.max(0, ...ends);
    if (end > 0) this.#options.onFound(span, span.start + end);
  }

  /** So that whoever comes after this process has little to search. */
  async #tellWhereItIs(extents: readonly ExtentLocation[], patience: Patience): Promise<void> {
    if (this.mayHaveForgotten) return;
    const from = this.known.highest === undefined ? extents.at(-1)?.start : this.known.firstExtent();
    if (from === undefined || extents.every(({ start }) => start >= from)) return;
    try {
      await this.#name(from, patience);
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }

  async #name(from: number | undefined, patience: Patience): Promise<void> {
    const { env, session, access, name } = this.#options;
    const { inode, caller, openId } = access;
    const before = this.#named;
    const truncations = before?.truncations ?? 0;
    const told = { from, truncations, highest: this.known.highest ?? 0 };
    const request = { context: undefined, inode, openId, appender: Buffer.from(name), ...told };
    const namedAtMs = env.monotonicMs();
    const named = await session.command(nameAppender, request, caller, patience, true, openId);
    if (before !== undefined && before.writer !== named.writer) {
      throw new GfsError('BUSY', 'the file forgot the appender, which was unused for too long: open it anew');
    }
    this.#named = named;
    this.#namedAtMs = namedAtMs;
    if (named.highest > 0) this.known.noteHighest(named.highest);
    if (before === undefined || before.truncations !== named.truncations) {
      // What was settled may be gone, and other extents be in its place.
      this.#floor = named.from;
      this.#target = undefined;
      this.#hasAppended = false;
      if (before !== undefined) this.known.truncated();
    }
  }

  /** Asks the primary of that chunk, whichever server that is by then, until it has answered. */
  async #pursue(
    target: Target,
    { number, lengths, bytes }: NumberedBatch,
    patience: Patience,
    fate: BatchFate,
  ): Promise<Pursued> {
    const { locations, writer, access, withoutRules } = this.#options;
    const { start, location: first } = target.span;
    const id = { writer: this.#named?.writer ?? 0, number };
    const kind = MutationKind.MUTATION_KIND_APPEND;
    let span: ExtentSpan | undefined = target.span;
    let { fileLength } = target;
    let suspicion: Suspicion | undefined;
    while (span !== undefined && span.start === start && span.location.chunk === first.chunk) {
      const chunkOffset = Math.max(0, fileLength - start);
      try {
        const mutation = { id, kind, chunkOffset, bytes, recordLengths: lengths };
        const answer = await writer.mutate(span, mutation, patience);
        // Another chunk has its place, and will have the record.
        if (locations.wasReplaced(span.location)) return { kind: 'gone' };
        locations.acknowledged(access.inode, span, answer.version);
        const { taken, chunkLength } = answer;
        if (taken !== undefined) return { kind: 'taken', span, entry: taken, chunkLength };
        if (answer.sealed) return { kind: 'sealed', span, sealedLength: answer.chunkLength };
        return { kind: 'done', span, chunkOffset: answer.chunkOffset };
      } catch (error) {
        if (!wasNotOrdered(error)) fate.mayBeApplied = true;
        suspicion = await writer.recover(error, span, suspicion, patience);
        if (withoutRules.has('P17')) return { kind: 'gone' };
      }
      if (chunkOffset > 0) fileLength = (await locations.last(access, patience)).fileLength;
      span = await writer.spanForAppend(access, { start, end: chunkOffset }, suspicion, patience);
      // Refused for its version's sake: the file may end elsewhere by now.
      if (!fate.mayBeApplied && span?.location.version !== first.version) return { kind: 'gone' };
    }
    return { kind: 'gone' };
  }
}

type Pursued =
  | { readonly kind: 'done'; readonly span: ExtentSpan; readonly chunkOffset: number }
  | {
      readonly kind: 'taken';
      readonly span: ExtentSpan;
      readonly entry: TableEntry;
      readonly chunkLength: number;
    }
  | { readonly kind: 'sealed'; readonly span: ExtentSpan; readonly sealedLength: number }
  | { readonly kind: 'gone' };
