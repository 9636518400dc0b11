import { assert } from '../base/assert.ts';
import { NO_BYTES, NO_PAYLOAD } from '../base/bytes.ts';
import { LEASE_DURATION_MS } from '../base/constants.ts';
import { codeOf, type ErrorCode, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import type { TaskGroup } from '../base/task-group.ts';
import {
  type MutationAnswer,
  type MutationRequest,
  type Order,
  Primary,
  type Recalled,
  type Repeat,
} from '../core/primary.ts';
import { endsWithin, liesInAny } from '../core/reconcile.ts';
import type { Member, VersionRecord } from '../core/replica-types.ts';
import type {
  ApplyRequest,
  Order as OrderMessage,
  VersionRecord as VersionRecordMessage,
} from '../rpc/messages.ts';
import type { Replica } from '../storage/replica-store.ts';
import { accuseUntilOver, type Evict, isSuperseded } from './accuser.ts';
import type { MendOutcome } from './block-mender.ts';
import { type Flight, Flights, type LeftFlights } from './flights.ts';
import type { Admit } from './lesson.ts';
import { type MutationData, orderMessage } from './order-line.ts';
import { type Reconciled, type ReconcileParts, reconcileMembers } from './reconcile-driver.ts';
import { Rounds } from './rounds.ts';
import { Secondaries } from './secondaries.ts';
import { Teaching } from './teaching.ts';
import { messageOfRecord, mutationOf } from './wire.ts';

export interface RoleParts extends ReconcileParts {
  readonly tasks: TaskGroup;
  readonly chunkSizeBytes: number;
  readonly self: number;
  readonly evict: Evict;
  readonly admit: Admit;
  readonly mend: (replica: Replica, blockIndex: number) => Promise<MendOutcome>;
  /** All members are reconciled, this one included. */
  readonly onReconciled: (chunk: number) => void;
}

type RoleState =
  | { readonly kind: 'reconciling' }
  | { readonly kind: 'active'; readonly primary: Primary }
  /** A member does not apply. Nothing more is ordered; what is in flight waits for the next version (P12). */
  | { readonly kind: 'stuck'; readonly primary: Primary }
  /** The core stays: it knows which appended bytes readers may not see. */
  | { readonly kind: 'ended'; readonly error: GfsError; readonly primary: Primary | undefined };

/**
 * The primary's role for one chunk at one version: carries mutations through this replica and all others (§3.1).
 *
 * A member that fails is not left out by the primary: the master is asked to evict it (P12), and nothing more is ordered
 * or answered meanwhile. When this server is primary of the next version too, it answers what was in flight as soon as
 * it has made all members equal to itself. When another is, or this replica fails, whether it happened is not known
 * here: clients are told to ask the master.
 */
export class PrimaryRole {
  readonly record: VersionRecord;
  readonly #parts: RoleParts;
  readonly #replica: Replica;
  readonly #secondaries: Secondaries;
  /** The master was asked to evict them. */
  readonly #accused = new Set<number>();
  readonly #flights = new Flights();
  /** Of the version before. */
  readonly #left: LeftFlights | undefined;
  readonly #teaching: Teaching;
  readonly #lengthRounds: Rounds<void>;
  readonly #ending = sharedAbort();
  readonly #activation: Promise<void>;
  readonly #over: Promise<void>;
  #state: RoleState = { kind: 'reconciling' };
  /** Rides with orders until a member has surely created its replica from it. */
  #first: VersionRecordMessage | undefined;
  #leaseEndsMs: number;
  #usedMs: number;
  #usedSinceTold = false;
  /** Members learn from orders what is committed; after the last one of a burst they are told by a notice. */
  #toldSerial = 0;
  #appended = false;

  private constructor(parts: RoleParts, replica: Replica, kind: 'first' | 'raised', left?: LeftFlights) {
    const { record } = replica.state;
    assert(record.primary === parts.self, 'a role is conferred by the version record');
    this.record = record;
    this.#parts = parts;
    this.#replica = replica;
    this.#left = left;
    this.#secondaries = new Secondaries({
      env: parts.env,
      peers: parts.peers,
      record,
      self: parts.self,
      request: (orders) => this.#request(orders),
      onApplied: (serial, bit) => this.#applied(serial, bit),
      onFailed: (server, error) => this.accuse(server, error),
    });
    this.#teaching = new Teaching({
      ...{ parts, replica, record, signal: this.#ending.signal },
      core: () => this.#core,
      committed: (serials) => this.#committedNow(serials),
      leaveOut: (server, error) => this.accuse(server, error),
    });
    this.#lengthRounds = new Rounds((requestId) => this.#confirmVersion(requestId));
    this.#usedMs = parts.env.monotonicMs();
    this.#leaseEndsMs = this.#usedMs + LEASE_DURATION_MS;
    this.#over = new Promise((resolve) => {
      this.#ending.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    if (kind === 'first') {
      this.#first = messageOfRecord(record);
      this.#activate({ length: 0, sealed: false, table: [], lostBlocks: new Set() });
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

  /** After a raise: reconciles the members, then is active (P4, P8), and answers what was `left` by the version before. */
  static raised(parts: RoleParts, replica: Replica, left?: LeftFlights): PrimaryRole {
    return new PrimaryRole(parts, replica, 'raised', left);
  }

  get ended(): boolean {
    return this.#state.kind === 'ended';
  }

  get active(): boolean {
    return this.#state.kind === 'active';
  }

  /** Resolves when it orders, or never will again. */
  get settled(): Promise<void> {
    return this.#state.kind === 'reconciling' ? this.#activation : this.#over;
  }

  get idle(): boolean {
    return this.#flights.size === 0 && this.#state.kind !== 'reconciling' && !this.#teaches;
  }

  get usedMs(): number {
    return this.#usedMs;
  }

  get leaseEndsMs(): number {
    return this.#leaseEndsMs;
  }

  /** Mutations in flight, or since the last time this was asked: the master extends such leases. */
  takeActivity(): boolean {
    const active = this.#flights.size > 0 || this.#usedSinceTold || this.#teaches;
    this.#usedSinceTold = false;
    return active;
  }

  /** Every serial below is known to be on all members. */
  get committedSerial(): number {
    return this.#core?.committedSerial ?? 0;
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
  async mutate(request: MutationRequest, data: MutationData, requestId: string): Promise<MutationAnswer> {
    const primary = this.#primary();
    const admission = unwrap(primary.admit(request, this.record.version));
    this.#used();
    if (admission.kind === 'order') {
      const flight = this.#fly(admission.order, request, data, requestId);
      await flight.promise;
      return { ...admission.answer, zeroedBytes: flight.zeroedBytes };
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

  /** What the table says of a writer, once that is so on all members (P15). */
  async recallWriter(writer: number): Promise<Recalled> {
    const recalled = this.#primary().recallWriter(writer);
    this.#used();
    await this.#flights.promiseOf(recalled.serial);
    return recalled;
  }

  async #committed({ serial, answer }: Repeat): Promise<MutationAnswer> {
    await this.#flights.promiseOf(serial);
    return answer;
  }

  #used(): void {
    this.#usedMs = this.#parts.env.monotonicMs();
    this.#usedSinceTold = true;
  }

  /**
   * A block is bad at all members. What would be appended behind its bytes could not be verified, so nothing is: the chunk is
   * sealed, and the next record begins another (P16).
   */
  blockLost(blockIndex: number): void {
    if (this.#state.kind !== 'active') return;
    const { length, sealed } = this.#state.primary;
    if (sealed || !endsWithin(length, blockIndex)) return;
    const { chunk } = this.record;
    this.#parts.tasks.run(() =>
      this.mutate(SEAL, NO_DATA, this.#parts.env.newRequestId()).catch((error: unknown) => {
        const fields = { chunk: hex(chunk), code: codeOf(error) };
        this.#parts.env.log.of('primary').info(fields, 'a chunk with a lost block is not sealed yet');
      }),
    );
  }

  /** The length that all members have, confirmed by each since the question was asked (P22). */
  async confirmedLength(requestId: string): Promise<{ length: number; sealed: boolean }> {
    this.#primary();
    await this.#lengthRounds.join(requestId);
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
    this.#parts.tasks.run(() =>
      this.#secondaries.notify(notice, (error) => {
        // Its readers ask the primary then.
        const fields = { chunk: hex(this.record.chunk), code: codeOf(error) };
        this.#parts.env.log.of('primary').debug(fields, 'a notice got lost');
      }),
    );
  }

  /** See `Teaching`. A version that is not active, since a member is away, has its copy repaired all the same. */
  async teach(learner: Member): Promise<void> {
    if (this.#state.kind === 'ended') throw this.#state.error;
    await this.#teaching.teach(learner);
  }

  get #teaches(): boolean {
    return this.#teaching.isUnderWay && this.#state.kind !== 'ended';
  }

  /** Nothing is ordered from now on. What is in flight is not answered: whether it happened is not known. */
  end(error: GfsError): void {
    this.#end(error);
    this.#flights.abandonAll(error);
    this.#left?.abandonAll(error);
  }

  /** As `end`, but this server is primary of the next version too, and answers there. */
  leave(error: GfsError): LeftFlights {
    this.#end(error);
    const own = this.#flights.leave();
    return this.#left === undefined ? own : own.and(this.#left);
  }

  /**
   * A member does not do what this version wants of it: the master decides how to go on (P12). It leaves out one that is
   * full, or lets it order; where it can do neither, the role ends, and writers learn why.
   */
  accuse(server: number, error: unknown): void {
    if (this.#state.kind === 'ended' || this.#accused.has(server)) return;
    if (isSuperseded(error, this.record.version)) {
      this.end(
        new GfsError('NOT_PRIMARY', `server ${server} has moved on to another version`, { cause: error }),
      );
      return;
    }
    const { chunk, version } = this.record;
    const code = codeOf(error);
    this.#accused.add(server);
    if (this.#state.kind === 'active') this.#state = { kind: 'stuck', primary: this.#state.primary };
    const accusation = { chunk, version, accused: server, code };
    this.#parts.tasks.run(async () => {
      try {
        await accuseUntilOver(this.#parts, accusation, this.#ending.signal);
      } catch (refusal) {
        this.end(noSpace(server, chunk, refusal));
      }
    });
  }

  /** This server cannot do its part: the master is told, and chooses another primary (P12). */
  resign(why: string, cause: unknown): void {
    if (this.#state.kind === 'ended') return;
    const { chunk, version } = this.record;
    const code = codeOf(cause);
    const fields = { chunk: hex(chunk), version, why, code, error: messageOf(cause) };
    this.#parts.env.log.of('primary').warn(fields, 'the primary resigns');
    this.#tellOfResignation(code);
    const message = `chunk ${hex(chunk)} lost its primary: ${why}: ${messageOf(cause)}`;
    this.end(new GfsError('NOT_PRIMARY', message, { cause }));
  }

  #tellOfResignation(code: ErrorCode): void {
    const { chunk, version } = this.record;
    const { evict, self, tasks, env } = this.#parts;
    tasks.run(async () => {
      await evict({ chunk, version, accused: self, code }, NEVER).catch((error: unknown) => {
        // Clients will ask the master by themselves.
        const fields = { chunk: hex(chunk), version, error: messageOf(error) };
        env.log.of('primary').info(fields, 'the master did not hear of a resignation');
      });
    });
  }

  #end(error: GfsError): void {
    if (this.#state.kind === 'ended') return;
    this.#state = { kind: 'ended', error, primary: this.#core };
    this.#secondaries.close();
    this.#ending.abort(error);
  }

  /** Undefined before the version is active. */
  get #core(): Primary | undefined {
    return this.#state.kind === 'reconciling' ? undefined : this.#state.primary;
  }

  #primary(): Primary {
    switch (this.#state.kind) {
      case 'active':
        return this.#state.primary;
      case 'reconciling':
        throw new GfsError('NOT_READY', `chunk ${hex(this.record.chunk)} is being reconciled`);
      case 'stuck':
        throw new GfsError('NOT_READY', `chunk ${hex(this.record.chunk)} waits for a member to be evicted`);
      case 'ended':
        throw this.#state.error;
    }
  }

  async #reconcile(): Promise<void> {
    try {
      const { signal } = this.#ending;
      const onFailing = (server: number, error: unknown) => this.accuse(server, error);
      const made = await reconcileMembers(this.#parts, this.#replica, this.#parts.self, signal, onFailing);
      if (this.#state.kind !== 'reconciling') return;
      this.#activate(made);
      const { chunk } = this.record;
      this.#parts.onReconciled(chunk);
      this.#left?.settle(
        new GfsError('NOT_PRIMARY', `chunk ${hex(chunk)}: not applied before the version rose`),
        ({ chunkOffset, length }) => liesInAny(made.lostBlocks, chunkOffset, length),
      );
    } catch (error) {
      this.resign('members could not be made equal', error);
    }
  }

  #activate({
    length,
    sealed,
    table,
    lostBlocks,
  }: Pick<Reconciled, 'length' | 'sealed' | 'table' | 'lostBlocks'>): void {
    const { chunk, version, members, frozen } = this.record;
    const { chunkSizeBytes, withoutRules } = this.#parts;
    const memberCount = members.length;
    const start = { length, sealed, table, lostBlocks, frozen };
    const primary = new Primary({ chunk, version, memberCount, chunkSizeBytes, withoutRules, ...start });
    const requiredFrom = this.#teaching.requiredFrom;
    if (requiredFrom !== undefined) primary.requireLearner(requiredFrom);
    this.#state = { kind: 'active', primary };
  }

  /** By all members, and by a learner that the master may have made one. */
  async #confirmVersion(requestId: string): Promise<void> {
    await Promise.all([
      this.#secondaries.confirmVersion(() => this.#first !== undefined, requestId),
      this.#teaching.confirmVersion(requestId),
    ]);
  }

  #fly(order: Order, request: MutationRequest, data: MutationData, requestId: string): Flight {
    const bytes = order.kind === 'seal' ? NO_BYTES : data.bytes;
    const message = orderMessage(order, request, data);
    const flight = this.#flights.begin(order, data);
    this.#appended ||= order.kind === 'append';
    // The disk here and the network work at the same time; both are told before anything else can be ordered.
    this.#replica.apply(mutationOf(this.record.version, message), bytes).then(
      (zeroedBytes) => {
        flight.appliedHere = true;
        flight.zeroedBytes = zeroedBytes;
        this.#applied(order.serial, 0);
      },
      (error: unknown) => this.resign('this server could not apply an order', error),
    );
    this.#secondaries.order({ message, bytes, requestId });
    this.#teaching.order({ message, bytes, requestId });
    return flight;
  }

  #applied(serial: number, member: number): void {
    // While it is stuck, too: what all members applied is committed.
    if (this.#state.kind !== 'active' && this.#state.kind !== 'stuck') return;
    this.#committedNow(this.#state.primary.applied(serial, member));
  }

  #committedNow(serials: readonly number[] = []): void {
    if (this.#state.kind === 'ended') return;
    for (const serial of serials) {
      this.#first = undefined;
      this.#flights.committed(serial);
    }
  }

  #request(orders: OrderMessage[]): ApplyRequest {
    const { chunk, version } = this.record;
    const committedSerial = this.#core?.committedSerial ?? 0;
    this.#toldSerial = committedSerial;
    return { chunk, version, orders, first: this.#first, committedSerial, payload: NO_PAYLOAD };
  }
}

const SEAL: MutationRequest = {
  ...{ kind: 'seal', writer: 0, number: 0, chunkOffset: 0, length: 0, recordChecksum: 0 },
};
const NO_DATA: MutationData = { bytes: NO_BYTES, checksums: [], pushId: undefined, release: () => undefined };

/** Whoever is refused has to know which server it was. */
function noSpace(server: number, chunk: number, cause: unknown): GfsError {
  const fields = { server: String(server) };
  return new GfsError('NO_SPACE', `server ${server} of chunk ${hex(chunk)} is full`, { cause, fields });
}

/** A resignation is told although its role has ended. */
const NEVER = sharedAbort().signal;
