import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { Rules } from '../core/rules.ts';
import { type AppendKnowledge, type Visibility, visibilityOf } from '../core/visibility.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { LeftFlights } from './flights.ts';
import type { PrimaryRole } from './primary-role.ts';
import { Rounds } from './rounds.ts';
import { SecondaryOrders } from './secondary-orders.ts';
import { wrongVersion } from './wire.ts';

/** One chunk as this process knows it beyond what its replica knows: its role, orders that wait, what is committed. */
export class HeldChunk {
  readonly replica: Replica;
  usedMs: number;
  readonly #withoutRules: Rules;
  /** The latest role, also when it has ended: it knows what readers may not see yet. */
  #role: PrimaryRole | undefined;
  #orders: SecondaryOrders | undefined;
  /** What a restart left open under this version; nothing changes a restarted replica until a higher one is recorded. */
  #forgotten: { readonly version: number; readonly knowledge: AppendKnowledge } | undefined;
  /** Of the replica's version: syncs of all members that callers share (P14). */
  #syncRounds: { readonly version: number; readonly rounds: Rounds<void> } | undefined;

  constructor(replica: Replica, nowMs: number, withoutRules: Rules) {
    this.replica = replica;
    this.#withoutRules = withoutRules;
    this.usedMs = nowMs;
  }

  get chunk(): number {
    return this.replica.chunk;
  }

  get version(): number {
    return this.replica.state.record.version;
  }

  /** The role that this server has now. */
  get role(): PrimaryRole | undefined {
    return this.#role?.ended === false ? this.#role : undefined;
  }

  /** The version that this process was last primary under; 0: none. */
  get roleVersion(): number {
    return this.#role?.record.version ?? 0;
  }

  checkVersion(version: number): void {
    if (this.version !== version) throw wrongVersion(this.chunk, this.version, version);
  }

  confer(role: PrimaryRole): void {
    this.#role?.end(superseded(this.chunk));
    this.#role = role;
  }

  /** As `endVersion`, when this server is primary of the higher version too: it answers there what is in flight here. */
  leaveVersion(): LeftFlights | undefined {
    return this.role?.leave(superseded(this.chunk));
  }

  /** Before a higher version is recorded: whatever goes on under the present one is over. */
  endVersion(error: GfsError = superseded(this.chunk)): void {
    this.#role?.end(error);
    this.#orders?.end(error);
  }

  /** The orders of the replica's version; NOT_READY while it is not reconciled under it (P6). */
  orders(version: number): SecondaryOrders {
    this.checkVersion(version);
    if (this.replica.state.standing !== 'reconciled') {
      throw new GfsError('NOT_READY', `chunk ${hex(this.chunk)} is not reconciled under version ${version}`);
    }
    if (this.#orders?.version !== version) {
      this.#orders?.end(superseded(this.chunk));
      this.#orders = new SecondaryOrders(this.replica);
    }
    return this.#orders;
  }

  syncRounds(sync: (requestId: string) => Promise<void>): Rounds<void> {
    if (this.#syncRounds?.version !== this.version) {
      this.#syncRounds = { version: this.version, rounds: new Rounds(sync) };
    }
    return this.#syncRounds.rounds;
  }

  /** How much of the replica readers may see (P13); NOT_READY: nothing before a reconcile (P6, P7). */
  async visibility(): Promise<Visibility> {
    const { state } = this.replica;
    const { version } = state.record;
    if (this.#withoutRules.has('P13')) return { length: state.length, rest: 'uncommitted' };
    const isForgotten =
      state.standing === 'restarted' && state.stream.version === version && state.stream.nextSerial > 0;
    if (!isForgotten) return unwrap(visibilityOf(state, this.#knowledge()));
    if (this.#forgotten?.version !== version) {
      const { table } = await this.replica.blockChecksums();
      this.#forgotten = { version, knowledge: { kind: 'forgotten', appends: table } };
    }
    return unwrap(visibilityOf(this.replica.state, this.#forgotten.knowledge));
  }

  /** Every order that the replica applied is known to be on all members: its table and its seal are theirs too. */
  get isCommitted(): boolean {
    const { record, stream } = this.replica.state;
    const { version } = record;
    if (stream.version !== version) return false;
    const roleKnows = this.#role?.record.version === version ? this.#role.committedSerial : 0;
    const ordersKnow = this.#orders?.version === version ? this.#orders.committedSerial : 0;
    return Math.max(roleKnows, ordersKnow) >= stream.nextSerial;
  }

  /** Everything that is known here is known to the replica too: it may be forgotten. */
  get forgettable(): boolean {
    if (this.role !== undefined) return false;
    const knowledge = this.#knowledge();
    const hides = 'visibleLength' in knowledge && knowledge.visibleLength < this.replica.state.length;
    return !hides && (this.#orders?.idle ?? true);
  }

  /** What an earlier version left open, its reconcile settled. */
  #knowledge(): AppendKnowledge {
    const { length, record } = this.replica.state;
    if (this.#role?.record.version === record.version) {
      return { kind: 'primary', visibleLength: this.#role.visibleLength(length) };
    }
    if (this.#orders?.version === record.version) {
      return { kind: 'member', visibleLength: this.#orders.visibleLength(length) };
    }
    return { kind: 'settled' };
  }

  tick(nowMs: number): void {
    this.#orders?.expire(nowMs);
    this.role?.tellCommitted();
  }
}

function superseded(chunk: number): GfsError {
  return new GfsError('NOT_PRIMARY', `chunk ${hex(chunk)} has moved on to another version`);
}
