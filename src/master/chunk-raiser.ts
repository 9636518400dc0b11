import { unreachable } from '../base/assert.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { type Result, unwrap } from '../base/result.ts';
import { Accusations, Complaints } from '../core/complaints.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import { versionAfter } from '../core/lost-log.ts';
import { INTERNAL, type RaiseVersion } from '../core/metadata/commands.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import { Raise } from '../core/raise.ts';
import type { NoRoom, RaiseOptions, RaisePlan } from '../core/raise-plan.ts';
import type { Rules } from '../core/rules.ts';
import type { Metadata } from './metadata.ts';
import { RaiseCalls, type RaiseCallsParts } from './raise-calls.ts';

export interface ChunkRaiserParts extends RaiseCallsParts {
  readonly metadata: Metadata;
  readonly leases: LeaseTable;
  /** A version has no fewer members, or all of a lower goal (P3). */
  readonly minReplicas: number;
  readonly withoutRules: Rules;
  /** Somebody waits to write a chunk that has too few members left. */
  readonly onTooFew: (chunk: ChunkHandle) => void;
}

type RaiseReason = Pick<
  RaiseOptions,
  'isBeyondLog' | 'keep' | 'avoid' | 'accusation' | 'noRoom' | 'forRepair' | 'admitted'
>;

type RunReason = RaiseReason & {
  /** Nobody orders mutations at the new version. */
  readonly frozen?: boolean | undefined;
};

interface RaiseHow {
  readonly log?: LogRaise;
  readonly forRepair?: boolean;
  /** Of the operation that waits for it; absent: the raise gets a name of its own. */
  readonly requestId?: string | undefined;
}

type Decide = (row: Chunk) => RunReason | 'not needed';

/** Puts a raise into the log, perhaps with more in the same command. */
export type LogRaise = (plan: RaisePlan) => Promise<Result<unknown>>;

/** What a primary says when it cannot go on (P12). */
export interface EvictionRequest {
  readonly version: number;
  readonly by: ServerId;
  /** `by` itself: it resigns. */
  readonly accused: ServerId;
  /** It refused in its own words, for want of room or another reason; otherwise it is silent, or out of reach. */
  readonly refused: 'no' | 'yes' | 'no room';
  readonly requestId: string;
}

/** A primary's word that a learner has all that clients were told (P9). */
export interface AdmissionRequest {
  readonly version: number;
  readonly by: ServerId;
  readonly learner: ServerId;
  readonly requestId: string;
}

/**
 * Gives chunks a primary: the one that holds the lease, or a new one by raising the version (P2). One raise of a chunk
 * at a time; who wants one meanwhile waits for it.
 */
export class ChunkRaiser {
  readonly #parts: ChunkRaiserParts;
  readonly #calls: RaiseCalls;
  readonly #running = new Map<ChunkHandle, Promise<void>>();
  readonly #complaints = new Complaints();
  readonly #accusations = new Accusations();
  /** Chunks of which a server has a version that the log lost (P25). */
  readonly #beyondLog = new Map<ChunkHandle, number>();
  #raiseCount = 0;

  constructor(parts: ChunkRaiserParts) {
    this.#parts = parts;
    this.#calls = new RaiseCalls(parts);
  }

  /**
   * Resolves when the chunk has a primary: of one that is shared, one that orders nothing (P20). `suspectVersion`: a
   * client's mutation at this version was refused or lost. A primary that says that it is in charge nevertheless is kept,
   * the client tries again; unless complaints go on. `full`: this member refused the mutation at that version for want of
   * room, and nobody has applied it. It is left out, with others that are known to be full; NO_SPACE when that leaves too
   * few. Throws NOT_READY or TOO_FEW_REPLICAS when there can be none now.
   */
  async ensurePrimary(
    chunk: ChunkHandle,
    suspectVersion = 0,
    { full, requestId }: { readonly full?: ServerId; readonly requestId?: string } = {},
  ): Promise<void> {
    await this.#raiseForWriter(chunk, requestId, (row) => {
      const { version, primary, members } = row;
      // Frozen to be shared, and not shared (any more): it is to be written to again.
      if (row.frozen && row.referenceCount === 1) return {};
      if (version !== suspectVersion && this.#hasPrimary(chunk, version)) return 'not needed';
      if (full !== undefined && version === suspectVersion && members.includes(full)) {
        return { noRoom: this.#noRoom(row, full, false) };
      }
      const nowMs = this.#parts.env.monotonicMs();
      const isDue = version === suspectVersion && this.#complaints.note(chunk, version, nowMs);
      return isDue && primary !== 0 ? { avoid: primary } : { keep: 'inCharge' };
    });
  }

