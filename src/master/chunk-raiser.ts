import { unreachable } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import type { Result } from '../base/result.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import { type MemberAnswer, type OrderOutcome, Raise, type RaisePlan } from '../core/raise.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport, VersionRecord } from '../rpc/messages.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { ExtentLocator } from './extent-locator.ts';
import type { Metadata } from './metadata.ts';
import { replicaReportOf } from './wire.ts';

export interface ChunkRaiserParts {
  readonly env: Env;
  readonly metadata: Metadata;
  readonly servers: ServerTable<SystemReport>;
  readonly leases: LeaseTable;
  readonly calls: ChunkserverCalls;
  readonly locator: ExtentLocator;
  readonly memberPatienceMs: number;
}

/** Puts a raise into the log, perhaps with more in the same command. */
export type LogRaise = (plan: RaisePlan) => Promise<Result<unknown>>;

/**
 * Gives chunks a primary: the one that holds the lease, or a new one by raising the version (P2). One raise of a chunk
 * at a time; who wants one meanwhile waits for it.
 */
export class ChunkRaiser {
  readonly #parts: ChunkRaiserParts;
  readonly #running = new Map<ChunkHandle, Promise<void>>();

  constructor(parts: ChunkRaiserParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the chunk has a primary. `suspectVersion`: a client's mutation at this version was refused or lost, it
   * wants a higher one. Throws NOT_READY or TOO_FEW_REPLICAS when that is not possible now.
   */
  async ensurePrimary(chunk: ChunkHandle, suspectVersion = 0): Promise<void> {
    for (;;) {
      const running = this.#running.get(chunk);
      if (running !== undefined) {
        await running;
        continue;
      }
      const row = this.#rowOf(chunk);
      if (row.version !== suspectVersion && this.#hasPrimary(chunk, row)) return;
      const suspect = row.version === suspectVersion && row.primary !== 0 ? row.primary : undefined;
      await this.#start(chunk, row, { suspect, log: (plan) => this.#logPlain(chunk, plan) });
      return;
    }
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
    for (;;) {
      const running = this.#running.get(chunk);
      if (running === undefined) break;
      // Its failure is its owner's; ours finds its own.
      await running.catch(() => undefined);
    }
    await this.#start(chunk, this.#rowOf(chunk), { suspect: undefined, log });
  }

  #rowOf(chunk: ChunkHandle): Chunk {
    const row = this.#parts.metadata.state.chunk(chunk);
    if (row === undefined) throw new GfsError('NO_SUCH_CHUNK', `no chunk ${hex(chunk)}`);
    return row;
  }

  /** Somebody orders mutations, and no member is away for so long that the others should go on without it. */
  #hasPrimary(chunk: ChunkHandle, row: Chunk): boolean {
    const { env, leases, servers, memberPatienceMs } = this.#parts;
    const nowMs = env.monotonicMs();
    if (leases.primaryOf(chunk, row.version, nowMs) === undefined) return false;
    return row.members.every((member) => servers.goneForMs(member, nowMs) < memberPatienceMs);
  }

  async #start(
    chunk: ChunkHandle,
    row: Chunk,
    how: { suspect: ServerId | undefined; log: LogRaise },
  ): Promise<void> {
    const running = this.#run(chunk, row, how).finally(() => this.#running.delete(chunk));
    this.#running.set(chunk, running);
    await running;
  }

  async #run(
    chunk: ChunkHandle,
    logged: Chunk,
    { suspect, log }: { suspect: ServerId | undefined; log: LogRaise },
  ): Promise<void> {
    const { env, leases, memberPatienceMs } = this.#parts;
    const random = () => env.random();
    const raise = new Raise(chunk, logged, { patienceMs: memberPatienceMs, suspect, random });
    let logNext = log;
    for (;;) {
      const step = raise.next;
      switch (step.kind) {
        case 'ask':
          await each(step.members, async (member) => raise.answered(member, await this.#ask(member, chunk)));
          break;
        case 'log':
          await this.#log(chunk, { raise, plan: step.plan, log: logNext });
          // What came with the first raise is in the log now; another one only raises.
          logNext = (plan) => this.#logPlain(chunk, plan);
          break;
        case 'order': {
          const record = this.#recordOf(chunk);
          const { set, create, copy } = step.orders;
          await Promise.all([
            each(set, async (member) => raise.ordered(member, await this.#set(member, record))),
            each(create, async (member) => raise.ordered(member, await this.#create(member, record, copy))),
          ]);
          break;
        }
        case 'active':
          leases.grant(chunk, step.primary, step.version, env.monotonicMs());
          env.log.info({ chunk: hex(chunk), version: step.version, primary: step.primary }, 'raised');
          return;
        case 'refused': {
          const { code, message, fields } = step.error;
          const level = code === 'CORRUPT' ? 'error' : 'info';
          env.log[level]({ chunk: hex(chunk), code }, `not raised: ${message}`);
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
    const { metadata, leases } = this.#parts;
    const result = await log(plan);
    if (!result.ok) {
      raise.refused(result.error);
      return;
    }
    const row = metadata.state.chunk(chunk);
    if (row?.version === plan.version + 1) {
      // Whoever was primary under the version before can complete nothing once a member has moved on.
      leases.revoke(chunk);
      raise.logged(row);
      return;
    }
    raise.refused({ code: 'NOT_READY', message: `chunk ${hex(chunk)} has changed meanwhile` });
  }

  #logPlain(chunk: ChunkHandle, { version, members, primary, loss }: RaisePlan): Promise<Result<unknown>> {
    const body = { chunk, version, members, primary, loss };
    return this.#parts.metadata.execute(INTERNAL, 'raiseVersion', body);
  }

  #recordOf(chunk: ChunkHandle): VersionRecord {
    const { version, members, primary, cut, loss } = this.#rowOf(chunk);
    return {
      chunk,
      version,
      members: members.map((member) => this.#parts.locator.replica(member)),
      primary,
      cutVersion: cut?.version,
      cutLength: cut?.length,
      loss,
    };
  }

  async #ask(member: ServerId, chunk: ChunkHandle): Promise<MemberAnswer> {
    const { env, servers, calls } = this.#parts;
    const silent = (): MemberAnswer => {
      return { kind: 'silent', goneForMs: servers.goneForMs(member, env.monotonicMs()) };
    };
    if (!servers.isReachable(member, env.monotonicMs())) return silent();
    try {
      const state = await calls.checkVersion(member, chunk);
      if (state === undefined) return { kind: 'absent' };
      return state.lost ? { kind: 'lost' } : { kind: 'holds', replica: replicaReportOf(state) };
    } catch {
      return silent();
    }
  }

  async #set(member: ServerId, record: VersionRecord): Promise<OrderOutcome> {
    try {
      const { recorded, state } = await this.#parts.calls.setVersion(member, record);
      // Recorded before, and only the answer was lost.
      return recorded || state?.version === record.version ? 'recorded' : 'failed';
    } catch {
      return 'failed';
    }
  }

  async #create(member: ServerId, record: VersionRecord, copy: boolean): Promise<OrderOutcome> {
    try {
      await this.#parts.calls.create(member, record, copy);
      return 'recorded';
    } catch (error) {
      // A late first mutation may have made a replica meanwhile: the next raise finds it.
      this.#parts.env.log.info(
        { server: member, chunk: hex(record.chunk), code: codeOf(error) },
        'no replica made',
      );
      return 'failed';
    }
  }
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  await Promise.all(items.map(work));
}
