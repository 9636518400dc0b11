import { assert, must } from '../base/assert.ts';
import { NO_BYTES } from '../base/bytes.ts';
import { LEASE_DURATION_MS } from '../base/constants.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { TaskGroup } from '../base/task-group.ts';
import {
  type MutationAnswer,
  type MutationRequest,
  type Order,
  Primary,
  type Repeat,
} from '../core/primary.ts';
import type { BlockSums, Member, VersionRecord } from '../core/replica-types.ts';
import {
  type ApplyRequest,
  ChunkserverDefinition,
  type Order as OrderMessage,
  type VersionRecord as VersionRecordMessage,
} from '../rpc/messages.ts';
import type { Connection } from '../rpc/network.ts';
import type { Replica } from '../storage/replica-store.ts';
import { APPLY_MS_MAX, type MutationData, OrderLine, orderMessage } from './order-line.ts';
import { type ReconcileParts, reconcileMembers } from './reconcile-driver.ts';
import { Rounds } from './rounds.ts';
import { messageOfRecord, mutationOf } from './wire.ts';

export interface RoleParts extends ReconcileParts {
  readonly tasks: TaskGroup;
  readonly chunkSizeBytes: number;
  readonly self: number;
}

interface Flight {
  readonly order: Order;
  readonly data: MutationData;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Secondary {
  readonly member: Member;
  readonly connection: Connection;
  readonly line: OrderLine;
}

type RoleState =
  | { readonly kind: 'reconciling' }
  | { readonly kind: 'active'; readonly primary: Primary }
  /** The core stays: it knows which appended bytes readers may not see. */
  | { readonly kind: 'ended'; readonly error: GfsError; readonly primary: Primary | undefined };

/**
 * The primary's role for one chunk at one version: carries mutations through this replica and all others (§3.1). It
 * ends with the first member that fails, this one included: what is not answered then may or may not have happened, its
 * clients are told to ask the master, and the next version settles it on all members alike.
 */
export class PrimaryRole {
  readonly record: VersionRecord;
  readonly #parts: RoleParts;
  readonly #replica: Replica;
  readonly #secondaries: readonly Secondary[];
  /** By serial, until committed. */
  readonly #flights = new Map<number, Flight>();
  readonly #lengthRounds: Rounds<void>;
  readonly #ending = new AbortController();
  readonly #activation: Promise<void>;
  #state: RoleState = { kind: 'reconciling' };
  /** Rides with orders until a member has surely created its replica from it. */
  #first: VersionRecordMessage | undefined;
  #leaseEndsMs: number;
  #usedMs: number;
  #usedSinceTold = false;
  /** Members learn from orders what is committed; after the last one of a burst they are told by a notice. */
  #toldSerial = 0;
  #appended = false;

