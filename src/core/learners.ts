import { assert } from '../base/assert.ts';
import { crc32 } from '../base/crc.ts';
import { MiB } from '../base/units.ts';
import { blockLength } from './reconcile.ts';
import type { BlockSums } from './replica-types.ts';
import { NO_RULES, type Rules } from './rules.ts';

/** Blocks in one step: orders behind it wait for no more than that. */
const STEP_BLOCKS_MAX = 8;
/** Steps that wait for their turn or are under way: one is read while another one is sent. */
const STEPS_MAX = 2;
/** Data of orders that a learner may be behind by; it sets the pace then, so that the primary's memory is bounded. */
const WAITING_BYTES_MAX = 8 * MiB;

export interface LearnerBlocks {
  readonly kind: 'blocks';
  readonly firstBlock: number;
  readonly count: number;
  /** It is one block, and was lost: if it is bad still, the learner gets it as members have it, a checksum without bytes. */
  readonly lost: boolean;
}

/** What a primary sends a learner between two orders. */
export type LearnerStep =
  /** Some blocks that follow one another, as the primary has them at this place in its orders. */
  | LearnerBlocks
  /** All was copied: both compare what they have. */
  | { readonly kind: 'end' };

/** What a primary does for its learner beside sending. */
export type LearnerAction =
  | 'nothing'
  /** From now on clients are told of nothing that the learner has not applied. */
  | 'require'
  /** The master is asked to make it a member. */
  | 'ask';

/**
 * How a primary makes a member of a copy that is to be repaired (P9): copies what differs, between the orders that it sends
 * all the time; then requires the learner's word for whatever it tells clients; waits until the learner has all that they
 * were told before; and only then asks for its admission. From there on there is no way back but a higher version: the
 * master may carry out what it was asked at any time, and then others believe that this copy lacks nothing.
 */
export class Learner {
  readonly #withoutRules: Rules;
  #phase: 'beginning' | 'copying' | 'equal' | 'asked' | 'over' = 'beginning';
  #differing: number[] = [];
  readonly #lost = new Set<number>();
  #planned = 0;
  #endPlanned = false;
  #stepsWaiting = 0;
  #appliedSerial: number;
  #required = false;

  /** `from`: the serial of the first order that it is sent; what came before, it has when all is copied. */
  constructor(from: number, withoutRules: Rules = NO_RULES) {
    this.#appliedSerial = from;
    this.#withoutRules = withoutRules;
  }

  /** Every order below was applied there. */
  get appliedSerial(): number {
    return this.#appliedSerial;
  }

  get required(): boolean {
    return this.#required;
  }

  /** It has taken over length, seal and table; these blocks differ, in rising order. */
  begun(differing: readonly number[]): void {
    assert(this.#phase === 'beginning', 'a lesson begins once');
    this.#phase = 'copying';
    this.#differing = [...differing];
  }

  /** The next step, which takes its place behind all orders so far; undefined: none for now. */
  takeStep(): LearnerStep | undefined {
    if (this.#phase !== 'copying' || this.#stepsWaiting === STEPS_MAX || this.#endPlanned) return undefined;
    const firstBlock = this.#differing[this.#planned];
    // A step that is under way may have to be taken again.
    if (firstBlock === undefined && this.#stepsWaiting > 0) return undefined;
    this.#stepsWaiting += 1;
    if (firstBlock === undefined) {
      this.#endPlanned = true;
      return { kind: 'end' };
    }
    const lost = this.#lost.has(firstBlock);
    let count = 1;
    while (!lost && count < STEP_BLOCKS_MAX && this.#isNextGood(firstBlock + count, count)) count += 1;
    this.#planned += count;
    return { kind: 'blocks', firstBlock, count, lost };
  }

  stepDone(step: LearnerStep): void {
    this.#stepsWaiting -= 1;
    if (step.kind === 'end') this.#phase = 'equal';
  }

  /** One of its blocks was bad at the primary: they are taken again, behind the orders that came since. */
  stepAgain({ firstBlock, count }: LearnerBlocks): void {
    this.#stepsWaiting -= 1;
    const blocks = Array.from({ length: count }, (_, index) => firstBlock + index);
    this.#differing.splice(this.#planned, 0, ...blocks);
  }

  /** It is bad at all members. */
  blockLost(blockIndex: number): void {
    this.#lost.add(blockIndex);
  }

  applied(serial: number): void {
    assert(serial === this.#appliedSerial, 'a learner applies one order after another');
    this.#appliedSerial += 1;
  }

  /** `committedSerial`: clients were told of everything below; `waitingBytes`: of orders that it was not sent yet. */
  next({ committedSerial, waitingBytes }: { committedSerial: number; waitingBytes: number }): LearnerAction {
    const isEqual = this.#phase === 'equal';
    if (isEqual && this.#withoutRules.has('P9')) {
      this.#phase = 'asked';
      return 'ask';
    }
    const isFarBehind = this.#phase === 'copying' && waitingBytes > WAITING_BYTES_MAX;
    if (!this.#required && (isEqual || isFarBehind)) {
      this.#required = true;
      return 'require';
    }
    if (!isEqual || this.#appliedSerial < committedSerial) return 'nothing';
    this.#phase = 'asked';
    return 'ask';
  }

  #isNextGood(blockIndex: number, count: number): boolean {
    return this.#differing[this.#planned + count] === blockIndex && !this.#lost.has(blockIndex);
  }

  /** The lesson failed. Whether the learner may be forgotten; otherwise a higher version has to leave it out. */
  end(): 'forget' | 'leave out' {
    const wasAsked = this.#phase === 'asked';
    this.#phase = 'over';
    return wasAsked ? 'leave out' : 'forget';
  }
}

/** Blocks of the primary that the learner, which has its length, does not hold like it. */
export function differingBlocks(
  { length, checksums }: Pick<BlockSums, 'length' | 'checksums'>,
  learner: readonly number[],
): number[] {
  const differing: number[] = [];
  for (let blockIndex = 0; blockLength(length, blockIndex) > 0; blockIndex += 1) {
    if (checksums[blockIndex] !== learner[blockIndex]) differing.push(blockIndex);
  }
  return differing;
}

/** Of all that two replicas have to have in common. */
export function digestOf({ length, sealed, checksums, table }: BlockSums): number {
  const entries = [...table]
    .sort((left, right) => left.writer - right.writer)
    .map(({ records, ...entry }) => {
      const fields = [entry.writer, entry.number, entry.chunkOffset, entry.length, entry.checksum];
      return records === undefined
        ? fields
        : [...fields, records.map((one) => [one.chunkOffset, one.length])];
    });
  return crc32(new TextEncoder().encode(JSON.stringify([length, sealed, checksums, entries])));
}
