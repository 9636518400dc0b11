import { boundedCache } from '../base/bounded.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import { type MutationRequest, Primary } from '../core/primary.ts';
import type { LessonStart, VersionRecord } from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import type { LeaseUse } from '../rpc/messages.ts';
import type { ReplicaStore } from '../storage/replica-store.ts';
import type { LeftFlights } from './flights.ts';
import { HeldChunk } from './held-chunk.ts';
import { PrimaryRole, type RoleParts } from './primary-role.ts';
import { isMember, noSuchChunk, wrongVersion } from './wire.ts';

/** A role that nobody used this long is released: the next writer asks the master, who raises the version. */
const ROLE_IDLE_MS_MAX = 15 * SECOND_MS;
/** What is known of a chunk in memory is dropped this long after its last use. */
const HELD_IDLE_MS_MAX = 30 * SECOND_MS;
/** Far more than are deleted, or asked for before they begin, while somebody still believes in one of them. */
const NOT_BEGUN_COUNT_MAX = 64 * 1024;

export interface ChunkTableOptions {
  readonly env: Env;
  readonly store: ReplicaStore;
  /** Undefined until the server is registered: it cannot be anybody's primary before. */
  readonly roleParts: () => RoleParts | undefined;
  readonly withoutRules: Rules;
}

/** The chunks of this server that are in use, each opened once; and what the master has to learn about them. */
export class ChunkTable {
  readonly #env: Env;
  readonly #store: ReplicaStore;
  readonly #roleParts: () => RoleParts | undefined;
  readonly #withoutRules: Rules;
  readonly #held = new Map<number, HeldChunk>();
  readonly #opening = new Map<number, Promise<HeldChunk | undefined>>();
  readonly #deleting = new Set<number>();
  readonly #cloning = new Map<number, Promise<void>>();
  /** Deleted lately (handles are not reused), or the master was told that they are not here. */
  readonly #notBegun = boundedCache<number, true>(NOT_BEGUN_COUNT_MAX);
  /** Replicas that came, went or changed their version since the last report. */
  #changed = new Set<number>();
  /** Leases given back since the last heartbeat. */
  #released: LeaseUse[] = [];

