import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { SECOND_MS } from '../base/units.ts';
import { type ChunkState, MasterDefinition } from '../rpc/messages.ts';
import type { Connection } from '../rpc/network.ts';
import type { ReplicaStore } from '../storage/replica-store.ts';
import type { ChunkTable } from './chunk-table.ts';
import { chunkStateOf, deletedChunkState, lostChunkState } from './wire.ts';

/** Chunks in one part of a report: some tens of KiB. */
const REPORT_CHUNKS_MAX = 2_000;
const REPORT_MS_MAX = 30 * SECOND_MS;

export interface ChunkReporterOptions {
  readonly env: Env;
  readonly store: ReplicaStore;
  readonly chunks: ChunkTable;
  readonly incarnation: string;
}

/**
 * Tells the master which replicas are here (§2.6.2): all of them, from a scan of the disk, and what changed since. One
 * report at a time, so that an older word never comes after a newer one.
 */
export class ChunkReporter {
  readonly #options: ChunkReporterOptions;
  #reportId = 0;

  constructor(options: ChunkReporterOptions) {
    this.#options = options;
  }

  /** Everything. Changes during the scan are in its last part, so they are not undone by what the scan saw before. */
  async full(connection: Connection, server: number, signal: AbortSignal): Promise<void> {
    const { store, chunks } = this.#options;
    this.#reportId += 1;
    const report = { server, incarnation: this.#options.incarnation, full: true, reportId: this.#reportId };
    // What changed before the scan, the scan will see.
    const before = chunks.takeChanged();
    try {
      const unseen = new Set(store.chunks());
      let part: ChunkState[] = [];
      for await (const state of store.states()) {
        unseen.delete(state.chunk);
        part.push(chunkStateOf(state));
        if (part.length < REPORT_CHUNKS_MAX) continue;
        await this.#send(connection, signal, { ...report, last: false, chunks: part });
        part = [];
      }
      const changed = chunks.takeChanged();
      for (const chunk of changed) before.add(chunk);
      for (const chunk of unseen) changed.add(chunk);
      part.push(...(await this.#statesOf(changed)));
      await this.#send(connection, signal, { ...report, last: true, chunks: part });
    } catch (error) {
      chunks.giveBackChanged(before);
      throw error;
    }
  }

  async increment(connection: Connection, server: number, signal: AbortSignal): Promise<void> {
    const { chunks, incarnation } = this.#options;
    if (!chunks.hasChanges) return;
    const changed = chunks.takeChanged();
    try {
      const states = await this.#statesOf(changed);
      for (let start = 0; start < states.length; start += REPORT_CHUNKS_MAX) {
        const part = states.slice(start, start + REPORT_CHUNKS_MAX);
        const last = start + REPORT_CHUNKS_MAX >= states.length;
        await this.#send(connection, signal, {
          server,
          incarnation,
          full: false,
          reportId: 0,
          last,
          chunks: part,
        });
      }
    } catch (error) {
      chunks.giveBackChanged(changed);
      throw error;
    }
  }

  async #statesOf(chunks: Iterable<number>): Promise<ChunkState[]> {
    const states: ChunkState[] = [];
    for (const chunk of chunks) {
      try {
        const replica = await this.#options.store.get(chunk);
        states.push(replica === undefined ? deletedChunkState(chunk) : chunkStateOf(replica.state));
      } catch (error) {
        if (codeOf(error) !== 'CORRUPT') throw error;
        states.push(lostChunkState(chunk));
      }
    }
    return states;
  }

  async #send(connection: Connection, signal: AbortSignal, report: Report): Promise<void> {
    const deadlineMs = this.#options.env.monotonicMs() + REPORT_MS_MAX;
    await connection.call(MasterDefinition.methods.chunkReport, report, { deadlineMs, signal });
  }
}

interface Report {
  server: number;
  incarnation: string;
  full: boolean;
  reportId: number;
  last: boolean;
  chunks: ChunkState[];
}
