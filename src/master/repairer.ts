import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ChunkLocations, ReplicaChange } from '../core/chunk-locations.ts';
import type { Command } from '../core/metadata/commands.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import { placeCopy } from '../core/placement.ts';
import { type CopyCount, RepairQueue, repairDueMs } from '../core/repair.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import { Background } from './background.ts';
import { candidatesOf } from './candidates.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { ExtentLocator } from './extent-locator.ts';
import type { Metadata } from './metadata.ts';

/** Copies under way. */
const REPAIRS_MAX = 4;
/** How often is looked for servers that count as lost by now. */
const TICK_MS = 1 * SECOND_MS;
/** Chunks looked at without letting anybody else have a turn. */
const PAGE_SIZE = 500;

export interface RepairerParts {
  readonly env: Env;
  readonly metadata: Metadata;
  readonly servers: ServerTable<SystemReport>;
  readonly locations: ChunkLocations;
  readonly raiser: Pick<ChunkRaiser, 'ensureTeacher'>;
  readonly calls: Pick<ChunkserverCalls, 'teach'>;
  readonly locator: ExtentLocator;
  readonly chunkSizeBytes: number;
  /** A server that is away for so long is lost; until then it may come back and be used as it is. */
  readonly graceMs: number;
  /** A chunk has as many members as it should: copies elsewhere may go. */
  readonly onRepaired: (chunk: ChunkHandle) => void;
}

/**
 * Fills the places of members that are lost or were evicted (§4.3): chooses a chunk and a server, sees to it that there is a
 * primary, and has that make the copy (P9). Volatile: which chunks need one is found by walking through the table when
 * this master starts, and when a server comes or is lost; those whose version rises with too few members are heard of, and
 * those that were begun with too few when they are reported.
 */
export class Repairer {
  readonly #parts: RepairerParts;
  readonly #queue = new RepairQueue();
  readonly #work: Background;
  readonly #tasks: TaskGroup;
  readonly #stop = sharedAbort();
  readonly #startedMs: number;
  /** To which server each chunk is being copied; 0: that is not decided yet. */
  readonly #running = new Map<ChunkHandle, ServerId | 0>();
  readonly #lost = new Set<ServerId>();
  /** Of those in the queue: somebody waits for them. */
  readonly #needed = new Set<ChunkHandle>();
  #mustWalk = true;
  #copyCount = 0;