  /**
   * A reader found nobody at this version who serves it: all members may have restarted, or have lost power. Resolves
   * when one may. Throws as `ensurePrimary`.
   */
  async ensureReadable(chunk: ChunkHandle, version: number, requestId: string): Promise<void> {
    try {
      const decide: Decide = (row) => (row.version === version ? { keep: 'inCharge' } : 'not needed');
      await this.#raise(chunk, decide, { requestId });
    } catch (error) {
      // To a reader, a disk that is full is a server that is not ready.
      throw codeOf(error) === 'NO_SPACE'
        ? new GfsError('NOT_READY', messageOf(error), { cause: error })
        : error;
    }
  }

  /** Brings members to the logged version, or those that lost power to what others have; disturbs no reconcile. */
  async mend(chunk: ChunkHandle): Promise<void> {
    await this.#raise(chunk, () => ({ keep: 'reconciling' }));
  }

  /**
   * A server has a version above the log's (P25). Before the chunk is recovered nobody orders for it, and nobody is told of
   * places: readers are served by whom they know.
   */
  noteBeyondLog(chunk: ChunkHandle, version: number): void {
    if ((this.#beyondLog.get(chunk) ?? 0) >= version) return;
    const { env, leases } = this.#parts;
    const logged = this.#rowOf(chunk).version;
    env.log
      .of('raise')
      .error(
        { chunk: hex(chunk), version, logged },
        "a server has a version of a chunk that the master's log lost: nothing is written to it before it is recovered",
      );
    this.#beyondLog.set(chunk, version);
    leases.revoke(chunk);
  }

  isBeyondLog(chunk: ChunkHandle): boolean {
    return this.#beyondLog.has(chunk);
  }

  /** Versions that were put into the log since this master started. */
  get raiseCount(): number {
    return this.#raiseCount;
  }

  get beyondLogCount(): number {
    return this.#beyondLog.size;
  }

  /** The primary of a version cannot go on (P12). Resolves to the chunk's version: once it is higher, the request is void. */
  async evict(
    chunk: ChunkHandle,
    { version, by, accused, refused, requestId }: EvictionRequest,
  ): Promise<number> {
    await this.#raiseForWriter(chunk, requestId, (row) => {
      if (row.version !== version || row.primary !== by) return 'not needed';
      if (!row.members.includes(accused)) {
        if (this.#parts.metadata.state.server(accused) === undefined) {
          throw new GfsError('INVALID_ARGUMENT', `server ${accused} is no member of chunk ${hex(chunk)}`);
        }
        // A learner: what was asked for it is void under a higher version, with the same members.
        return { forRepair: true };
      }
      if (refused === 'no room') return { noRoom: this.#noRoom(row, accused, true) };
      const again = this.#accusations.note(chunk, { by, accused }, this.#parts.env.monotonicMs());
      return { accusation: { by, accused, refused: refused === 'yes', again } };
    });
    return this.#rowOf(chunk).version;
  }

  /**
   * For the repair of a copy (P9): those who are silent are left out as far as enough members are there, and there is a
   * primary; where they are not enough, one that cannot get on without a member more. Resolves to it, and its version.
   */
  async ensureTeacher(chunk: ChunkHandle): Promise<{ version: number; primary: ServerId | 0 }> {
    await this.#raise(chunk, () => ({ keep: 'teaching' }), { forRepair: true });
    const { version, primary } = this.#rowOf(chunk);
    return { version, primary };
  }

  /**
   * Makes a learner a member (P9). Resolves to the chunk's version then. Throws VERSION_MISMATCH, NOT_PRIMARY, INVALID_ARGUMENT
   * when that is not to be asked again; NO_SUCH_CHUNK when the server does not learn for this version.
   */
  async admit(chunk: ChunkHandle, { version, by, learner, requestId }: AdmissionRequest): Promise<number> {
    const decide: Decide = (row) => {
      const isMember = row.members.includes(learner);
      // Asked again, since the answer got lost.
      if (isMember && row.version > version) return 'not needed';
      if (row.version !== version) {
        const fields = { version: String(row.version) };
        throw new GfsError('VERSION_MISMATCH', `chunk ${hex(chunk)} is at version ${row.version}`, {
          fields,
        });
      }
      if (row.primary !== by)
        throw new GfsError('NOT_PRIMARY', `server ${by} is not primary of ${hex(chunk)}`);
      if (isMember || this.#parts.metadata.state.server(learner) === undefined) {
        const why = isMember ? 'is a member already' : 'is not known';
        throw new GfsError('INVALID_ARGUMENT', `server ${learner} ${why}: chunk ${hex(chunk)}`);
      }
      return { admitted: learner };
    };
    await this.#raise(chunk, decide, { requestId });
    return this.#rowOf(chunk).version;
  }

  /** Raises the version, whoever is primary now: what was sent to the version before cannot be carried out any more. */
  async raise(chunk: ChunkHandle): Promise<void> {
    await this.raiseWith(chunk, (plan) => this.#logPlain(chunk, plan));
  }

  /**
   * Raises the version with a command of the caller's own, such as a truncation; rejects as that command is refused.
   * Resolves when all members recorded the new version (P19: a cut is done when the version is active).
   */
  async raiseWith(chunk: ChunkHandle, log: LogRaise): Promise<void> {
    await this.#raise(chunk, () => ({}), { log });
  }

  /**
   * For a chunk that is to be shared (P20): raises its version to one under which nobody orders mutations, unless it is
   * shared already. Resolves to what the log has of it then.
   */
  async freeze(chunk: ChunkHandle): Promise<Chunk> {
    if (this.#parts.withoutRules.has('P20')) await this.#freezeUntold(chunk);
    else await this.#raise(chunk, (row) => (row.referenceCount > 1 ? 'not needed' : { frozen: true }));
    return this.#rowOf(chunk);
  }

  /** Those who order and write go on. */
  async #freezeUntold(chunk: ChunkHandle): Promise<void> {
    const { version, members, primary, referenceCount } = this.#rowOf(chunk);
    if (referenceCount > 1) return;
    const plan = { version, members: [...members], primary, loss: false, recorded: 0 };
    unwrap(await this.#logPlain(chunk, { ...plan, admitted: 0, frozen: true }));
  }

  /** One raise of a chunk at a time; `decide` looks at what the one before left. The failure of that one is its owner's. */
  async #raise(
    chunk: ChunkHandle,
    decide: Decide,
    {
      log = (plan) => this.#logPlain(chunk, plan),
      forRepair,
      requestId = this.#parts.env.newRequestId(),
    }: RaiseHow = {},
  ): Promise<void> {
    for (let running = this.#running.get(chunk); running !== undefined; running = this.#running.get(chunk)) {
      await running.catch(() => undefined);
    }
    const row = this.#rowOf(chunk);
    const isBeyondLog = this.isBeyondLog(chunk);
    const reason = isBeyondLog ? { isBeyondLog } : decide(row);
    if (reason === 'not needed') return;
    const raise = this.#run(chunk, row, { forRepair, ...reason }, log, requestId).finally(() =>
      this.#running.delete(chunk),
    );
    this.#running.set(chunk, raise);
    await raise;
  }

  #rowOf(chunk: ChunkHandle): Chunk {
    const row = this.#parts.metadata.state.chunk(chunk);
    if (row === undefined) this.#beyondLog.delete(chunk);
    if (row === undefined) throw new GfsError('NO_SUCH_CHUNK', `no chunk ${hex(chunk)}`);
    return row;
  }

