import { assert, must } from '../base/assert.ts';
import { type Bytes, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Semaphore } from '../base/mutex.ts';
import { SECOND_MS } from '../base/units.ts';
import { blockLength, type ReconcileStep, reconcileSteps } from '../core/reconcile.ts';
import type { BlockSums, Member, VersionRecord } from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import { ChunkserverDefinition, type ReconcileRequest } from '../rpc/messages.ts';
import type { Connection, Method } from '../rpc/network.ts';
import { watched } from '../rpc/watched-call.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { Peers } from './peers.ts';
import { probeOf } from './peers.ts';
import { messageOfRecord, sumsOf } from './wire.ts';

/** What a member has to record the version, which it is ordered at the same time as its primary. */
const RECORD_MS_MAX = 4 * SECOND_MS;
const RETRY_DELAYS = { delayMsMin: 20, delayMsMax: 500 };
/** Of a member that answers questions meanwhile: its disk may be slow. */
const CALL_MS_MAX = 30 * SECOND_MS;

export interface ReconcileParts {
  readonly env: Env;
  readonly peers: Peers;
  /** Blocks in flight, of all chunks that are reconciled at a time. */
  readonly blocksInFlight: Semaphore;
  readonly withoutRules: Rules;
}

type OwnSums = BlockSums & { readonly whole: boolean };

/**
 * Makes all members equal to this replica, the new primary's (P8), and marks them, it last, reconciled. Nothing changes
 * it meanwhile: it is not reconciled, so it takes no orders. Returns what all of them hold now.
 *
 * A member that fails is tried again for as long as the version lasts: it may come back, and it is not the primary's to
 * leave it out. `onFailing` hears of it.
 */
export async function reconcileMembers(
  parts: ReconcileParts,
  replica: Replica,
  self: number,
  signal: AbortSignal,
  onFailing: (server: number, error: unknown) => void,
): Promise<BlockSums> {
  const { record, whole } = replica.state;
  const sums = await replica.blockChecksums();
  const table = parts.withoutRules.has('P18') ? [] : sums.table;
  const own = { ...sums, table, whole };
  const others = record.members.filter((member) => member.server !== self);
  await Promise.all(
    others.map((member) =>
      new MemberReconcile(parts, replica, record, own, member, signal).run((error) =>
        onFailing(member.server, error),
      ),
    ),
  );
  await replica.reconcileFinish(record.version, own);
  return own;
}

class MemberReconcile {
  readonly #parts: ReconcileParts;
  readonly #replica: Replica;
  readonly #record: VersionRecord;
  readonly #own: OwnSums;
  readonly #member: Member;
  readonly #connection: Connection;
  readonly #signal: AbortSignal;

  constructor(
    parts: ReconcileParts,
    replica: Replica,
    record: VersionRecord,
    own: OwnSums,
    member: Member,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#replica = replica;
    this.#record = record;
    this.#own = own;
    this.#member = member;
    this.#connection = parts.peers.at(member.address);
    this.#signal = signal;
  }

  async run(onFailing: (error: unknown) => void): Promise<void> {
    const { env } = this.#parts;
    const recordedByMs = env.monotonicMs() + RECORD_MS_MAX;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#attempt();
      } catch (error) {
        this.#signal.throwIfAborted();
        if (env.monotonicMs() > recordedByMs || !this.#isBeginning(error)) onFailing(error);
        this.#signal.throwIfAborted();
      }
      await env.sleep(backoffMs(env, attempt, RETRY_DELAYS), { signal: this.#signal });
    }
  }

  async #attempt(): Promise<void> {
    const { chunk, version } = this.#record;
    const asked = { chunk, version };
    let member: OwnSums;
    try {
      member = sumsOf(await this.#call(ChunkserverDefinition.methods.blockChecksums, asked));
    } catch (error) {
      if (codeOf(error) !== 'NO_SUCH_CHUNK') throw error;
      // It is a member by the master's log, and what this primary has is the truth: it begins with nothing.
      const record = messageOfRecord(this.#record);
      await this.#call(ChunkserverDefinition.methods.create, { record, copy: true });
      throw new GfsError('NOT_READY', `server ${this.#member.server} has just begun a copy`, {
        cause: error,
      });
    }
    const steps = reconcileSteps(this.#own, member);
    if (steps.length > 1) {
      const fields = { chunk: hex(chunk), version, server: this.#member.server, stepCount: steps.length };
      this.#parts.env.log.info(fields, 'a member differs from its new primary and is made equal');
    }
    await this.#takeSteps(steps);
  }

  async #takeSteps(steps: readonly ReconcileStep[]): Promise<void> {
    const blocks: Promise<void>[] = [];
    for (const step of steps) {
      switch (step.kind) {
        case 'cut': {
          const { length, table } = step;
          const value = { length, lowered: [...table.lowered], dropped: [...table.dropped] };
          await this.#step({ $case: 'cut', value });
          break;
        }
        case 'block':
          blocks.push(this.#copyBlock(step.blockIndex));
          break;
        case 'finish': {
          await Promise.all(blocks);
          const { length, sealed, table } = this.#own;
          await this.#step({ $case: 'finish', value: { length, sealed, table: [...table] } });
          break;
        }
      }
    }
  }

  async #copyBlock(blockIndex: number): Promise<void> {
    using _ = await this.#parts.blocksInFlight.acquire();
    this.#signal.throwIfAborted();
    const length = blockLength(this.#own.length, blockIndex);
    const { payload, checksums } = await this.#replica.read(blockIndex * CHECKSUM_BLOCK_BYTES, length);
    const checksum = must(checksums[0], 'a block that differs is not empty');
    assert(checksum === this.#own.checksums[blockIndex], 'nothing changes a primary while it reconciles');
    await this.#step({ $case: 'block', value: { blockIndex, checksum } }, payload);
  }

  async #step(step: ReconcileRequest['step'], payload?: Bytes): Promise<void> {
    const { chunk, version } = this.#record;
    const request = { chunk, version, step, payload: NO_PAYLOAD };
    await this.#call(ChunkserverDefinition.methods.reconcile, request, payload);
  }

  /** It has not recorded the version, or not begun its copy, yet. */
  #isBeginning(error: unknown): boolean {
    switch (codeOf(error)) {
      case 'NOT_READY':
        return true;
      case 'VERSION_MISMATCH':
        return error instanceof GfsError && Number(error.fields.version ?? 0) < this.#record.version;
      default:
        return false;
    }
  }

  async #call<Req, Res>(method: Method<Req, Res>, request: Req, payload?: Bytes): Promise<Res> {
    const { env } = this.#parts;
    return await watched(env, { signal: this.#signal, probe: probeOf(this.#connection) }, async (signal) => {
      const deadlineMs = env.monotonicMs() + CALL_MS_MAX;
      return (await this.#connection.call(method, request, { deadlineMs, signal, payload })).message;
    });
  }
}
