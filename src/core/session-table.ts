import { assert, must } from '../base/assert.ts';
import type { InodeId, SessionId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';

export interface OpenMode {
  readonly read: boolean;
  readonly write: boolean;
}
export interface OpenFile extends OpenMode {
  /** Of its session. */
  readonly openId: number;
  readonly inode: InodeId;
}

/** A session as it was opened. */
export interface SessionDescription {
  readonly session: SessionId;
  readonly host: string;
  readonly program: string;
  /** Paths are walked, and searching is checked, before a call comes to the master. */
  readonly kernelWalksPaths: boolean;
}

export interface SessionEntry extends SessionDescription {
  /** On the clock of durations. */
  renewedAtMs: number;
  /** What it has open is known: it began under this master, or told it since this master's start. */
  announced: boolean;
  readonly files: Map<number, OpenFile>;
}

/** How often each session has an inode open, and how often for writing. */
interface InodeUse {
  readonly openers: Map<SessionId, number>;
  readonly writers: Map<SessionId, number>;
}

/**
 * Sessions and what they have open. That a session exists is durable, what it has open is not: after a restart of the
 * master each session tells again, and until all have told (or ended) no file without a name may be removed, and any
 * file may be under somebody's pen (P21).
 */
export class SessionTable {
  readonly #sessions = new Map<SessionId, SessionEntry>();
  readonly #inodes = new Map<InodeId, InodeUse>();
  readonly #timeoutMs: number;
  readonly #graceEndsMs: number;

  /** `known`: sessions that the log has; they get a full time-out to come back. */
  constructor(options: {
    timeoutMs: number;
    nowMs: number;
    known: Iterable<SessionDescription>;
  }) {
    const { timeoutMs, nowMs } = options;
    this.#timeoutMs = timeoutMs;
    this.#graceEndsMs = nowMs + timeoutMs;
    for (const { session, host, program, kernelWalksPaths } of options.known) {
      this.#sessions.set(session, {
        session,
        host,
        program,
        kernelWalksPaths,
        renewedAtMs: nowMs,
        announced: false,
        files: new Map(),
      });
    }
  }

  begin(description: SessionDescription, nowMs: number): void {
    const { session } = description;
    assert(!this.#sessions.has(session), 'ids of sessions are not reused');
    this.#sessions.set(session, { ...description, renewedAtMs: nowMs, announced: true, files: new Map() });
  }

  /** Any word of a session proves that it lives. */
  touch(session: SessionId, nowMs: number): Result<void> {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return unknown(session);
    entry.renewedAtMs = nowMs;
    return ok(undefined);
  }

  /**
   * The session lives. Answers whether it has to tell what it has open: one that does not know of the master's restart
   * says only that it lives, which is not to say that it has nothing open.
   */
  renew(
    session: SessionId,
    { files, complete }: { files: readonly OpenFile[]; complete: boolean },
    nowMs: number,
  ): Result<{ tell: boolean }> {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return unknown(session);
    entry.renewedAtMs = nowMs;
    for (const file of files) {
      // What it opened under this master is known better here.
      if (!entry.files.has(file.openId)) this.#add(entry, file);
    }
    if (complete || nowMs >= this.#graceEndsMs) entry.announced = true;
    return ok({ tell: !entry.announced });
  }

  open(session: SessionId, file: OpenFile): Result<void> {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return unknown(session);
    // The same open sent again, after its answer was lost.
    if (entry.files.get(file.openId)?.inode === file.inode) return ok(undefined);
    if (entry.files.has(file.openId)) {
      return refuse('INVALID_ARGUMENT', `session ${session} has another file open as ${file.openId}`);
    }
    this.#add(entry, file);
    return ok(undefined);
  }

  /** The inode that is not open any more anywhere, if closing did that. A file that is not open is fine: a retry. */
  close(session: SessionId, openId: number): InodeId | undefined {
    const entry = this.#sessions.get(session);
    const file = entry?.files.get(openId);
    if (entry === undefined || file === undefined) return undefined;
    entry.files.delete(openId);
    return this.#remove(session, file) ? file.inode : undefined;
  }

  /** The session is over. Returns the inodes that nobody has open any more. */
  end(session: SessionId): InodeId[] {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return [];
    this.#sessions.delete(session);
    const files = [...entry.files.values()];
    return files.filter((file) => this.#remove(session, file)).map(({ inode }) => inode);
  }

  /** Sessions that said nothing for too long. */
  expired(nowMs: number): SessionId[] {
    return [...this.#sessions.values()]
      .filter(({ renewedAtMs }) => nowMs - renewedAtMs >= this.#timeoutMs)
      .map(({ session }) => session);
  }

  /** Whether what is open is known to be all: every session told since the start, or had its time to. */
  isComplete(nowMs: number): boolean {
    if (nowMs >= this.#graceEndsMs) return true;
    for (const { announced } of this.#sessions.values()) if (!announced) return false;
    return true;
  }

  isOpen(inode: InodeId): boolean {
    return this.#inodes.has(inode);
  }

  /** Sessions that may be writing the file now; ask `isComplete` too. */
  writersOf(inode: InodeId): SessionId[] {
    return [...(this.#inodes.get(inode)?.writers.keys() ?? [])];
  }

  /** Whether this session has it open, whoever of its users. */
  hasOpen(session: SessionId, inode: InodeId): boolean {
    return this.#inodes.get(inode)?.openers.has(session) === true;
  }

  /** Whether a session other than this one may be writing the file; ask `isComplete` too. */
  isWrittenByOthers(inode: InodeId, session: SessionId | 0): boolean {
    const writers = this.#inodes.get(inode)?.writers;
    if (writers === undefined) return false;
    return writers.size > (writers.has(session as SessionId) ? 1 : 0);
  }

  fileOf(session: SessionId, openId: number): OpenFile | undefined {
    return this.#sessions.get(session)?.files.get(openId);
  }

  get(session: SessionId): Readonly<SessionEntry> | undefined {
    return this.#sessions.get(session);
  }
  all(): Iterable<Readonly<SessionEntry>> {
    return this.#sessions.values();
  }
  get count(): number {
    return this.#sessions.size;
  }

  #add(entry: SessionEntry, file: OpenFile): void {
    entry.files.set(file.openId, file);
    let use = this.#inodes.get(file.inode);
    if (use === undefined) {
      use = { openers: new Map(), writers: new Map() };
      this.#inodes.set(file.inode, use);
    }
    add(use.openers, entry.session, 1);
    if (file.write) add(use.writers, entry.session, 1);
  }

  /** Whether that was the last one. */
  #remove(session: SessionId, file: OpenFile): boolean {
    const use = must(this.#inodes.get(file.inode), 'an open file is counted');
    add(use.openers, session, -1);
    if (file.write) add(use.writers, session, -1);
    if (use.openers.size > 0) return false;
    this.#inodes.delete(file.inode);
    return true;
  }
}

function add(counts: Map<SessionId, number>, session: SessionId, change: 1 | -1): void {
  const count = (counts.get(session) ?? 0) + change;
  assert(count >= 0, 'what is closed was open');
  if (count === 0) counts.delete(session);
  else counts.set(session, count);
}

function unknown(session: SessionId): Result<never> {
  return refuse('NO_SUCH_SESSION', `session ${session} is not known, or ran out`);
}
