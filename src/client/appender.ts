import type { Bytes } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { SECOND_MS } from '../base/units.ts';
import type { Rules } from '../core/rules.ts';
import { type ExtentLocation, type MutateResponse, MutationKind } from '../rpc/messages.ts';
import { telling, wasNotOrdered } from './applied.ts';
import type { ChunkWriter, MutationId } from './chunk-writer.ts';
import type { ExtentSpan } from './extent-map.ts';
import type { FileState } from './file-state.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import { isTransient, Patience } from './patience.ts';

/** So long what was the file's last extent is taken for that without asking the master. */
export const LAST_EXTENT_AGE_MS_MAX = 1 * SECOND_MS;
const LONG_AGO_MS = Number.NEGATIVE_INFINITY;
/** While the master does not answer in that time, what was the last extent must do. */
const REVALIDATE_MS_MAX = SECOND_MS / 4;

/** Where to append. */
export interface End {
  /** A file offset inside the last extent, or inside the one that is to be begun. */
  readonly fileOffset: number;
  /** The file is at least this long. */
  readonly fileLength: number;
  /**
   * The last extent has this chunk, at this version: with another one the file may end elsewhere. Undefined: it is to be begun.
   */
  readonly chunk: Pick<ExtentLocation, 'chunk' | 'version'> | undefined;
}

/** What became of a record in one extent. */
type Outcome =
  | { readonly kind: 'done'; readonly span: ExtentSpan; readonly answer: MutateResponse }
  /** It is not in that chunk, and never will be. */
  | { readonly kind: 'sealed'; readonly span: ExtentSpan; readonly answer: MutateResponse }
  /** It is not there, nor what was tried there; or it may not be the last one any more, and nothing was. */
  | { readonly kind: 'gone' };

/** Whether an attempt at a record may have been carried out, or be still, where it is not known that it was not. */
interface Fate {
  mayBeApplied: boolean;
}

interface AppendRecord {
  readonly id: MutationId;
  readonly bytes: Bytes;
}

/**
 * Record append (§3.3): the primary of the last chunk picks the offset. A record that does not fit seals the chunk at its
 * true length, and the next extent begins right there. A record is pursued where it was first tried, under one name, until
 * that chunk is known not to have it (P17): so it is in the file once, whatever fails meanwhile.
 */
export class Appender {
  readonly #env: Env;
  readonly #locations: Locations;
  readonly #writer: ChunkWriter;
  readonly #withoutRules: Rules;

  constructor(env: Env, locations: Locations, writer: ChunkWriter, withoutRules: Rules) {
    this.#env = env;
    this.#locations = locations;
    this.#writer = writer;
    this.#withoutRules = withoutRules;
  }

  /**
   * Appends one record, whole; resolves to its file offset. One append per writer is under way at a time (P15). An error
   * tells in `applied` whether the record may still appear, once.
   */
  async append(access: Access, state: FileState, record: AppendRecord, patience: Patience): Promise<number> {
    const fate: Fate = { mayBeApplied: false };
    try {
      return await this.#append(access, state, record, patience, fate);
    } catch (error) {
      throw telling(error, fate.mayBeApplied ? 'unknown' : 'no');
    }
  }

