import { putLast } from '../base/bounded.ts';
import type { Env, Timer } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { accessTimeOfRead } from '../core/metadata/access-times.ts';
import { READS_PER_COMMAND_MAX, ROOT_CALLER } from '../core/metadata/commands.ts';
import { compareTimes, laterTime, timeOfMicros } from '../core/metadata/times.ts';
import { type Attributes, MasterDefinition, type Time } from '../rpc/messages.ts';
import { isTransient, Patience } from './patience.ts';
import type { Session } from './session.ts';

const { setAccessTimes } = MasterDefinition.methods;
/** Reads gather for so long. */
const GATHER_MS = 1 * SECOND_MS;
const ATTEMPT_MS = 5 * SECOND_MS;
/** At the end, a master that does not answer in that time is not told. */
const CLOSE_MS_MAX = 1 * SECOND_MS;
/** As many as may be remembered of names. */
const SEEN_COUNT_MAX = 30_000;
/** While the master is away; beyond it what was read first is forgotten. */
const WAITING_COUNT_MAX = 30_000;

/** A time of access that the master has not been told of, and what it has for one, for all that is known here. */
export interface Move {
  readonly atime: Time;
  readonly knownAtime: Time;
}

export interface AccessTimesOptions {
  readonly env: Env;
  readonly session: Session;
  readonly tasks: TaskGroup;
  /** The master has set it. */
  readonly onSet: (inode: InodeId, move: Move) => void;
  /** It has not: what is known of the inode is old. */
  readonly onPassedOver: (inode: InodeId) => void;
}

/**
 * Times of access that reading moves. They are gathered, and the master is told once a second, so that no read waits for it and
 * none fails with it; whoever looks here meanwhile sees them.
 */
export class AccessTimes {
  readonly #options: AccessTimesOptions;
  /** Attributes as the master answered them last. */
  readonly #seen = new Map<InodeId, Attributes>();
  readonly #waiting = new Map<InodeId, Move>();
  /** On their way to the master. */
  #sent = new Map<InodeId, Move>();
  readonly #closing = sharedAbort();
  #timer: Timer | undefined;
  #telling: Promise<void> | undefined;
  #masterIsAway = false;

  constructor(options: AccessTimesOptions) {
    this.#options = options;
  }

  /** The master answered these. Answers what they are with what was read here. */
  observed(attributes: Attributes): Attributes {
    this.#see(attributes.inode as InodeId, attributes);
    const atime = this.#atimeOf(attributes);
    return atime === attributes.atime ? attributes : { ...attributes, atime };
  }

  /** Somebody else has read it. */
  forget(inode: InodeId): void {
    this.#seen.delete(inode);
  }