  constructor(parts: RepairerParts) {
    this.#parts = parts;
    this.#startedMs = parts.env.monotonicMs();
    this.#tasks = new TaskGroup((error) => parts.env.log.of('repair').error({ error }, 'a repair failed'));
    this.#work = new Background(parts.env, {
      name: 'repairing chunks',
      component: 'repair',
      retryDelayMs: TICK_MS,
      round: () => this.#round(),
    });
    this.#work.wake(TICK_MS);
  }

  /** Copies that were made since this master started ... */
  get copyCount(): number {
    return this.#copyCount;
  }

  /** ... and that are being made. */
  get runningCount(): number {
    return this.#running.size;
  }

  isRepairing(chunk: ChunkHandle): boolean {
    return this.#running.has(chunk);
  }

  /** A command was carried out: a version may have been raised with fewer members, or more copies be wanted. */
  commandApplied({ body: { $case, value } }: Command): void {
    if ($case === 'raiseVersion') this.#consider(value.chunk);
    else if ($case === 'cloneExtent') this.#consider(value.clone);
    else if ($case === 'shareExtents') for (const { chunk } of value.extents) this.#consider(chunk);
    else if ($case === 'setAttributes' && value.cut !== undefined) this.#consider(value.cut.chunk);
  }

  /** A server reported a replica: of a chunk that was begun with few members, perhaps. */
  reported(change: ReplicaChange): void {
    if (!('deleted' in change)) this.#consider(change.chunk);
  }

  /** Somebody waits to write it, and too few members are there: nobody who is away is waited for. */
  neededNow(chunk: ChunkHandle): void {
    const row = this.#parts.metadata.state.chunk(chunk);
    if (row === undefined || !this.#hasSpare(row)) return;
    this.#needed.add(chunk);
    this.#note(chunk, row);
    this.#work.wake();
  }

  /** A server registered: it may hold what is missing, or take it. */
  serversChanged(): void {
    this.#mustWalk = true;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work.close();
    await this.#tasks.drain();
  }

  #consider(chunk: ChunkHandle): void {
    const row = this.#parts.metadata.state.chunk(chunk);
    if (row !== undefined && row.members.length < row.goal) this.#note(chunk, row);
  }

  async #round(): Promise<number> {
    this.#noteLost();
    if (this.#mustWalk || this.#queue.takeOverflow()) await this.#walk();
    const nowMs = this.#parts.env.monotonicMs();
    while (this.#running.size < REPAIRS_MAX && !this.#stop.signal.aborted) {
      const chunk = this.#queue.next(nowMs, (one) => this.#running.has(one));
      if (chunk === undefined) break;
      this.#running.set(chunk, 0);
      this.#tasks.run(() => this.#repair(chunk));
    }
    return TICK_MS;
  }

  /** Each server that was away for the grace makes one walk. */
  #noteLost(): void {
    for (const { server } of this.#parts.metadata.state.servers()) {
      if (!this.#isLost(server)) this.#lost.delete(server);
      else if (!this.#lost.has(server)) {
        this.#lost.add(server);
        this.#mustWalk = true;
        this.#parts.env.log
          .of('repair')
          .warn({ server }, 'a server is lost: its chunks are copied to others');
      }
    }
  }

  #graceMsOf(chunk: ChunkHandle): number {
    return this.#needed.has(chunk) ? 0 : this.#parts.graceMs;
  }

  #isLost(server: ServerId, graceMs = this.#parts.graceMs): boolean {
    const { servers, env } = this.#parts;
    const nowMs = env.monotonicMs();
    if (servers.isReachable(server, nowMs)) return false;
    const heardMs = servers.get(server)?.lastHeardMs ?? this.#startedMs;
    return nowMs - heardMs >= graceMs;
  }

  async #walk(): Promise<void> {
    const { env, metadata } = this.#parts;
    this.#mustWalk = false;
    for (let after = 0; !this.#stop.signal.aborted; ) {
      const page = metadata.state.chunks(after, PAGE_SIZE);
      for (const { chunk, row } of page) this.#note(chunk, row);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SIZE) return;
      after = last.chunk;
      await env.sleep(0);
    }
  }

  #note(chunk: ChunkHandle, row: Chunk): void {
    const { env } = this.#parts;
    const copies = this.#copiesOf(chunk, row);
    const dueMs = repairDueMs(copies, row.goal, {
      nowMs: env.monotonicMs(),
      graceMs: this.#graceMsOf(chunk),
    });
    if (dueMs === undefined || !this.#isWritten(chunk, row) || !this.#hasSpare(row)) {
      this.#needed.delete(chunk);
      return;
    }
    this.#queue.note(chunk, copies.present, dueMs);
  }

  #copiesOf(chunk: ChunkHandle, { members }: Chunk): CopyCount {
    const graceMs = this.#graceMsOf(chunk);
    const lost = members.filter((member) => this.#isLost(member, graceMs)).length;
    return { present: members.length - lost, lost };
  }

  /** What nobody wrote is nowhere, and nothing is missing (P23). Who has not reported may hold it. */
  #isWritten(chunk: ChunkHandle, { members }: Chunk): boolean {
    const { locations } = this.#parts;
    return members.some(
      (member) => locations.replicaAt(member, chunk) !== undefined || !locations.isKnown(member),
    );
  }

  #hasSpare({ members }: Chunk): boolean {
    const { servers, env } = this.#parts;
    const nowMs = env.monotonicMs();
    for (const { identity } of servers.all()) {
      if (!members.includes(identity.server) && servers.isReachable(identity.server, nowMs)) return true;
    }
    return false;
  }

  async #repair(chunk: ChunkHandle): Promise<void> {
    const { env } = this.#parts;
    let target: ServerId | undefined;
    try {
      const row = this.#rowToRepair(chunk);
      target = row === undefined ? undefined : this.#targetFor(chunk, row);
      if (target === undefined) {
        if (row === undefined || !this.#hasSpare(row)) this.#forget(chunk);
        else this.#queue.failed(chunk, env.monotonicMs(), undefined);
        return;
      }
      this.#running.set(chunk, target);
      await this.#copyTo(chunk, target);
    } catch (error) {
      env.log
        .of('repair')
        .info({ chunk: hex(chunk), server: target, code: codeOf(error) }, 'a copy was not made');
      // The primary's answer may have been lost, or have come after the version that the copy is a member of.
      if (!this.#isMember(chunk, target)) this.#queue.failed(chunk, env.monotonicMs(), target);
    } finally {
      this.#running.delete(chunk);
      this.#work.wake();
    }
    if (this.#rowToRepair(chunk) === undefined) this.#forget(chunk);
    if (this.#isMember(chunk, target)) {
      this.#copyCount += 1;
      env.log.of('repair').info({ chunk: hex(chunk), server: target }, 'a copy was made');
      this.#parts.onRepaired(chunk);
    }
  }

  #forget(chunk: ChunkHandle): void {
    this.#queue.forget(chunk);
    this.#needed.delete(chunk);
  }

  async #copyTo(chunk: ChunkHandle, target: ServerId): Promise<void> {
    const { raiser, calls, locator, servers } = this.#parts;
    const { version, primary } = await raiser.ensureTeacher(chunk);
    if (primary === 0 || this.#rowToRepair(chunk) === undefined || this.#isMember(chunk, target)) return;
    servers.placed(target);
    await calls.teach(primary, { chunk, version, learner: locator.replica(target) }, this.#stop.signal);
  }

  /** Undefined: it is gone, or has what it needs. */
  #rowToRepair(chunk: ChunkHandle): Chunk | undefined {
    const row = this.#parts.metadata.state.chunk(chunk);
    return row !== undefined && this.#copiesOf(chunk, row).present < row.goal ? row : undefined;
  }

  #isMember(chunk: ChunkHandle, server: ServerId | undefined): boolean {
    const members = this.#parts.metadata.state.chunk(chunk)?.members ?? [];
    return server !== undefined && members.includes(server);
  }

  #targetFor(chunk: ChunkHandle, { members }: Chunk): ServerId | undefined {
    const { env, servers, locations, chunkSizeBytes } = this.#parts;
    const candidates = candidatesOf(servers, env.monotonicMs());
    const copiesTo = (server: ServerId) => [...this.#running.values()].filter((one) => one === server).length;
    const others = candidates.filter(({ server }) => !members.includes(server));
    return placeCopy(others, {
      racks: new Set(members.flatMap((member) => servers.get(member)?.identity.rack ?? [])),
      copiesTo,
      holds: (server) => locations.replicaAt(server, chunk) !== undefined,
      avoid: this.#queue.failedAt(chunk),
      chunkSizeBytes,
      random: () => env.random(),
    });
  }
}