  async #append(
    access: Access,
    state: FileState,
    record: AppendRecord,
    patience: Patience,
    fate: Fate,
  ): Promise<number> {
    let learntAtMs = this.#env.monotonicMs();
    const { appendedTo } = state;
    let end: End;
    if (appendedTo === undefined) {
      end = await this.#findEnd(access, patience);
    } else {
      // The primary knows how long that chunk is.
      end = { fileOffset: appendedTo.start, fileLength: 0, chunk: appendedTo };
      if (learntAtMs - appendedTo.learntAtMs < LAST_EXTENT_AGE_MS_MAX) learntAtMs = appendedTo.learntAtMs;
      else end = (await findEndIfAnswered(this.#env, this.#locations, access, patience)) ?? end;
    }
    for (;;) {
      const outcome = await this.#pursue(access, end, record, patience, fate);
      if (outcome.kind === 'done') {
        const { span, answer } = outcome;
        state.unsynced.acknowledged(span);
        const { chunk, version } = span.location;
        // If the master did not say that it is the last one at that version, it is asked before the next record.
        const askedAtMs = isAt(end.chunk, span.location) ? learntAtMs : LONG_AGO_MS;
        state.appendedTo = { start: span.start, chunk, version, learntAtMs: askedAtMs };
        return span.start + answer.chunkOffset;
      }
      fate.mayBeApplied = false;
      state.appendedTo = undefined;
      learntAtMs = this.#env.monotonicMs();
      end =
        outcome.kind === 'gone'
          ? await this.#findEnd(access, patience)
          : await this.#behind(access, outcome.span, outcome.answer.chunkLength, patience);
    }
  }

  #findEnd(access: Access, patience: Patience): Promise<End> {
    return findEnd(this.#locations, access, patience);
  }

  /** The end of the file once one of its extents is known to be sealed at that length. */
  async #behind(access: Access, span: ExtentSpan, sealedLength: number, patience: Patience): Promise<End> {
    await this.#locations.addBehind(access, span, sealedLength, patience);
    return await this.#findEnd(access, patience);
  }

  /** Asks the primary of one extent, whichever server that is by then, until it has answered. */
  async #pursue(
    access: Access,
    end: End,
    { id, bytes }: AppendRecord,
    patience: Patience,
    fate: Fate,
  ): Promise<Outcome> {
    const first =
      end.chunk === undefined
        ? await this.#locations.forWrite(access, end.fileOffset, undefined, patience)
        : await this.#locations.forAppend(access, end.fileOffset, undefined, patience);
    if (first === undefined || !isAt(end.chunk ?? first.location, first.location)) return { kind: 'gone' };
    const { start } = first;
    let span: ExtentSpan | undefined = first;
    let { fileLength } = end;
    let suspicion: Suspicion | undefined;
    while (span?.start === start) {
      const kind = MutationKind.MUTATION_KIND_APPEND;
      const chunkOffset = Math.max(0, fileLength - start);
      try {
        const answer = await this.#writer.mutate(span, { id, kind, chunkOffset, bytes }, patience);
        if (!this.#locations.wasReplaced(span.location))
          this.#locations.acknowledged(access.inode, span, answer.version);
        return { kind: answer.sealed ? 'sealed' : 'done', span, answer };
      } catch (error) {
        if (!wasNotOrdered(error)) fate.mayBeApplied = true;
        suspicion = await this.#writer.recover(error, span, suspicion, patience);
        if (this.#withoutRules.has('P17')) return { kind: 'gone' };
      }
      // A truncation may have been what came between: the end that was known before is no end any more.
      if (chunkOffset > 0) fileLength = (await this.#locations.last(access, patience)).fileLength;
      span = await this.#writer.spanForAppend(access, { start, end: chunkOffset }, suspicion, patience);
      // Refused for its version's sake: the file may end elsewhere by now.
      if (!fate.mayBeApplied && !isAt(span?.location, first.location)) return { kind: 'gone' };
    }
    return { kind: 'gone' };
  }
}

/** Asks the master where the file ends. */
export async function findEnd(locations: Locations, access: Access, patience: Patience): Promise<End> {
  const { span, fileLength } = await locations.last(access, patience);
  if (span === undefined) return { fileOffset: fileLength, fileLength, chunk: undefined };
  const { start, location } = span;
  if (span.end > fileLength && !location.sealed) return { fileOffset: start, fileLength, chunk: location };
  // It is full, or the file was extended over its end.
  const end = Math.max(fileLength, span.end);
  return { fileOffset: end, fileLength: end, chunk: undefined };
}

/** Nothing while the master does not answer: a file that is being appended to goes on without it. */
export async function findEndIfAnswered(
  env: Env,
  locations: Locations,
  access: Access,
  { deadlineMs, signal, requestId }: Patience,
): Promise<End | undefined> {
  const limitMs = Math.min(deadlineMs, env.monotonicMs() + REVALIDATE_MS_MAX);
  const patience = new Patience(env, { deadlineMs: limitMs, signal, requestId }, REVALIDATE_MS_MAX);
  try {
    return await findEnd(locations, access, patience);
  } catch (error) {
    if (isTransient(error)) return undefined;
    throw error;
  }
}

/** The extent has that chunk, at that version. */
export function isAt(known: End['chunk'], { chunk, version }: ExtentLocation): boolean {
  return known?.chunk === chunk && known.version === version;
}