  /**
   * Somebody read the inode. `writtenAt`: when this client wrote to it, which the master was not told. True: its time of access has
   * moved. (It stays where nothing is known of the inode: with the next look at it reads count again.)
   */
  read(inode: InodeId, writtenAt?: Time): boolean {
    const seen = this.#seen.get(inode);
    const moved = this.moved(inode, writtenAt);
    if (seen?.atime === undefined || moved === undefined) return false;
    const sent = this.#sent.get(inode);
    const knownAtime = isBehind(sent, seen.atime) ? sent.atime : seen.atime;
    putLast(this.#waiting, inode, { atime: moved, knownAtime }, WAITING_COUNT_MAX);
    this.#tellSoon();
    return true;
  }

  /** What a read now would make it; undefined: it would stay. */
  moved(inode: InodeId, writtenAt?: Time): Time | undefined {
    const seen = this.#seen.get(inode);
    if (seen === undefined) return undefined;
    const mtime = writtenAt && seen.mtime ? laterTime(writtenAt, seen.mtime) : seen.mtime;
    const times = { atime: this.#atimeOf(seen), mtime, ctime: seen.ctime };
    return accessTimeOfRead(times, timeOfMicros(this.#options.env.nowMicros()));
  }

  /** It is about to be set by a command: what was read before does not count. */
  set(inode: InodeId): void {
    this.#waiting.delete(inode);
    this.#sent.delete(inode);
  }

  /** Tells what is left, if the master answers. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort();
    await this.#telling;
    const deadlineMs = this.#options.env.monotonicMs() + CLOSE_MS_MAX;
    if (!this.#masterIsAway) await this.#tell({ deadlineMs });
  }

  /** Each answer passes here: of those that are known, the order stays as it was. */
  #see(inode: InodeId, attributes: Attributes): void {
    const before = this.#seen.get(inode);
    if (before === attributes) return;
    if (before === undefined) putLast(this.#seen, inode, attributes, SEEN_COUNT_MAX);
    else this.#seen.set(inode, attributes);
  }

  /** With what was read, unless it was set to something else than what the reader knew. */
  #atimeOf({ inode, atime }: Attributes): Time | undefined {
    const waiting = this.#waiting.get(inode as InodeId);
    const sent = this.#sent.get(inode as InodeId);
    if (atime === undefined || (waiting === undefined && sent === undefined)) return atime;
    return isBehind(waiting, atime) || isBehind(sent, atime) ? (waiting ?? sent)?.atime : atime;
  }

  #tellSoon(): void {
    if (this.#closing.signal.aborted || this.#timer !== undefined) return;
    this.#timer = this.#options.env.setTimer(GATHER_MS, () => {
      this.#options.tasks.run(async () => {
        const deadlineMs = this.#options.env.monotonicMs() + ATTEMPT_MS;
        this.#telling = this.#tell({ deadlineMs, signal: this.#closing.signal });
        await this.#telling;
        this.#timer = undefined;
        if (this.#waiting.size > 0) this.#tellSoon();
      });
    });
  }

  async #tell(waiting: { deadlineMs: number; signal?: AbortSignal }): Promise<void> {
    const { env } = this.#options;
    this.#masterIsAway = false;
    for (let stopped = false; this.#waiting.size > 0 && !stopped; this.#sent = new Map()) {
      this.#sent = this.#takeSome();
      try {
        this.#settle(await this.#tellSent(new Patience(env, waiting, ATTEMPT_MS)));
      } catch (error) {
        env.log.of('files').debug({ error: messageOf(error) }, 'times of access were not told');
        this.#masterIsAway = isTransient(error);
        stopped = this.#masterIsAway || codeOf(error) === 'CANCELLED';
        // What it refuses is not told again: it has no room, or the session that read has ended.
        if (stopped) this.#takeBack();
      }
    }
  }

  async #tellSent(patience: Patience): Promise<ReadonlySet<number>> {
    const reads = [...this.#sent].map(([inode, move]) => ({ inode, ...move }));
    const request = { context: undefined, reads };
    const { inodes } = await this.#options.session.command(
      setAccessTimes,
      request,
      ROOT_CALLER,
      patience,
      false,
    );
    return new Set(inodes);
  }

  #takeSome(): Map<InodeId, Move> {
    const taken = new Map<InodeId, Move>();
    for (const [inode, move] of this.#waiting) {
      this.#waiting.delete(inode);
      taken.set(inode, move);
      if (taken.size === READS_PER_COMMAND_MAX) break;
    }
    return taken;
  }

  #settle(set: ReadonlySet<number>): void {
    for (const [inode, move] of this.#sent) {
      const seen = this.#seen.get(inode);
      if (!set.has(inode)) {
        this.#seen.delete(inode);
        this.#options.onPassedOver(inode);
        continue;
      }
      if (seen?.atime && compareTimes(seen.atime, move.knownAtime) === 0) {
        this.#seen.set(inode, { ...seen, atime: move.atime });
      }
      this.#options.onSet(inode, move);
    }
  }

  /** What was read again meanwhile goes by what the master has. */
  #takeBack(): void {
    for (const [inode, { atime, knownAtime }] of this.#sent) {
      const again = this.#waiting.get(inode);
      this.#waiting.set(inode, { atime: again?.atime ?? atime, knownAtime });
    }
  }
}

/** What the master has is what this move goes on from. */
function isBehind(move: Move | undefined, atime: Time): move is Move {
  return move !== undefined && compareTimes(move.knownAtime, atime) === 0;
}