  constructor({ env, store, roleParts, withoutRules }: ChunkTableOptions) {
    this.#env = env;
    this.#store = store;
    this.#roleParts = roleParts;
    this.#withoutRules = withoutRules;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The chunk if it is in use already; nearly always it is. */
  peek(chunk: number): HeldChunk | undefined {
    const held = this.#held.get(chunk);
    if (held !== undefined) held.usedMs = this.#env.monotonicMs();
    return held;
  }

  /** The chunk if this server has a replica of it. */
  async hold(chunk: number): Promise<HeldChunk | undefined> {
    return this.peek(chunk) ?? (await this.#open(chunk));
  }

  /**
   * As `hold`, for the master, which decides on the answer what the next version is. A chunk that is not here begins by its
   * order alone from now on: what a first mutation that is on its way brought would count as lost (P14).
   */
  async holdOrDeny(chunk: number): Promise<HeldChunk | undefined> {
    const held = (await this.hold(chunk)) ?? this.peek(chunk);
    if (held === undefined) this.#notBegun.set(chunk, true);
    return held;
  }

  /** As `hold`, but a chunk that is nowhere yet begins here, from what the master logged (P4, P23). */
  async holdOrBegin(
    chunk: number,
    version: number,
    first: VersionRecord | undefined,
  ): Promise<HeldChunk | undefined> {
    // Another one may have begun it while we waited.
    const held = (await this.hold(chunk)) ?? this.peek(chunk);
    return held ?? (first === undefined ? undefined : this.#begin(chunk, version, first));
  }

  /** Refuses, as its primary would, what no chunk could begin with. */
  checkFirst({ chunk, version, members }: VersionRecord, request: MutationRequest): void {
    const { chunkSizeBytes } = this.#registered();
    const nothing = { length: 0, sealed: false, table: [] };
    const memberCount = members.length;
    unwrap(new Primary({ chunk, version, memberCount, chunkSizeBytes, ...nothing }).recall(request, version));
  }

  /** As the master orders: `first` is empty and active at all members, a `copy` waits to be made equal to others. */
  async create(record: VersionRecord, kind: 'first' | 'copy'): Promise<void> {
    const existing = (await this.hold(record.chunk)) ?? this.peek(record.chunk);
    if (existing !== undefined) {
      if (existing.version === record.version) return;
      throw wrongVersion(record.chunk, existing.version, record.version);
    }
    const held = this.#add(record, kind);
    // Nothing is promised before it is on disk.
    await held.replica.sync();
  }

  /**
   * Makes a chunk of this record from the one that the server has under another handle, at the same version (P20); durable
   * when it resolves. EXISTS: of one that is here already nobody knows that it is the same.
   */
  async clone(record: VersionRecord, source: number): Promise<void> {
    const { chunk, version } = record;
    const { self } = this.#registered();
    if (!isMember(record, self)) throw notHere(chunk, self);
    const held = await this.hold(source);
    if (held === undefined) throw noSuchChunk(source);
    held.checkVersion(version);
    if (this.#deleting.has(chunk) || this.#notBegun.has(chunk)) throw noSuchChunk(chunk);
    if (this.#cloning.has(chunk)) throw new GfsError('EXISTS', `chunk ${hex(chunk)} is being made`);
    const cloning = this.#store.clone(held.replica, record).finally(() => this.#cloning.delete(chunk));
    this.#cloning.set(chunk, cloning);
    await cloning;
    this.#changed.add(chunk);
  }

  /**
   * Begins a lesson here (P9), whatever there was of the chunk: under a lower version, of an earlier lesson, or damaged.
   * Returns the checksums of its blocks, at the lesson's length.
   */
  async learn(record: VersionRecord, lesson: string, start: LessonStart): Promise<readonly number[]> {
    const { self } = this.#registered();
    const { chunk, version } = record;
    if (isMember(record, self)) {
      throw new GfsError('INVALID_ARGUMENT', `server ${self} is a member of chunk ${hex(chunk)} already`);
    }
    const held = (await this.#holdUnlessDamaged(chunk)) ?? this.peek(chunk) ?? this.#beginLearner(record);
    if (held.version < version) held.endVersion();
    this.#changed.add(chunk);
    return await held.replica.learn(record, lesson, start);
  }

  /** Records a version durably; the role that it confers begins here (P2, P5). */
  async setVersion(held: HeldChunk, record: VersionRecord): Promise<void> {
    this.#registered();
    const { state } = held.replica;
    if (
      record.version === state.record.version &&
      state.standing !== 'restarted' &&
      sameRecord(state.record, record)
    ) {
      return; // The master asks again because our answer got lost.
    }
    if (record.version <= state.record.version && !this.#withoutRules.has('P2'))
      throw wrongVersion(record.chunk, state.record.version, record.version);
    const left = this.#isCarriedOver(record) ? held.leaveVersion() : undefined;
    held.endVersion();
    try {
      await held.replica.setVersion(record);
    } catch (error) {
      left?.abandonAll(
        new GfsError('NOT_PRIMARY', `chunk ${hex(record.chunk)} lost its primary`, { cause: error }),
      );
      throw error;
    }
    this.#changed.add(record.chunk);
    this.#confer(held, 'raised', left);
  }

  /** What this server has in flight as primary, it answers under the new version; not across a truncation (P19). */
  #isCarriedOver({ primary, version, cutVersion }: VersionRecord): boolean {
    return primary === this.#registered().self && cutVersion !== version;
  }

  /** For ever: one that is not here does not begin any more either, whoever still has the record of its beginning. */
  async delete(chunk: number): Promise<void> {
    this.#deleting.add(chunk);
    this.#notBegun.set(chunk, true);
    try {
      await this.#opening.get(chunk);
      await this.#cloning.get(chunk)?.catch(() => undefined);
      this.#held.get(chunk)?.endVersion(new GfsError('NO_SUCH_CHUNK', `chunk ${hex(chunk)} is deleted`));
      this.#held.delete(chunk);
      await this.#store.delete(chunk);
      this.#changed.add(chunk);
    } finally {
      this.#deleting.delete(chunk);
    }
  }

  /** A copy that nobody needs (P24), unless it has recorded a higher version by now. It may be wanted again later. */
  async deleteStray(chunk: number, version: number): Promise<void> {
    const held = await this.hold(chunk);
    if (held === undefined || !(await this.#store.deleteUpTo(chunk, version))) return;
    held.endVersion(new GfsError('NO_SUCH_CHUNK', `chunk ${hex(chunk)} is deleted here`));
    if (this.#held.get(chunk) === held) this.#held.delete(chunk);
    this.#changed.add(chunk);
  }

  /** Its replica is reconciled now. */
  reconciled(chunk: number): void {
    this.#changed.add(chunk);
  }

  /** Chunks that came, went or changed since the last call. */
  takeChanged(): Set<number> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** They could not be told. */
  giveBackChanged(chunks: Iterable<number>): void {
    for (const chunk of chunks) this.#changed.add(chunk);
  }

  get hasChanges(): boolean {
    return this.#changed.size > 0;
  }

  /** Leases that were used since the last call, and those given back. */
  takeLeases(): LeaseUse[] {
    const leases = this.#released;
    this.#released = [];
    for (const held of this.#held.values()) {
      const { role } = held;
      if (role?.takeActivity())
        leases.push({ chunk: held.chunk, version: role.record.version, active: true });
    }
    return leases;
  }

  extendLease(chunk: number, version: number, untilMs: number): void {
    const role = this.#held.get(chunk)?.role;
    if (role?.record.version === version) role.extendLease(untilMs);
  }

  /**
   * Gives up what waits too long, and forgets what nobody uses. A lease that ran out ends while the master answers; without a
   * master, work goes on: versions are the guard, leases an economy (P5).
   */
  tick(options: { readonly masterAnswers: boolean }): void {
    const nowMs = this.#env.monotonicMs();
    for (const held of this.#held.values()) {
      held.tick(nowMs);
      const { role } = held;
      if (role !== undefined) {
        const unused = role.idle && nowMs - role.usedMs > ROLE_IDLE_MS_MAX;
        if (unused || (options.masterAnswers && nowMs > role.leaseEndsMs)) this.#release(held, role);
      } else if (nowMs - held.usedMs > HELD_IDLE_MS_MAX && held.forgettable) {
        this.#held.delete(held.chunk);
      }
    }
  }

  /** The server ends: nothing is ordered any more. */
  close(): void {
    const error = new GfsError('NOT_PRIMARY', 'this server is closing');
    for (const held of this.#held.values()) held.endVersion(error);
  }

  #release(held: HeldChunk, role: PrimaryRole): void {
    role.tellCommitted();
    role.end(new GfsError('NOT_PRIMARY', `the lease of chunk ${hex(held.chunk)} has ended`));
    this.#released.push({ chunk: held.chunk, version: role.record.version, active: false });
  }

  #open(chunk: number): Promise<HeldChunk | undefined> {
    const running = this.#opening.get(chunk);
    if (running !== undefined) return running;
    if (this.#deleting.has(chunk)) return Promise.resolve(undefined);
    const opening = this.#store
      .get(chunk)
      .then((replica) => {
        if (replica === undefined || this.#deleting.has(chunk)) return undefined;
        const held = new HeldChunk(replica, this.#env.monotonicMs(), this.#withoutRules);
        this.#held.set(chunk, held);
        if (this.#withoutRules.has('P5')) this.#confer(held, 'first');
        return held;
      })
      .finally(() => this.#opening.delete(chunk));
    this.#opening.set(chunk, opening);
    return opening;
  }

  #begin(chunk: number, version: number, first: VersionRecord): HeldChunk | undefined {
    if (first.chunk !== chunk || first.version !== version) {
      throw new GfsError(
        'INVALID_ARGUMENT',
        `a first record of chunk ${hex(first.chunk)} at ${first.version}`,
      );
    }
    // Later versions begin by the master's word alone: here a replica may have been lost.
    if (version !== 1 || this.#deleting.has(chunk) || this.#notBegun.has(chunk)) return undefined;
    return this.#add(first, 'first');
  }

  /** Files that cannot be used make room for a copy that can. */
  async #holdUnlessDamaged(chunk: number): Promise<HeldChunk | undefined> {
    try {
      return await this.hold(chunk);
    } catch (error) {
      if (codeOf(error) !== 'CORRUPT') throw error;
      await this.#store.delete(chunk);
      return undefined;
    }
  }

  #beginLearner(record: VersionRecord): HeldChunk {
    if (this.#deleting.has(record.chunk)) {
      throw new GfsError('NOT_READY', `chunk ${hex(record.chunk)} is being deleted here`);
    }
    const replica = this.#store.create(record, 'learner');
    const held = new HeldChunk(replica, this.#env.monotonicMs(), this.#withoutRules);
    this.#held.set(record.chunk, held);
    return held;
  }

  #add(record: VersionRecord, kind: 'first' | 'copy'): HeldChunk {
    const { self } = this.#registered();
    if (!isMember(record, self)) throw notHere(record.chunk, self);
    const held = new HeldChunk(this.#store.create(record, kind), this.#env.monotonicMs(), this.#withoutRules);
    this.#held.set(record.chunk, held);
    this.#changed.add(record.chunk);
    this.#confer(held, kind === 'first' ? 'first' : 'raised');
    return held;
  }

  /** The master may know us a moment before we know that it does: a role taken then would be a role lost. */
  #registered(): RoleParts {
    const parts = this.#roleParts();
    if (parts === undefined) throw new GfsError('NOT_READY', 'this server is not registered yet');
    return parts;
  }

  #confer(held: HeldChunk, kind: 'first' | 'raised', left?: LeftFlights): void {
    const parts = this.#registered();
    const { record } = held.replica.state;
    if (record.primary !== parts.self) return;
    // Never twice under one version (P5): its serials would begin again.
    if (held.roleVersion === record.version) return;
    held.confer(
      kind === 'first'
        ? PrimaryRole.first(parts, held.replica)
        : PrimaryRole.raised(parts, held.replica, left),
    );
  }
}

/** Another server had this address before: whoever asks has an old word of where the chunk is. */
function notHere(chunk: number, self: number): GfsError {
  return new GfsError('NO_SUCH_CHUNK', `server ${self} is no member of chunk ${hex(chunk)}`);
}

function sameRecord(a: VersionRecord, b: VersionRecord): boolean {
  if (a.primary !== b.primary || a.members.length !== b.members.length) return false;
  return a.members.every((member) => isMember(b, member.server));
}
