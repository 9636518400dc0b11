import { assert, must } from '../base/assert.ts';
import type { InodeId, SessionId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { NO_RULES, type Rules } from './rules.ts';

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

/** A file whose writer went without a word. */
export interface Unsettled {
  readonly inode: InodeId;
  /** Which going of a writer it was. */
  readonly turn: number;
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
  /** Files whose writer went without a word: how long they are is not known, in the order in which that is found out. */
  readonly #unsettled = new Map<InodeId, number>();
  #unsettledCount = 0;
  /** A session went that never told this master what it had open: any file may have been under its pen. */
  #mayHaveLostWriters = false;
  /** Of sessions that did not announce themselves, at most so many: they only become fewer. */
  #silentCount = 0;
  readonly #withoutRules: Rules;

  /** `known`: sessions that the log has; they get a full time-out to come back. */
  constructor(options: {
    timeoutMs: number;
    nowMs: number;
    known: Iterable<SessionDescription>;
    withoutRules?: Rules;
  }) {
    const { timeoutMs, nowMs } = options;
    this.#withoutRules = options.withoutRules ?? NO_RULES;
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
      this.#silentCount += 1;
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

  /**
   * The session is over, and with it all that it held: its open files and its turns as a writer. What it was still writing is
   * unsettled from now on (P21). Returns the inodes that nobody has open any more.
   */
  end(session: SessionId): InodeId[] {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return [];
    this.#sessions.delete(session);
    if (!entry.announced) this.#mayHaveLostWriters = true;
    const files = [...entry.files.values()];
    for (const { inode, write } of files) if (write) this.unsettle(inode);
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

  /** From then on `isComplete` is true whoever has not told. */
  get graceEndsMs(): number {
    return this.#graceEndsMs;
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

  /**
   * Whether the file may be longer than the master was told, by the doing of anybody but this session (P21): another one is
   * writing it, or did so and went without a word, or may do so without this master's knowledge.
   */
  mayBeWrittenByOthers(inode: InodeId, session: SessionId | 0): boolean {
    const isUnheard = this.#mayHaveLostWriters || this.#hasSilent();
    if (this.#unsettled.has(inode) || (isUnheard && !this.#withoutRules.has('P21'))) return true;
    const writers = this.#inodes.get(inode)?.writers;
    if (writers === undefined) return false;
    return writers.size > (writers.has(session as SessionId) ? 1 : 0);
  }

  /** Some file may have had a writer that this master never heard of: to be found before lengths are believed again. */
  get mayHaveLostWriters(): boolean {
    return this.#mayHaveLostWriters;
  }

  /** All that such a writer may have left is unsettled now. */
  lostWritersFound(): void {
    this.#mayHaveLostWriters = false;
  }

  unsettle(inode: InodeId): void {
    this.#unsettledCount += 1;
    this.#unsettled.set(inode, this.#unsettledCount);
  }

  unsettled(limit: number): Unsettled[] {
    const found: Unsettled[] = [];
    for (const [inode, turn] of this.#unsettled) {
      if (found.length === limit) break;
      found.push({ inode, turn });
    }
    return found;
  }

  /** The master knows now how long the file is, unless another writer of it went meanwhile. */
  settled({ inode, turn }: Unsettled): void {
    if (this.#unsettled.get(inode) === turn) this.#unsettled.delete(inode);
  }

  /** Others first. */
  postpone({ inode }: Unsettled): void {
    const turn = this.#unsettled.get(inode);
    if (turn === undefined) return;
    this.#unsettled.delete(inode);
    this.#unsettled.set(inode, turn);
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

  /** A session from before the master's start has not told yet what it has open. */
  #hasSilent(): boolean {
    if (this.#silentCount === 0) return false;
    let count = 0;
    for (const { announced } of this.#sessions.values()) if (!announced) count += 1;
    this.#silentCount = count;
    return count > 0;
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
