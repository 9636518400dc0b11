import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ExtentLocation, FindChunksResponse, VersionRecord } from '../rpc/messages.ts';
import type { Identity } from './api.ts';
import { ExtentCache } from './extent-cache.ts';
import { type ExtentSpan, isExtent, type Span } from './extent-map.ts';
import { ExtentQuestions, type Question } from './extent-questions.ts';
import { KnownChunks } from './known-chunks.ts';
import { isTransient, Patience } from './patience.ts';
import type { Session } from './session.ts';

/** A reader asks for the following extents too. */
const EXTENTS_AHEAD = 32;
/**
 * A cached location is used for so long without asking the master again: a replica that was left behind by a split is
 * then not read for longer by anyone who sees the master.
 */
const LOCATION_AGE_MS_MAX = 10 * SECOND_MS;
/** While the master does not answer that question, what is cached must do. */
const REVALIDATE_MS_MAX = 1 * SECOND_MS;

/** By what right a file's chunks are asked for. */
export interface Access {
  readonly inode: InodeId;
  readonly caller: Identity;
  /** Of the open file; 0: none, the master looks at the caller's permissions. */
  readonly openId: number;
}

/** A mutation at this version was refused or lost. */
export interface Suspicion {
  readonly chunk: number;
  /** Of its extent. */
  readonly start: number;
  readonly version: number;
  /** Nothing of ours was acknowledged there (P23): another chunk may take its place. */
  readonly unacknowledged?: boolean;
  /** The member that refused it for want of room. */
  readonly full?: number;
}

/** Where the chunks of files are: what the master said, kept while it works (§2.3, §2.7.1). */
export class Locations {
  readonly #env: Env;
  readonly #session: Session;
  readonly #questions: ExtentQuestions;
  /** Questions under way: many readers and writers of one file ask once. */
  readonly #asking = new Map<string, Promise<void>>();
  /** Of chunks, whichever file they are of. */
  readonly #chunks = new KnownChunks();
  readonly #cache: ExtentCache;

  constructor(env: Env, session: Session) {
    this.#env = env;
    this.#session = session;
    this.#questions = new ExtentQuestions(session);
    this.#cache = new ExtentCache(session.filesystem.chunkSizeBytes, this.#chunks);
  }

  /** The first extents, as an open file's answer brings them. `whole`: the file has no others. */
  learnFirst(
    inode: InodeId,
    extents: readonly ExtentLocation[],
    { whole, askedAtMs }: { whole: boolean; askedAtMs: number },
  ): void {
    const last = extents.at(-1);
    const to = whole ? Number.POSITIVE_INFINITY : last === undefined ? 0 : this.#cache.endOf(last);
    if (to > 0) this.#cache.learn(inode, { from: 0, to, extents, askedAtMs });
  }

  cached(inode: InodeId, fileOffset: number): Span | undefined {
    return this.#cache.at(inode, fileOffset);
  }

  forget(inode: InodeId, span: Span): void {
    this.#cache.forget(inode, span);
  }

  forgetAll(inode: InodeId): void {
    this.#cache.forgetAll(inode);
  }

