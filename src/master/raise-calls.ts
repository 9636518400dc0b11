import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import type { MemberAnswer } from '../core/member-answers.ts';
import { cutFor } from '../core/metadata/chunk-rows.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import type { OrderOutcome } from '../core/raise.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport, VersionRecord } from '../rpc/messages.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { ExtentLocator } from './extent-locator.ts';
import { recordedVersionOf, replicaReportOf } from './wire.ts';

export interface RaiseCallsParts {
  readonly env: Env;
  readonly servers: ServerTable<SystemReport>;
  readonly calls: ChunkserverCalls;
  readonly locator: ExtentLocator;
}

/** What a raise asks a chunk's members, and orders them, with failures as answers. */
export class RaiseCalls {
  readonly #parts: RaiseCallsParts;

  constructor(parts: RaiseCallsParts) {
    this.#parts = parts;
  }

  /** For a replica that has `recorded` an earlier version. */
  recordOf(
    chunk: ChunkHandle,
    { version, members, primary, cuts, loss, frozen }: Chunk,
    recorded: number,
  ): VersionRecord {
    const cut = cutFor(cuts, recorded);
    return {
      chunk,
      version,
      members: members.map((member) => this.#parts.locator.replica(member)),
      primary,
      cutVersion: cut?.version,
      cutLength: cut?.length,
      loss,
      frozen,
    };
  }

  /** Also one whose heartbeats ended: its process may live, or a new one be there that has not registered yet. */
  async ask(member: ServerId, chunk: ChunkHandle, requestId: string): Promise<MemberAnswer> {
    const { env, servers, calls } = this.#parts;
    try {
      const { state, full } = await calls.checkVersion(member, chunk, requestId);
      if (state === undefined) return { kind: 'absent', full };
      if (state.lost) return { kind: 'lost' };
      return { kind: 'holds', replica: replicaReportOf(state), recorded: recordedVersionOf(state), full };
    } catch {
      return { kind: 'silent', awaited: servers.isAwaited(member, env.monotonicMs()) };
    }
  }

  async set(member: ServerId, record: VersionRecord, requestId: string): Promise<OrderOutcome> {
    try {
      const { recorded, state } = await this.#parts.calls.setVersion(member, record, requestId);
      // Recorded before, and only the answer was lost.
      return recorded || state?.version === record.version ? 'recorded' : 'failed';
    } catch {
      return 'failed';
    }
  }

  async create(
    member: ServerId,
    record: VersionRecord,
    copy: boolean,
    requestId: string,
  ): Promise<OrderOutcome> {
    try {
      await this.#parts.calls.create(member, record, copy, requestId);
      return 'recorded';
    } catch (error) {
      // A late first mutation may have made a replica meanwhile: the next raise finds it.
      this.#parts.env.log
        .of('raise')
        .info(
          { requestId, server: member, chunk: hex(record.chunk), code: codeOf(error) },
          'no replica made',
        );
      return 'failed';
    }
  }
}
