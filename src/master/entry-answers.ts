import type { Env } from '../base/env.ts';
import { type InodeId, inodeId, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { type Attributes, FileType } from '../core/metadata/rows.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { DirectoryEntry, EntryResponse } from '../rpc/messages.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import type { ExtentLocator } from './extent-locator.ts';
import { unlessGone } from './gone-chunks.ts';
import type { Metadata } from './metadata.ts';
import type { NewsChannels } from './news-channels.ts';

/** What an answer's session names it by. */
export interface Place {
  readonly parent: InodeId;
  readonly name: Buffer;
}

interface LengthQuestion {
  readonly lengthBefore: number;
  readonly suspectVersion: number;
  /** Of a file that only the asking session may be writing, too. */
  readonly ownWrites: boolean;
}
const WHOLE_FILE: LengthQuestion = { lengthBefore: 0, suspectVersion: 0, ownWrites: false };

/**
 * Answers about inodes: each is remembered for the session that gets it, so that it is told of the next change. Of a file
 * that another session may be writing nobody could be told in time; there the answer says so, and where to ask for the
 * length (design, section 6).
 */
export class EntryAnswers {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #sessions: SessionTable;
  readonly #channels: NewsChannels;
  readonly #locator: ExtentLocator;
  readonly #raiser: ChunkRaiser;

  constructor(parts: EntryAnswersParts) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#sessions = parts.sessions;
    this.#channels = parts.channels;
    this.#locator = parts.locator;
    this.#raiser = parts.raiser;
  }

  /** A session that asks lives; NO_SUCH_SESSION when it ended. 0: nobody's question. */
  asker(session: number): SessionId | 0 {
    if (session === 0) return 0;
    const asker = sessionId(session);
    unwrap(this.#sessions.touch(asker, this.#env.monotonicMs()));
    return asker;
  }

  /** The session is told of it from now on. Called in the turn in which the answer was read. */
  learn(session: SessionId | 0, inode: InodeId, place?: Place): void {
    if (session === 0) return;
    const { news } = this.#channels;
    news.learntInode(session, inode);
    if (place !== undefined) news.learntName(session, place.parent, place.name);
  }

  /** A directory as a command of this session left it, if it is still there. */
  parent(session: SessionId | 0, inode: InodeId): Attributes | undefined {
    const attributes = this.#metadata.state.attributes(inode);
    if (!attributes.ok) return undefined;
    this.learn(session, inode);
    return attributes.value;
  }

  /** Somebody else may be adding to the file without telling us (P21). */
  isBeingWritten(session: SessionId | 0, { inode, type }: { inode: InodeId; type: number }): boolean {
    if (type !== FileType.REGULAR) return false;
    return this.#sessions.mayBeWrittenByOthers(inode, session);
  }

  /** As part of a listing with attributes, read in this turn. A file that is being written has none there. */
  listed<E extends DirectoryEntry>(session: SessionId | 0, parent: InodeId, entry: E): E {
    const { attributes, name } = entry;
    if (attributes === undefined) return entry;
    const inode = inodeId(attributes.inode);
    if (this.isBeingWritten(session, { inode, type: attributes.type }))
      return { ...entry, attributes: undefined };
    this.learn(session, inode, { parent, name });
    return entry;
  }

  /** `attributes` were read in this turn. Throws NOT_READY when the length cannot be asked for now. */
  async entry(
    session: SessionId | 0,
    attributes: Attributes,
    place?: Place,
    question = WHOLE_FILE,
  ): Promise<EntryResponse> {
    const { state } = this.#metadata;
    const before = question.lengthBefore || undefined;
    let { suspectVersion } = question;
    for (let current = attributes; ; ) {
      this.learn(session, current.inode, place);
      const beingWritten = this.isBeingWritten(question.ownWrites ? 0 : session, current);
      const extent = beingWritten ? state.tailExtent(current.inode, current.length, before) : undefined;
      if (extent === undefined)
        return { attributes: current, beingWritten, tail: undefined, parent: undefined };
      const tail = this.#locator.locate(extent, this.#env.monotonicMs(), session);
      const answers = tail.primary !== 0 && tail.version !== suspectVersion;
      if (answers) return { attributes: current, beingWritten, tail, parent: undefined };
      await unlessGone(this.#raiser.ensurePrimary(extent.chunk, suspectVersion));
      // The complaint was heard; a primary that was kept nevertheless is worth another try (P12).
      suspectVersion = 0;
      // We were away: the file may have been written, truncated or closed.
      current = unwrap(state.attributes(current.inode));
    }
  }
}

export interface EntryAnswersParts {
  readonly env: Env;
  readonly metadata: Metadata;
  readonly sessions: SessionTable;
  readonly channels: NewsChannels;
  readonly locator: ExtentLocator;
  readonly raiser: ChunkRaiser;
}
