import { must } from '../base/assert.ts';
import type { ServerId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { addTo, type OperationCount } from './operation-counters.ts';
import { RecentTraffic } from './recent-traffic.ts';

/** Who a chunkserver is, as it says at registration. */
export interface ServerIdentity {
  readonly server: ServerId;
  /** Where it is reached now; another port tomorrow is still the same server. */
  readonly address: string;
  readonly rack: string;
  /** New at each start of its process (P2). */
  readonly incarnation: string;
  readonly bootId: string;
  readonly host: string;
  readonly pid: number;
  readonly dataDirectory: string;
}

export interface ServerSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly usedBytes: number;
  /** Kept free for others; not offered to placement. */
  readonly reserveBytes: number;
  readonly chunkCount: number;
  /** Of its machine; servers there with the same number share the room. */
  readonly device: number;
}

/** What a heartbeat says of the server itself. */
export interface Beat<Report> {
  readonly space: ServerSpace | undefined;
  readonly activeOperations: number;
  readonly load: number;
  /** Since the heartbeat before. */
  readonly operations: readonly Readonly<OperationCount>[];
  /** Since the server's process started. */
  readonly corruptBlockCount: number;
  readonly report: Report | undefined;
}

/**
 * `alive`: heard of lately. `suspect`: its connection stands, but it has been silent for half the time allowed; still
 * a member, not chosen for new chunks while others can be. `gone`: the connection broke, or it is silent for too long.
 */
export type Liveness = 'alive' | 'suspect' | 'gone';

export interface ServerEntry<Report> {
  identity: ServerIdentity;
  /** False from the loss of its heartbeat stream until it registers again. */
  connected: boolean;
  lastHeardMs: number;
  space: ServerSpace | undefined;
  /** It refused data for want of room since its last heartbeat, whatever that said. */
  refusedForSpace: boolean;
  activeOperations: number;
  load: number;
  corruptBlockCount: number;
  /** Since the server registered with this incarnation. */
  readonly operations: Map<string, OperationCount>;
  /** Of the last seconds. */
  readonly traffic: RecentTraffic;
  report: Report | undefined;
  /** Chunks placed here since its last heartbeat, which the space it told cannot show yet. */
  placedCount: number;
}

/**
 * The chunkservers that this master has heard of. Volatile: a restarted master learns them anew from registrations.
 *
 * A server is its id, which it keeps in its data directory, not its address. Two processes with one id are told apart
 * by incarnation: while the one that is known lives, another is a copied directory, and refused; once it is gone, the
 * other is the same server restarted.
 */
export class ServerTable<Report> {
  readonly #entries = new Map<ServerId, ServerEntry<Report>>();
  /** What they told here, also those that are gone since. */
  readonly #operations = new Map<string, OperationCount>();
  readonly #silenceMs: number;
  readonly #returnedByMs: number;

  /** `returnMs`: what servers have after this master's start, `startedMs`, to find it. */
  constructor(options: { silenceMs: number; startedMs: number; returnMs: number }) {
    this.#silenceMs = options.silenceMs;
    this.#returnedByMs = options.startedMs + options.returnMs;
  }

  /** `restarted`: what was known of its memory (leases) is void. */
  register(identity: ServerIdentity, nowMs: number): Result<'new' | 'restarted' | 'reconnected'> {
    const known = this.#entries.get(identity.server);
    if (known === undefined) {
      this.#entries.set(identity.server, newEntry(identity, nowMs));
      return ok('new');
    }
    if (known.identity.incarnation === identity.incarnation) {
      known.identity = identity;
      known.connected = true;
      known.lastHeardMs = nowMs;
      return ok('reconnected');
    }
    if (this.livenessOf(identity.server, nowMs) !== 'gone') {
      return refuse(
        'ALREADY_RUNNING',
        `server ${identity.server} runs already at ${known.identity.address} (${known.identity.host}, pid ` +
          `${known.identity.pid}, ${known.identity.dataDirectory}): is ${identity.dataDirectory} a copy?`,
        { address: known.identity.address, incarnation: known.identity.incarnation },
      );
    }
    const entry = newEntry<Report>(identity, nowMs);
    entry.space = known.space;
    this.#entries.set(identity.server, entry);
    return ok('restarted');
  }

