import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { PrimaryRole } from './primary-role.ts';
import { Rounds } from './rounds.ts';
import { SecondaryOrders } from './secondary-orders.ts';
import { wrongVersion } from './wire.ts';

/** One chunk as this process knows it beyond what its replica knows: its role, orders that wait, what is committed. */
export class HeldChunk {
  readonly replica: Replica;
  usedMs: number;
  /** The latest role, also when it has ended: it knows what readers may not see yet. */
  #role: PrimaryRole | undefined;
  #orders: SecondaryOrders | undefined;
  /** Of the replica's version: syncs of all members that callers share (P14). */
  #syncRounds: { readonly version: number; readonly rounds: Rounds<void> } | undefined;

  constructor(replica: Replica, nowMs: number) {
    this.replica = replica;
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

  syncRounds(sync: () => Promise<void>): Rounds<void> {
    if (this.#syncRounds?.version !== this.version) {
      this.#syncRounds = { version: this.version, rounds: new Rounds(sync) };
    }
    return this.#syncRounds.rounds;
  }

  /** How much of the replica readers may see (P13). What an earlier version left open, its reconcile settled. */
  visibleLength(): number {
    const { length, record } = this.replica.state;
    if (this.#role?.record.version === record.version) return this.#role.visibleLength(length);
    if (this.#orders?.version === record.version) return this.#orders.visibleLength(length);
    return length;
  }

  /** Everything that is known here is known to the replica too: it may be forgotten. */
  get forgettable(): boolean {
    if (this.role !== undefined) return false;
    return this.visibleLength() === this.replica.state.length && (this.#orders?.idle ?? true);
  }

  tick(nowMs: number): void {
    this.#orders?.expire(nowMs);
    this.role?.tellCommitted();
  }
}

function superseded(chunk: number): GfsError {
  return new GfsError('NOT_PRIMARY', `chunk ${hex(chunk)} has moved on to another version`);
}
