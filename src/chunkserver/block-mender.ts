import { boundedCache } from '../base/bounded.ts';
import { type Bytes, NO_BYTES } from '../base/bytes.ts';
import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import type { Member, VersionRecord } from '../core/replica-types.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { Peers } from './peers.ts';

/** A reader waits for a round; his patience with one server is not much longer. */
const ROUND_MS_MAX = 1.5 * SECOND_MS;
/** Rounds that nobody waits for: what a member lacks for one - a restart, a version - is there after a few seconds. */
const ROUNDS_MAX = 8;
const ROUND_DELAYS = { delayMsMin: 100, delayMsMax: 5 * SECOND_MS };
/**
 * For so long a block that was judged is not looked after unasked, and one that was lost not at all: members who look for
 * the same block ask each other, and would never come to an end.
 */
const JUDGED_MS = 30 * SECOND_MS;
const LOST_MS = 5 * SECOND_MS;
const JUDGED_COUNT_MAX = 4096;

/**
 * - `mended`: it is good;
 * - `lost`: it is bad at every member, so nobody has its bytes any more;
 * - `unknown`: a member that may have them did not give them now.
 */
export type MendOutcome = 'mended' | 'lost' | 'unknown';

interface Judgement {
  readonly outcome: Exclude<MendOutcome, 'mended'>;
  readonly atMs: number;
}

export interface BlockMenderParts {
  readonly env: Env;
  readonly peers: Peers;
  readonly tasks: TaskGroup;
  /** Undefined until the server is registered. */
  readonly self: () => number | undefined;
  readonly onLost: (chunk: number, blockIndex: number) => void;
}

/**
 * Puts right blocks of this server's replicas that are bad on its disk, from other members of their version. A member's
 * bytes are taken if they match the checksum that is kept here, whatever the member is otherwise: so they are what was
 * acknowledged, and its place among the orders does not matter.
 */
export class BlockMender {
  readonly #parts: BlockMenderParts;
  readonly #rounds = new Map<string, Promise<MendOutcome>>();
  readonly #looking = new Set<string>();
  /** Blocks that were not put right. */
  readonly #judged = boundedCache<string, Judgement>(JUDGED_COUNT_MAX);
  readonly #closing = sharedAbort();
  #mendedCount = 0;

  constructor(parts: BlockMenderParts) {
    this.#parts = parts;
  }

  /** Since the start. */
  get mendedCount(): number {
    return this.#mendedCount;
  }

  /** A bad block was found: it is looked after until it is good or lost, for half a minute at most. */
  found(replica: Replica, blockIndex: number): void {
    const key = keyOf(replica, blockIndex);
    if (this.#closing.signal.aborted || this.#looking.has(key) || this.#wasJudged(key, JUDGED_MS)) return;
    this.#looking.add(key);
    this.#parts.tasks.run(async () => {
      try {
        await this.#lookAfter(replica, blockIndex);
      } finally {
        this.#looking.delete(key);
      }
    });
  }

  /** Some block was found bad, and may be so still. Hardly ever. */
  get knowsBad(): boolean {
    return this.#looking.size > 0 || this.#judged.size > 0;
  }

  /** It was found bad, and nobody has put it right since; an overwrite may have. */
  mayBeBad(replica: Replica, blockIndex: number): boolean {
    const key = keyOf(replica, blockIndex);
    return this.#looking.has(key) || this.#judged.has(key);
  }

  /** All members are asked once. Never rejects. */
  async mend(replica: Replica, blockIndex: number): Promise<MendOutcome> {
    const key = keyOf(replica, blockIndex);
    if (this.#wasJudged(key, LOST_MS, 'lost')) return 'lost';
    let round = this.#rounds.get(key);
    if (round === undefined) {
      round = this.#round(replica, blockIndex).finally(() => this.#rounds.delete(key));
      this.#rounds.set(key, round);
    }
    return await round;
  }

  close(): void {
    this.#closing.abort();
  }

  async #lookAfter(replica: Replica, blockIndex: number): Promise<void> {
    const { env } = this.#parts;
    const { signal } = this.#closing;
    for (let round = 0; round < ROUNDS_MAX && !signal.aborted; round += 1) {
      if ((await this.mend(replica, blockIndex)) !== 'unknown') return;
      await env.sleep(backoffMs(env, round, ROUND_DELAYS), { signal }).catch(() => undefined);
    }
  }

  async #round(replica: Replica, blockIndex: number): Promise<MendOutcome> {
    const { env, onLost } = this.#parts;
    const { record } = replica.state;
    const fields = { chunk: hex(replica.chunk), version: record.version, block: blockIndex };
    let outcome: MendOutcome;
    try {
      outcome = await this.#askMembers(replica, record, blockIndex);
      if (outcome === 'mended') env.log.of('repair').warn(fields, 'a bad block was put right');
      if (outcome === 'lost') env.log.of('repair').error(fields, 'a block is lost: it is bad at all members');
    } catch (error) {
      outcome = 'unknown';
      env.log
        .of('repair')
        .warn({ ...fields, code: codeOf(error), error: messageOf(error) }, 'a bad block stays for now');
    }
    const key = keyOf(replica, blockIndex);
    if (outcome === 'mended') {
      this.#judged.delete(key);
      this.#mendedCount += 1;
    } else {
      this.#judged.set(key, { outcome, atMs: env.monotonicMs() });
    }
    if (outcome === 'lost') onLost(replica.chunk, blockIndex);
    return outcome;
  }

  async #askMembers(replica: Replica, record: VersionRecord, blockIndex: number): Promise<MendOutcome> {
    const { env, self } = this.#parts;
    const others = record.members.filter(({ server }) => server !== self());
    const deadlineMs = env.monotonicMs() + ROUND_MS_MAX;
    const asked = await Promise.allSettled(
      others.map(async (member) => {
        const bytes = await this.#fetch(member, record, blockIndex, deadlineMs);
        return {
          isBad: bytes === undefined,
          isMended: await replica.mendBlock(blockIndex, bytes ?? NO_BYTES),
        };
      }),
    );
    const answers = asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    if (answers.some(({ isMended }) => isMended)) return 'mended';
    const failed = asked.find((answer) => answer.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    // Without anybody to ask it is looked at as well: a change may have made it good.
    if (others.length === 0 && (await replica.mendBlock(blockIndex, NO_BYTES))) return 'mended';
    return answers.every(({ isBad }) => isBad) ? 'lost' : 'unknown';
  }

  /** Undefined: it is bad there, too. */
  async #fetch(
    { address }: Member,
    { chunk, version }: VersionRecord,
    blockIndex: number,
    deadlineMs: number,
  ): Promise<Bytes | undefined> {
    const { readBlock } = ChunkserverDefinition.methods;
    const options = { deadlineMs, signal: this.#closing.signal };
    try {
      const peer = this.#parts.peers.at(address);
      return (await peer.call(readBlock, { chunk, version, blockIndex }, options)).payload;
    } catch (error) {
      if (codeOf(error) === 'CHECKSUM_MISMATCH') return undefined;
      throw error;
    }
  }

  #wasJudged(key: string, withinMs: number, as?: Judgement['outcome']): boolean {
    const judged = this.#judged.get(key);
    if (judged === undefined || (as !== undefined && judged.outcome !== as)) return false;
    return this.#parts.env.monotonicMs() - judged.atMs < withinMs;
  }
}

function keyOf({ chunk }: Replica, blockIndex: number): string {
  return `${chunk}.${blockIndex}`;
}