  /** Refused when it is not the process that registered: it has to register first. */
  beat(server: ServerId, incarnation: string, beat: Beat<Report>, nowMs: number): Result<void> {
    const entry = this.#entries.get(server);
    if (entry === undefined || entry.identity.incarnation !== incarnation) {
      return refuse('NOT_FOUND', `server ${server} with this incarnation is not registered`);
    }
    entry.connected = true;
    entry.lastHeardMs = nowMs;
    if (beat.space !== undefined) {
      entry.space = beat.space;
      entry.placedCount = 0;
      entry.refusedForSpace = false;
    }
    entry.activeOperations = beat.activeOperations;
    entry.load = beat.load;
    entry.corruptBlockCount = beat.corruptBlockCount;
    if (beat.report !== undefined) entry.report = beat.report;
    for (const counters of beat.operations) {
      addTo(entry.operations, counters);
      addTo(this.#operations, counters);
    }
    entry.traffic.note(beat.operations, nowMs);
    return ok(undefined);
  }

  /** Its heartbeat stream ended. A later process of the same server is not touched. */
  disconnected(server: ServerId, incarnation: string): void {
    const entry = this.#entries.get(server);
    if (entry === undefined || entry.identity.incarnation !== incarnation || !entry.connected) return;
    entry.connected = false;
  }

  livenessOf(server: ServerId, nowMs: number): Liveness {
    const entry = this.#entries.get(server);
    if (entry === undefined || !entry.connected) return 'gone';
    const silentMs = nowMs - entry.lastHeardMs;
    if (silentMs >= this.#silenceMs) return 'gone';
    return silentMs >= this.#silenceMs / 2 ? 'suspect' : 'alive';
  }

  isReachable(server: ServerId, nowMs: number): boolean {
    return this.livenessOf(server, nowMs) !== 'gone';
  }

  /** It never registered at this master, which was just started: it may be looking for it. */
  isAwaited(server: ServerId, nowMs: number): boolean {
    return !this.#entries.has(server) && nowMs < this.#returnedByMs;
  }

  get(server: ServerId): Readonly<ServerEntry<Report>> | undefined {
    return this.#entries.get(server);
  }

  /** A chunk was placed here. */
  placed(server: ServerId): void {
    must(this.#entries.get(server), 'chunks are placed on known servers').placedCount += 1;
  }

  /** Somebody was refused there for want of room. Until its next heartbeat tells otherwise, it has none. */
  refusedForSpace(server: ServerId): void {
    const entry = this.#entries.get(server);
    if (entry !== undefined) entry.refusedForSpace = true;
  }

  /** It is known to have no room for anything. */
  isFull(server: ServerId): boolean {
    const entry = this.#entries.get(server);
    if (entry?.space === undefined) return entry?.refusedForSpace === true;
    return entry.refusedForSpace || entry.space.freeBytes <= entry.space.reserveBytes;
  }

  all(): Iterable<Readonly<ServerEntry<Report>>> {
    return this.#entries.values();
  }

  /** Of all servers together, since this table began: it only grows. */
  operationsOfAll(): Iterable<Readonly<OperationCount>> {
    return this.#operations.values();
  }

  get count(): number {
    return this.#entries.size;
  }
}

function newEntry<Report>(identity: ServerIdentity, nowMs: number): ServerEntry<Report> {
  return {
    identity,
    connected: true,
    lastHeardMs: nowMs,
    space: undefined,
    refusedForSpace: false,
    activeOperations: 0,
    load: 0,
    corruptBlockCount: 0,
    operations: new Map(),
    traffic: new RecentTraffic(),
    report: undefined,
    placedCount: 0,
  };
}
