import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import { Background } from './background.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { Metadata } from './metadata.ts';

const RETRY_DELAY_MS = 1 * SECOND_MS;
/** New garbage gathers for so long, so that servers and log get one order for many chunks. */
const GATHER_MS = 1 * SECOND_MS;
/** Chunks in a round: a server deletes so many files at one order, and the log gets one command for them. */
const PAGE_SIZE = 256;
/** Between rounds, so that clients' work comes first. */
const PAUSE_MS = 10;

/**
 * Deletes replicas of chunks that no file refers to any more (§4.4). Which chunks these are is durable: a row stays
 * until every server that had a replica said that it is gone, however often either side restarts meanwhile.
 */
export class GarbageCollector {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #servers: ServerTable<SystemReport>;
  readonly #calls: ChunkserverCalls;
  readonly #isMaking: (chunk: ChunkHandle) => boolean;
  readonly #work: Background;
  /** Where the walk through the table goes on; a member that is away must not hold up the chunks behind. */
  #after: ChunkHandle | 0 = 0;
  /** Whether a server refused an order of this walk, or did not answer. */
  #refused = false;
  /** Who acknowledged, of chunks where another member has not. */
  readonly #acknowledged = new Map<ChunkHandle, Set<ServerId>>();

  constructor(parts: {
    env: Env;
    metadata: Metadata;
    servers: ServerTable<SystemReport>;
    calls: ChunkserverCalls;
    /** It may become a chunk (P20). */
    isMaking: (chunk: ChunkHandle) => boolean;
  }) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#servers = parts.servers;
    this.#calls = parts.calls;
    this.#isMaking = parts.isMaking;
    this.#work = new Background(parts.env, {
      name: 'deleting chunks of no use',
      component: 'garbage',
      retryDelayMs: RETRY_DELAY_MS,
      round: () => this.#round(),
    });
  }

  /** There is new garbage, or a server came back that may hold some. */
  wake(): void {
    this.#work.wake(GATHER_MS);
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  async #round(): Promise<number | undefined> {
    const { state } = this.#metadata;
    const found = state.garbage(this.#after, PAGE_SIZE);
    const isLast = found.length < PAGE_SIZE;
    // A removal that a loss of power may still undo must not have cost the bytes.
    if (found.length > 0) await this.#metadata.synced();
    // What is being made now is no garbage yet, and what was made meanwhile none any more.
    const page = found.filter(({ chunk }) => !this.#isMaking(chunk) && state.isGarbage(chunk));
    const nowMs = this.#env.monotonicMs();
    const orders = new Map<ServerId, ChunkHandle[]>();
    for (const { chunk, members } of page) {
      for (const member of members) {
        const done = this.#acknowledged.get(chunk)?.has(member) ?? false;
        if (done || !this.#servers.isReachable(member, nowMs)) continue;
        const chunks = orders.get(member);
        if (chunks === undefined) orders.set(member, [chunk]);
        else chunks.push(chunk);
      }
    }
    await Promise.all([...orders].map(([server, chunks]) => this.#order(server, chunks)));
    const forgotten = page.filter(({ chunk, members }) => {
      const acknowledged = this.#acknowledged.get(chunk);
      return members.every((member) => acknowledged?.has(member) ?? false);
    });
    if (forgotten.length > 0) {
      const chunks = forgotten.map(({ chunk }) => chunk);
      unwrap(await this.#metadata.execute(INTERNAL, 'forgetGarbage', { chunks }));
      for (const chunk of chunks) this.#acknowledged.delete(chunk);
    }
    this.#after = isLast ? 0 : (found.at(-1)?.chunk ?? 0);
    if (!isLast) return PAUSE_MS;
    // Members that are away wake the collector when they register; a refused order is tried again.
    const again = this.#refused;
    this.#refused = false;
    return again ? RETRY_DELAY_MS : undefined;
  }

  async #order(server: ServerId, chunks: ChunkHandle[]): Promise<void> {
    try {
      await this.#calls.delete(server, chunks);
    } catch (error) {
      this.#env.log
        .of('garbage')
        .info({ server, count: chunks.length, code: codeOf(error) }, 'chunks were not deleted yet');
      this.#refused = true;
      return;
    }
    for (const chunk of chunks) {
      const acknowledged = this.#acknowledged.get(chunk);
      if (acknowledged === undefined) this.#acknowledged.set(chunk, new Set([server]));
      else acknowledged.add(server);
    }
  }
}