  /** What is at this offset, for a reader. */
  async forRead(access: Access, fileOffset: number, patience: Patience): Promise<Span> {
    const cached = this.cached(access.inode, fileOffset);
    if (cached !== undefined) {
      if (this.#env.monotonicMs() - cached.triedAtMs < LOCATION_AGE_MS_MAX) return cached;
      await this.#revalidate(access, cached);
    }
    for (;;) {
      const span = this.cached(access.inode, fileOffset);
      if (span !== undefined) return span;
      await this.#once(`r${access.inode}`, async () => {
        await this.#find(access, { fileOffset, count: EXTENTS_AHEAD }, patience);
      });
    }
  }

  /**
   * No member serves reads of this extent at its version; resolves when one may (P6, P7), or the extent is another, or the
   * master cannot have the members settled now: a pause before the next attempt is all there is then.
   */
  async complain(access: Access, { start, location }: ExtentSpan, patience: Patience): Promise<void> {
    const question = { fileOffset: start, count: 1, suspectVersion: location.version };
    try {
      await this.#once(`c${location.chunk}`, async () => {
        await this.#find(access, question, patience);
      });
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }

  /** The extent that holds this offset, with a primary; it is added where there is a hole. */
  async forWrite(
    access: Access,
    fileOffset: number,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<ExtentSpan> {
    for (;;) {
      const span = await this.#withPrimary(access, fileOffset, suspicion, patience, { forWrite: true });
      if (span !== undefined) return span;
      await this.#once(this.#writeKey(access, fileOffset), async () => {
        try {
          await this.#add(access, fileOffset, patience);
        } catch (error) {
          if (codeOf(error) !== 'NO_SUCH_CHUNK') throw error;
          // A truncation came in between, and there is a hole again.
          await patience.pause(error);
        }
      });
    }
  }

  /** As `forWrite`, but of what is there already: a hole stays one, and is answered as nothing. */
  forAppend(
    access: Access,
    fileOffset: number,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<ExtentSpan | undefined> {
    return this.#withPrimary(access, fileOffset, suspicion, patience, { forWrite: true });
  }

  /** As `forAppend`, with the hole where there is one: as the master knew it at that time, or later. */
  async forChange(
    access: Access,
    fileOffset: number,
    sinceMs: number,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<Span> {
    const known = this.cached(access.inode, fileOffset);
    if (known !== undefined && !isExtent(known) && known.checkedAtMs < sinceMs)
      this.forget(access.inode, known);
    for (;;) {
      const extent = await this.forAppend(access, fileOffset, suspicion, patience);
      const span = extent ?? this.cached(access.inode, fileOffset);
      if (span !== undefined) return span;
    }
  }

  /** With a primary, to sync there or ask for the length; a hole stays one, and is answered as nothing. */
  withPrimary(
    access: Access,
    fileOffset: number,
    suspicion: Suspicion | undefined,
    patience: Patience,
  ): Promise<ExtentSpan | undefined> {
    return this.#withPrimary(access, fileOffset, suspicion, patience, { forSync: true });
  }

  async #withPrimary(
    access: Access,
    fileOffset: number,
    complaint: Suspicion | undefined,
    patience: Patience,
    purpose: { forWrite?: true; forSync?: true },
  ): Promise<ExtentSpan | undefined> {
    for (let suspicion = complaint; ; ) {
      const span = this.cached(access.inode, fileOffset);
      if (span !== undefined && !isExtent(span)) return undefined;
      if (isExtent(span) && isUsable(span.location, suspicion, purpose)) {
        // What it says may be newer than a session that ended, whose writes were kept from arriving by an older version.
        this.#session.mustHold(access.openId);
        return span;
      }
      const suspected = isExtent(span) && span.location.chunk === suspicion?.chunk ? suspicion.version : 0;
      await this.#once(this.#writeKey(access, fileOffset), async () => {
        const found = await this.#find(
          access,
          {
            ...{ fileOffset, count: 1, ...purpose, suspectVersion: suspected },
            unacknowledged: suspected !== 0 && suspicion?.unacknowledged === true,
            fullServer: suspected === 0 ? 0 : (suspicion?.full ?? 0),
          },
          patience,
        );
        if (suspicion?.unacknowledged) this.#chunks.noteReplaced(suspicion, found.extents[0]);
        // The master heard the complaint and names a primary: it has asked that one, and it is worth another try (P12).
        suspicion = undefined;
        const first = found.extents[0];
        if (first !== undefined && first.start <= fileOffset && !isUsable(first, suspicion, purpose)) {
          await patience.pause(new GfsError('NOT_READY', `chunk ${first.chunk} has no primary`));
        }
      });
    }
  }

  /** The file's last extent, from the master itself, and its length there. */
  async last(
    access: Access,
    patience: Patience,
  ): Promise<{ span: ExtentSpan | undefined; fileLength: number }> {
    const askedAtMs = this.#env.monotonicMs();
    const question = { fileOffset: 0, count: 1, forWrite: true, last: true };
    const found = await this.#questions.find(access, question, patience);
    const location = found.extents[0];
    if (location === undefined) return { span: undefined, fileLength: found.fileLength };
    const { inode } = access;
    const { start: from } = location;
    const to = Math.max(this.#cache.endOf(location), from);
    this.#cache.learn(inode, { from, to, extents: [location], askedAtMs });
    return { span: this.#cache.spanOf(location, askedAtMs), fileLength: found.fileLength };
  }

  /**
   * The primary sealed this extent's chunk at that length: the master is told, and the next extent begins there. If the
   * extent is not what it was any more, the master is asked anew before the next use of it.
   */
  async addBehind(access: Access, span: ExtentSpan, sealedLength: number, patience: Patience): Promise<void> {
    try {
      await this.#addBehind(access, span, sealedLength, patience);
    } catch (error) {
      switch (codeOf(error)) {
        case 'NO_SUCH_CHUNK':
        case 'VERSION_MISMATCH':
          // The file was truncated meanwhile.
          this.forget(access.inode, span);
          await patience.pause(error);
          break;
        default:
          throw error;
      }
    }
  }

  async #addBehind(
    access: Access,
    { start, location }: ExtentSpan,
    sealedLength: number,
    patience: Patience,
  ): Promise<void> {
    const { inode } = access;
    const { chunk, version } = location;
    const seal = { chunk, length: sealedLength, version };
    const askedAtMs = this.#env.monotonicMs();
    const next = await this.#questions.add(access, start + sealedLength, seal, patience);
    const sealed = { ...location, sealed: true, sealedLength };
    const to = this.#cache.endOf(next);
    this.#cache.learn(inode, { from: start, to, extents: [sealed, next], askedAtMs });
  }

  /** All extents, fresh from the master. */
  async all(access: Access, patience: Patience): Promise<ExtentLocation[]> {
    const extents: ExtentLocation[] = [];
    for (let fileOffset = 0; ; ) {
      const found = await this.#find(access, { fileOffset, count: 1000 }, patience);
      const last = found.extents.at(-1);
      if (last === undefined) return extents;
      extents.push(...found.extents);
      fileOffset = Math.max(this.#cache.endOf(last), last.start + 1);
    }
  }

  /** All extents that end behind an offset, as they were at one moment, and how often the file was truncated then. */
  async allFrom(
    access: Access,
    fileOffset: number,
    patience: Patience,
  ): Promise<{ extents: ExtentLocation[]; truncations: number }> {
    const extents: ExtentLocation[] = [];
    for (let position = fileOffset, first: number | undefined; ; ) {
      const found = await this.#find(access, { fileOffset: position, count: 1000 }, patience);
      const { truncations } = found;
      if (truncations !== (first ?? truncations)) {
        await patience.pause(new GfsError('NOT_READY', `inode ${access.inode} was truncated meanwhile`));
        return await this.allFrom(access, fileOffset, patience);
      }
      first = truncations;
      extents.push(...found.extents);
      const last = found.extents.at(-1);
      if (last === undefined) return { extents, truncations };
      position = Math.max(this.#cache.endOf(last), last.start + 1);
    }
  }

  /** What the first mutation of a new chunk tells its servers (P23); nothing once it has taken one of ours. */
  firstRecord(location: ExtentLocation): VersionRecord | undefined {
    return this.#chunks.firstRecord(location);
  }

  /** Another chunk took its place: an acknowledgement that comes late is worth nothing (P23). */
  wasReplaced(location: ExtentLocation): boolean {
    return this.#chunks.wasReplaced(location);
  }

  took(location: ExtentLocation): void {
    this.#chunks.took(location);
  }

  /**
   * A mutation was answered under this version. Members that a later one than the span's left out may live and not have it:
   * they are not read any more (P12).
   */
  acknowledged(inode: InodeId, span: ExtentSpan, version: number): void {
    const { chunk } = span.location;
    if (version <= span.location.version) return;
    this.#chunks.noteVersion(chunk, version);
    const cached = this.cached(inode, span.start);
    if (isExtent(cached) && cached.location.chunk === chunk && cached.location.version < version) {
      this.forget(inode, cached);
    }
  }

  async #revalidate(access: Access, span: Span): Promise<void> {
    const nowMs = this.#env.monotonicMs();
    const patience = new Patience(this.#env, { deadlineMs: nowMs + REVALIDATE_MS_MAX }, REVALIDATE_MS_MAX);
    try {
      await this.#once(`r${access.inode}`, async () => {
        await this.#find(access, { fileOffset: span.start, count: EXTENTS_AHEAD }, patience);
      });
    } catch (error) {
      if (!isTransient(error)) throw error;
      span.triedAtMs = nowMs;
    }
  }

  /** Asks the master and keeps the answer. */
  async #find(access: Access, question: Question, patience: Patience): Promise<FindChunksResponse> {
    const askedAtMs = this.#env.monotonicMs();
    const answer = await this.#questions.find(access, question, patience);
    const { inode } = access;
    const { extents } = answer;
    const last = extents.at(-1);
    const first = extents[0];
    const end = last === undefined ? Number.POSITIVE_INFINITY : this.#cache.endOf(last);
    // What ends at or before the question was not asked for; an extent sealed meanwhile may.
    const from = Math.min(question.fileOffset, first?.start ?? question.fileOffset);
    const to = Math.max(end, question.fileOffset);
    if (!this.#cache.learn(inode, { from, to, extents, askedAtMs })) {
      await patience.pause(
        new GfsError('NOT_READY', 'the master answered before a version that is known here'),
      );
    }
    return answer;
  }

  async #add(access: Access, fileOffset: number, patience: Patience): Promise<void> {
    const { inode } = access;
    const askedAtMs = this.#env.monotonicMs();
    const extent = await this.#questions.add(access, fileOffset, undefined, patience);
    const to = this.#cache.endOf(extent);
    this.#cache.learn(inode, { from: extent.start, to, extents: [extent], askedAtMs });
  }

  #writeKey(access: Access, fileOffset: number): string {
    return `w${access.inode}:${Math.floor(fileOffset / this.#session.filesystem.chunkSizeBytes)}`;
  }

  /** One question of a kind at a time: who comes meanwhile waits for its end, then looks again. */
  async #once(key: string, work: () => Promise<void>): Promise<void> {
    const running = this.#asking.get(key);
    if (running !== undefined) {
      // Its failure is its asker's, who may have had less patience.
      await running.catch(() => undefined);
      return;
    }
    const task = work();
    this.#asking.set(key, task);
    try {
      await task;
    } finally {
      this.#asking.delete(key);
    }
  }
}

function isUsable(
  location: ExtentLocation,
  suspicion: Suspicion | undefined,
  purpose: { readonly forWrite?: boolean },
): boolean {
  // Its primary orders nothing: the master has another chunk put in its place for who writes.
  if (purpose.forWrite && location.frozen) return false;
  const { members, primary } = location;
  if (!members.some(({ server }) => server === primary)) return false;
  // A restarted master has not heard of that member yet; without it no mutation completes.
  if (members.some(({ address }) => address === '')) return false;
  return suspicion?.chunk !== location.chunk || location.version > suspicion.version;
}