  #noRoom({ members }: Chunk, refused: ServerId, ordered: boolean): NoRoom {
    const { servers } = this.#parts;
    servers.refusedForSpace(refused);
    return { refused, full: new Set(members.filter((member) => servers.isFull(member))), ordered };
  }

  async #raiseForWriter(chunk: ChunkHandle, requestId: string | undefined, decide: Decide): Promise<void> {
    try {
      await this.#raise(chunk, decide, { requestId });
    } catch (error) {
      if (codeOf(error) === 'TOO_FEW_REPLICAS') this.#parts.onTooFew(chunk);
      throw error;
    }
  }

  #hasPrimary(chunk: ChunkHandle, version: number): boolean {
    const { env, leases } = this.#parts;
    return leases.primaryOf(chunk, version, env.monotonicMs()) !== undefined;
  }

  async #run(
    chunk: ChunkHandle,
    row: Chunk,
    reason: RunReason,
    log: LogRaise,
    requestId: string,
  ): Promise<void> {
    const { env, leases, metadata, minReplicas, withoutRules } = this.#parts;
    const random = () => env.random();
    const servers = metadata.state.servers().map(({ server }) => server);
    const raise = new Raise(chunk, row, { ...reason, minReplicas, servers, withoutRules, random });
    const { frozen } = reason;
    let logNext: LogRaise = frozen ? (plan) => this.#logPlain(chunk, { ...plan, frozen }) : log;
    for (;;) {
      const step = raise.next;
      switch (step.kind) {
        case 'ask':
          await each(step.members, async (member) =>
            raise.answered(member, await this.#calls.ask(member, chunk, requestId)),
          );
          break;
        case 'log':
          await this.#log(chunk, { raise, plan: step.plan, log: logNext });
          // What came with the first raise is in the log now; another one only raises.
          logNext = (plan) => this.#logPlain(chunk, { ...plan, frozen });
          break;
        case 'order': {
          const { set, create, copy } = step.orders;
          const record = this.#calls.recordOf(chunk, this.#rowOf(chunk), 0);
          await Promise.all([
            each(set, async ({ member, recorded }) =>
              raise.ordered(
                member,
                await this.#calls.set(
                  member,
                  this.#calls.recordOf(chunk, this.#rowOf(chunk), recorded),
                  requestId,
                ),
              ),
            ),
            each(create, async (member) =>
              raise.ordered(member, await this.#calls.create(member, record, copy, requestId)),
            ),
          ]);
          break;
        }
        case 'kept':
          // A restarted master learns of it this way, and one that took back a lease too early.
          leases.grant(chunk, step.primary, step.version, env.monotonicMs());
          return;
        case 'active':
          this.#complaints.settled(chunk);
          leases.grant(chunk, step.primary, step.version, env.monotonicMs());
          env.log
            .of('raise')
            .info({ requestId, chunk: hex(chunk), version: step.version, primary: step.primary }, 'raised');
          return;
        case 'stuck':
          env.log
            .of('raise')
            .info(
              { requestId, chunk: hex(chunk), version: step.version, primary: step.primary },
              'raised, not active',
            );
          return;
        case 'refused': {
          const { code, message, fields } = step.error;
          const { versionBeyondLog } = raise;
          if (versionBeyondLog !== undefined) this.noteBeyondLog(chunk, versionBeyondLog);
          const level = this.isBeyondLog(chunk) ? 'error' : 'info';
          env.log.of('raise')[level]({ requestId, chunk: hex(chunk), code, error: message }, 'not raised');
          throw new GfsError(code, message, fields === undefined ? {} : { fields });
        }
        default:
          unreachable(step);
      }
    }
  }

  async #log(
    chunk: ChunkHandle,
    { raise, plan, log }: { raise: Raise; plan: RaisePlan; log: LogRaise },
  ): Promise<void> {
    const { env, metadata, leases } = this.#parts;
    const result = await log(plan);
    if (!result.ok) {
      raise.refused(result.error);
      return;
    }
    const row = metadata.state.chunk(chunk);
    if (row?.version === versionAfter(plan)) {
      this.#raiseCount += 1;
      if (plan.lostVersion !== undefined) {
        const { version, members } = row;
        const fields = { chunk: hex(chunk), logged: plan.version, found: plan.lostVersion, version, members };
        env.log
          .of('raise')
          .error(
            fields,
            "a chunk whose versions the master's log lost is recovered from its servers' records",
          );
      }
      this.#beyondLog.delete(chunk);
      // Whoever was primary under the version before can complete nothing once a member has moved on.
      leases.revoke(chunk);
      raise.logged(row);
      return;
    }
    raise.refused({ code: 'NOT_READY', message: `chunk ${hex(chunk)} has changed meanwhile` });
  }

  #logPlain(chunk: ChunkHandle, plan: Omit<RaiseVersion, 'chunk'>): Promise<Result<unknown>> {
    return this.#parts.metadata.execute(INTERNAL, 'raiseVersion', { chunk, ...plan });
  }
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  await Promise.all(items.map(work));
}