  private constructor(parts: RoleParts, replica: Replica, kind: 'first' | 'raised') {
    const { record } = replica.state;
    assert(record.primary === parts.self, 'a role is conferred by the version record');
    this.record = record;
    this.#parts = parts;
    this.#replica = replica;
    this.#secondaries = record.members
      .filter((member) => member.server !== parts.self)
      .map((member, index) => this.#secondary(member, index + 1));
    this.#lengthRounds = new Rounds(() => this.#confirmVersion());
    this.#usedMs = parts.env.monotonicMs();
    this.#leaseEndsMs = this.#usedMs + LEASE_DURATION_MS;
    if (kind === 'first') {
      this.#first = messageOfRecord(record);
      this.#activate({ length: 0, sealed: false, table: [] });
      this.#activation = Promise.resolve();
    } else {
      this.#activation = this.#reconcile();
      parts.tasks.run(() => this.#activation);
    }
  }

  /** Of a chunk that begins with this version: empty everywhere, so active at once (P4). */
  static first(parts: RoleParts, replica: Replica): PrimaryRole {
    return new PrimaryRole(parts, replica, 'first');
  }

  /** After a raise: reconciles the members, then is active (P4, P8). */
  static raised(parts: RoleParts, replica: Replica): PrimaryRole {
    return new PrimaryRole(parts, replica, 'raised');
  }

  get ended(): boolean {
    return this.#state.kind === 'ended';
  }

  get active(): boolean {
    return this.#state.kind === 'active';
  }

  /** Settles when it is active or has ended. */
  get activation(): Promise<void> {
    return this.#activation;
  }

  get idle(): boolean {
    return this.#flights.size === 0 && this.#state.kind !== 'reconciling';
  }

  get usedMs(): number {
    return this.#usedMs;
  }

  get leaseEndsMs(): number {
    return this.#leaseEndsMs;
  }

  /** Mutations in flight, or since the last time this was asked: the master extends such leases. */
  takeActivity(): boolean {
    const active = this.#flights.size > 0 || this.#usedSinceTold;
    this.#usedSinceTold = false;
    return active;
  }

  extendLease(untilMs: number): void {
    this.#leaseEndsMs = Math.max(this.#leaseEndsMs, untilMs);
  }

  visibleLength(replicaLength: number): number {
    return this.#state.kind === 'reconciling'
      ? replicaLength
      : (this.#state.primary?.visibleLength(replicaLength) ?? replicaLength);
  }

  /** Resolves when all members applied it, and all before it. */
  async mutate(request: MutationRequest, data: MutationData): Promise<MutationAnswer> {
    const primary = this.#primary();
    const admission = unwrap(primary.admit(request, this.record.version));
    this.#used();
    if (admission.kind === 'order') {
      await this.#fly(admission.order, request, data);
      return admission.answer;
    }
    data.release();
    return await this.#committed(admission);
  }

  /**
   * The answer to a mutation that needs no data for it: it was taken before, or the chunk is sealed. Undefined: it is
   * new. Resolves, as `mutate` does, when all members applied what the answer speaks of (P15).
   */
  recall(request: MutationRequest): Promise<MutationAnswer> | undefined {
    const known = unwrap(this.#primary().recall(request, this.record.version));
    if (known === undefined) return undefined;
    this.#used();
    return this.#committed(known);
  }

  async #committed({ serial, answer }: Repeat): Promise<MutationAnswer> {
    await this.#flights.get(serial)?.promise;
    return answer;
  }

  #used(): void {
    this.#usedMs = this.#parts.env.monotonicMs();
    this.#usedSinceTold = true;
  }

  /** The length that all members have, confirmed by each since the question was asked (P22). */
  async confirmedLength(): Promise<{ length: number; sealed: boolean }> {
    this.#primary();
    await this.#lengthRounds.join();
    const primary = this.#primary();
    return { length: primary.visibleLength(this.#replica.state.length), sealed: this.#replica.state.sealed };
  }

  /** Tells members what is committed when no order will soon: readers there then see the last appends. */
  tellCommitted(): void {
    if (this.#state.kind !== 'active' || !this.#appended || this.#flights.size > 0) return;
    const { committedSerial } = this.#state.primary;
    if (committedSerial === this.#toldSerial) return;
    this.#appended = false;
    const notice = this.#request([]);
    for (const { connection } of this.#secondaries) {
      this.#parts.tasks.run(() =>
        connection
          .call(ChunkserverDefinition.methods.apply, notice, this.#callOptions())
          .catch((error: unknown) => {
            // Its readers ask the primary then.
            this.#parts.env.log.debug(
              { chunk: hex(this.record.chunk), code: codeOf(error) },
              'a notice got lost',
            );
          }),
      );
    }
  }

  /** Nothing is ordered from now on. What is in flight is not answered: whether it happened is not known. */
  end(error: GfsError): void {
    if (this.#state.kind === 'ended') return;
    const primary = this.#state.kind === 'active' ? this.#state.primary : undefined;
    this.#state = { kind: 'ended', error, primary };
    this.#ending.abort(error);
    for (const { line } of this.#secondaries) line.close();
    for (const flight of this.#flights.values()) {
      flight.data.release();
      flight.reject(unknownOutcome(flight, error));
    }
    this.#flights.clear();
  }

  /** `bit`: in the core's count; 0 is this server. */
  #secondary(member: Member, bit: number): Secondary {
    const { env, peers } = this.#parts;
    const connection = peers.at(member.address);
    const line = new OrderLine({
      env,
      connection,
      request: (orders) => this.#request(orders),
      onApplied: (serial) => this.#applied(serial, bit),
      onFailed: (error) => this.#resign(`server ${member.server} did not apply an order`, error),
    });
    return { member, connection, line };
  }

  #primary(): Primary {
    switch (this.#state.kind) {
      case 'active':
        return this.#state.primary;
      case 'reconciling':
        throw new GfsError('NOT_READY', `chunk ${hex(this.record.chunk)} is being reconciled`);
      case 'ended':
        throw this.#state.error;
    }
  }

  async #reconcile(): Promise<void> {
    try {
      const sums = await reconcileMembers(this.#parts, this.#replica, this.#parts.self, this.#ending.signal);
      if (this.#state.kind !== 'reconciling') return;
      this.#activate(sums);
    } catch (error) {
      this.#resign('members could not be made equal', error);
    }
  }

  #activate({ length, sealed, table }: Pick<BlockSums, 'length' | 'sealed' | 'table'>): void {
    const { chunk, version, members } = this.record;
    const { chunkSizeBytes } = this.#parts;
    const memberCount = members.length;
    const start = { length, sealed, table };
    const primary = new Primary({ chunk, version, memberCount, chunkSizeBytes, ...start });
    this.#state = { kind: 'active', primary };
  }

  #fly(order: Order, request: MutationRequest, data: MutationData): Promise<void> {
    const bytes = order.kind === 'seal' ? NO_BYTES : data.bytes;
    let resolve: () => void = unset;
    let reject: (error: unknown) => void = unset;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    const message = orderMessage(order, request, data);
    const flight: Flight = { order, data, promise, resolve, reject };
    this.#flights.set(order.serial, flight);
    this.#appended ||= order.kind === 'append';
    // The disk here and the network work at the same time; both are told before anything else can be ordered.
    this.#replica.apply(mutationOf(this.record.version, message), bytes).then(
      () => this.#applied(order.serial, 0),
      (error: unknown) => this.#resign('this server could not apply an order', error),
    );
    for (const { line } of this.#secondaries) line.send({ message, bytes });
    return promise;
  }

  #applied(serial: number, member: number): void {
    if (this.#state.kind !== 'active') return;
    for (const committed of this.#state.primary.applied(serial, member)) {
      const flight = must(this.#flights.get(committed), 'what is committed was in flight');
      this.#flights.delete(committed);
      this.#first = undefined;
      flight.data.release();
      flight.resolve();
    }
  }

  #resign(why: string, cause: unknown): void {
    if (this.#state.kind === 'ended') return;
    const { chunk, version } = this.record;
    const fields = { chunk: hex(chunk), version, code: codeOf(cause), error: messageOf(cause) };
    this.#parts.env.log.warn(fields, `primary resigns: ${why}`);
    // A full disk is told as such: a higher version would not make room.
    const code = codeOf(cause) === 'NO_SPACE' ? 'NO_SPACE' : 'NOT_PRIMARY';
    this.end(
      new GfsError(code, `chunk ${hex(chunk)} lost its primary: ${why}: ${messageOf(cause)}`, { cause }),
    );
  }

  async #confirmVersion(): Promise<void> {
    const { chunk, version } = this.record;
    await Promise.all(
      this.#secondaries.map(async ({ connection, member }) => {
        const { checkVersion } = ChunkserverDefinition.methods;
        const reply = await connection.call(checkVersion, { chunks: [chunk] }, this.#callOptions());
        if (reply.message.chunks[0]?.version === version) return;
        // A member that never got an order is at no version: nothing was written yet, and it will be created (P23).
        if (reply.message.chunks.length === 0 && this.#first !== undefined) return;
        const error = new GfsError(
          'NOT_PRIMARY',
          `server ${member.server} is not at version ${version} any more`,
        );
        this.end(error);
        throw error;
      }),
    );
  }

  #request(orders: OrderMessage[]): ApplyRequest {
    const { chunk, version } = this.record;
    const committedSerial = this.#state.kind === 'active' ? this.#state.primary.committedSerial : 0;
    this.#toldSerial = committedSerial;
    return { chunk, version, orders, first: this.#first, committedSerial, payload: EMPTY };
  }

  #callOptions() {
    return { deadlineMs: this.#parts.env.monotonicMs() + APPLY_MS_MAX };
  }
}

/**
 * What to tell of a mutation that was ordered and not answered. An append may be on all members, and in their tables: that
 * one of them has no space must not make its writer believe that it is nowhere (P17).
 */
function unknownOutcome({ order }: Flight, error: GfsError): GfsError {
  if (order.kind !== 'append' || error.code === 'NOT_PRIMARY') return error;
  return new GfsError('NOT_PRIMARY', error.message, { cause: error });
}

const EMPTY = Buffer.alloc(0);
const unset = () => undefined;
