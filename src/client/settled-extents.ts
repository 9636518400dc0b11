import { NO_BYTES } from '../base/bytes.ts';
import { codeOf } from '../base/errors.ts';
import { Semaphore } from '../base/mutex.ts';
import { type ExtentLocation, MutationKind, type RecallResponse, type TableEntry } from '../rpc/messages.ts';
import { type ChunkWriter, primaryOf } from './chunk-writer.ts';
import { type ExtentSpan, isExtent } from './extent-map.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import type { Patience } from './patience.ts';

/** Chunks asked at a time. */
const ASKED_MAX = 8;

export interface SettledExtentsOptions {
  readonly locations: Locations;
  readonly writer: ChunkWriter;
  readonly access: Access;
}

/** What one chunk's table says of the writer. */
export interface RecalledExtent {
  readonly start: number;
  readonly entry: TableEntry | undefined;
  /** The chunk's. */
  readonly length: number;
}

/** What the tables of appends of a file's extents say of a writer, for good: but for the last extent they are sealed first. */
export class SettledExtents {
  readonly #options: SettledExtentsOptions;

  constructor(options: SettledExtentsOptions) {
    this.#options = options;
  }

  /** Undefined: the file has other extents by now. */
  async recall(
    extents: readonly ExtentLocation[],
    writer: number,
    patience: Patience,
  ): Promise<RecalledExtent[] | undefined> {
    const asked = new Semaphore(ASKED_MAX);
    const recalled = await Promise.allSettled(
      extents.map(async (extent, index) => {
        using _ = await asked.acquire();
        const isLast = index === extents.length - 1;
        const answer = isLast
          ? await this.#atPrimary(extent, writer, patience)
          : await this.#sealed(extent, writer, patience);
        return answer && { start: extent.start, entry: answer.entry, length: answer.length };
      }),
    );
    const found: RecalledExtent[] = [];
    for (const one of recalled) {
      if (one.status === 'rejected') throw one.reason;
      if (one.value === undefined) return undefined;
      found.push(one.value);
    }
    return found;
  }

  /** A chunk that is sealed for good has nothing of the writer but what it tells now. */
  async #sealed(
    extent: ExtentLocation,
    writer: number,
    patience: Patience,
  ): Promise<RecallResponse | undefined> {
    const told = extent.sealed ? await this.#atAnyMember(extent, writer, patience) : undefined;
    if (told?.sealed) return told;
    for (;;) {
      const answer = await this.#atPrimary(extent, writer, patience);
      if (answer === undefined || answer.sealed) return answer;
      if (!(await this.#seal(extent, patience))) return undefined;
    }
  }

  async #atAnyMember(
    extent: ExtentLocation,
    writer: number,
    patience: Patience,
  ): Promise<RecallResponse | undefined> {
    for (const member of extent.members) {
      try {
        return await this.#options.writer.recallAt(extent, member, writer, patience);
      } catch (error) {
        // Its primary can tell, and the master finds one.
        if (patience.signal?.aborted) throw error;
      }
    }
    return undefined;
  }

  async #atPrimary(
    { start }: ExtentLocation,
    writer: number,
    patience: Patience,
  ): Promise<RecallResponse | undefined> {
    const { access, locations, writer: chunks } = this.#options;
    let answer: RecallResponse | undefined;
    await chunks.atPrimary(access, start, patience, async (span) => {
      if (span.start !== start) return;
      try {
        answer = await chunks.recallAt(span.location, primaryOf(span.location), writer, patience);
      } catch (error) {
        const unwritten = locations.firstRecord(span.location) !== undefined;
        if (codeOf(error) !== 'NO_SUCH_CHUNK' || !unwritten) throw error;
        answer = { entry: undefined, sealed: false, length: 0 };
      }
    });
    return answer;
  }

  /** What lies behind its end reads as zeros before and after. False: the extent is not there any more. */
  async #seal({ start }: ExtentLocation, patience: Patience): Promise<boolean> {
    const { access, locations, writer } = this.#options;
    let suspicion: Suspicion | undefined;
    let isEmpty = false;
    for (;;) {
      const span = await locations.forAppend(access, start, suspicion, patience);
      if (!isExtent(span) || span.start !== start) return false;
      try {
        await writer.mutate(span, sealOf(writer, span, isEmpty), patience);
        return true;
      } catch (error) {
        if (codeOf(error) === 'INVALID_ARGUMENT' && !isEmpty) isEmpty = true;
        else suspicion = await writer.recover(error, span, suspicion, patience);
      }
    }
  }
}

/** At its present length; an empty chunk, which has none to be sealed at, where its place ends. */
function sealOf(writer: ChunkWriter, { start, end }: ExtentSpan, isEmpty: boolean) {
  const kind = MutationKind.MUTATION_KIND_SEAL;
  return { id: writer.newId(), kind, chunkOffset: isEmpty ? end - start : 0, bytes: NO_BYTES };
}
