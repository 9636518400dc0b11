import { must } from '../base/assert.ts';
import { type Bytes, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Semaphore } from '../base/mutex.ts';
import { blockLength, endsWithin, type ReconcileStep, reconcileSteps } from '../core/reconcile.ts';
import type { BlockSums, VersionRecord } from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import { ChunkserverDefinition, type ReconcileRequest } from '../rpc/messages.ts';
import type { Replica } from '../storage/replica-store.ts';
import { MemberLink, type MemberSums } from './member-link.ts';
import { OwnBlocks, OwnReplicaFailed } from './own-blocks.ts';
import type { Peers } from './peers.ts';
import { messageOfEntry, messageOfRecord } from './wire.ts';

export interface ReconcileParts {
  readonly env: Env;
  readonly peers: Peers;
  /** Blocks in flight, of all chunks that are reconciled at a time. */
  readonly blocksInFlight: Semaphore;
  readonly withoutRules: Rules;
}

/** What all members hold. */
export interface Reconciled extends BlockSums {
  /** None of them has the bytes of these, as far as that was looked at. */
  readonly lostBlocks: ReadonlySet<number>;
}

/**
 * Makes all members equal to this replica, the new primary's (P8), and marks them, it last, reconciled. Nothing changes
 * it meanwhile but the repair of its own bad blocks: it is not reconciled, so it takes no orders. Returns what all of
 * them hold now.
 *
 * A member that fails is tried again for as long as the version lasts, and `onFailing` hears of it. Rejects when this
 * server cannot be the one to order: its disk fails, or another member has what it lost.
 */
export async function reconcileMembers(
  parts: ReconcileParts,
  replica: Replica,
  self: number,
  signal: AbortSignal,
  onFailing: (server: number, error: unknown) => void,
): Promise<Reconciled> {
  const { env, peers } = parts;
  const { record, whole } = replica.state;
  const others = record.members.filter((member) => member.server !== self);
  const links = others.map((member) => new MemberLink({ env, peers, record, signal, onFailing }, member));
  const blocks = new OwnBlocks(env, replica, record, links);
  // A loss of power under all members: this replica is the best there is, and may have bad blocks (P7).
  if (record.loss === record.version) await blocks.repairAll();
  const sums = await replica.blockChecksums();
  const isSealed = sums.sealed || (await endsInLostBlock(sums.length, blocks));
  const table = parts.withoutRules.has('P18') ? [] : sums.table;
  const own = { ...sums, sealed: isSealed, table, whole };
  await Promise.all(links.map((link) => new MemberReconcile(parts, blocks, record, own, link).run()));
  await replica.reconcileFinish(record.version, own);
  return { ...own, lostBlocks: blocks.lost };
}

/** Nobody could verify what is appended to such a block: the chunk is sealed in front of it (P16). */
async function endsInLostBlock(length: number, blocks: OwnBlocks): Promise<boolean> {
  const last = Math.floor(length / CHECKSUM_BLOCK_BYTES);
  return endsWithin(length, last) && (await blocks.read(last)) === undefined;
}

class MemberReconcile {
  readonly #parts: ReconcileParts;
  readonly #blocks: OwnBlocks;
  readonly #record: VersionRecord;
  readonly #own: MemberSums;
  readonly #link: MemberLink;

  constructor(
    parts: ReconcileParts,
    blocks: OwnBlocks,
    record: VersionRecord,
    own: MemberSums,
    link: MemberLink,
  ) {
    this.#parts = parts;
    this.#blocks = blocks;
    this.#record = record;
    this.#own = own;
    this.#link = link;
  }

  run(): Promise<void> {
    return this.#link.persist(
      () => this.#attempt(),
      (error) => error instanceof OwnReplicaFailed,
    );
  }

  async #attempt(): Promise<void> {
    const { chunk, version } = this.#record;
    const { server } = this.#link;
    const member = await this.#link.sums();
    if (member === undefined) {
      // It is a member by the master's log, and what this primary has is the truth: it begins with nothing.
      const record = messageOfRecord(this.#record);
      await this.#link.call(ChunkserverDefinition.methods.create, { record, copy: true });
      throw new GfsError('NOT_READY', `server ${server} has just begun a copy`);
    }
    const steps = reconcileSteps(this.#own, member);
    if (steps.length > 1) {
      const fields = { chunk: hex(chunk), version, server, stepCount: steps.length };
      this.#parts.env.log
        .of('primary')
        .info(fields, 'a member differs from its new primary and is made equal');
    }
    await this.#takeSteps(steps);
  }

  async #takeSteps(steps: readonly ReconcileStep[]): Promise<void> {
    const blocks: Promise<void>[] = [];
    for (const step of steps) {
      switch (step.kind) {
        case 'cut': {
          const { length, table } = step;
          const value = { length, lowered: table.lowered.map(messageOfEntry), dropped: [...table.dropped] };
          await this.#step({ $case: 'cut', value });
          break;
        }
        case 'block':
          blocks.push(this.#copyBlock(step.blockIndex));
          break;
        case 'finish': {
          await Promise.all(blocks);
          const { length, sealed, table } = this.#own;
          const value = { length, sealed, table: table.map(messageOfEntry) };
          await this.#step({ $case: 'finish', value });
          break;
        }
      }
    }
  }

  async #copyBlock(blockIndex: number): Promise<void> {
    using _ = await this.#parts.blocksInFlight.acquire();
    const payload = await this.#blocks.read(blockIndex);
    const checksum = must(this.#own.checksums[blockIndex], 'a block that differs is there');
    const length = blockLength(this.#own.length, blockIndex);
    const lostBytes = payload === undefined ? length : 0;
    await this.#step({ $case: 'block', value: { blockIndex, checksum, lostBytes } }, payload);
  }

  async #step(step: ReconcileRequest['step'], payload?: Bytes): Promise<void> {
    const { chunk, version } = this.#record;
    const request = { chunk, version, step, payload: NO_PAYLOAD };
    await this.#link.call(ChunkserverDefinition.methods.reconcile, request, payload);
  }
}
