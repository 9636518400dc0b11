import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import type { PushBuffer } from '../core/push-buffer.ts';
import type { ChunkserverDefinition, MutateRequest } from '../rpc/messages.ts';
import type { Handlers } from '../rpc/network.ts';
import type { BlockMender } from './block-mender.ts';
import type { ChunkTable } from './chunk-table.ts';
import type { HeldChunk } from './held-chunk.ts';
import type { Peers } from './peers.ts';
import type { SystemReporter } from './system-reporter.ts';
import { noSuchChunk, recordOf } from './wire.ts';

/** What the handlers share. */
export interface ServerParts {
  readonly env: Env;
  readonly chunks: ChunkTable;
  readonly pushes: PushBuffer;
  readonly peers: Peers;
  readonly mender: BlockMender;
  /** NO_SPACE, with this server's id, unless a mutation of this size fits on its disk. Nearly always nothing to wait for. */
  readonly checkRoom: (lengthBytes: number) => Promise<void> | undefined;
  readonly hasRoomForRecords: () => Promise<boolean>;
  readonly chunkCount: () => number;
  readonly systemReporter: SystemReporter | undefined;
  /** New at each start of the process (P2). */
  readonly incarnation: string;
  /** Undefined until the master has dealt one. */
  readonly self: () => number | undefined;
  /** The most that one mutation may change: known when the master has told the size of chunks. */
  readonly mutationBytesMax: () => number;
}

export type ChunkserverHandlers = Handlers<typeof ChunkserverDefinition>;

/** The chunk at just this version; NO_SUCH_CHUNK or VERSION_MISMATCH otherwise. */
export async function heldAt(parts: ServerParts, chunk: number, version: number): Promise<HeldChunk> {
  const held = parts.chunks.peek(chunk) ?? (await parts.chunks.hold(chunk));
  if (held === undefined) throw noSuchChunk(chunk);
  held.checkVersion(version);
  return held;
}

/**
 * The chunk at this version, begun with the first mutation's record if it is not here (P23). Not by a process that came after
 * those which the record names: the one before may have had it, and lost it with the power (P2, P5).
 */
export async function heldOrBegun(
  parts: ServerParts,
  { chunk, version, first }: Pick<MutateRequest, 'chunk' | 'version' | 'first'>,
): Promise<HeldChunk> {
  const self = parts.self();
  const me = first?.members.find(({ server }) => server === self);
  const mayBegin = me === undefined || me.incarnation === parts.incarnation;
  const record = first !== undefined && mayBegin ? recordOf(first) : undefined;
  const held = await parts.chunks.holdOrBegin(chunk, version, record);
  if (held === undefined) throw noSuchChunk(chunk);
  return held;
}

export function notPrimary(held: HeldChunk): GfsError {
  const { primary } = held.replica.state.record;
  return new GfsError('NOT_PRIMARY', `this server is not primary of version ${held.version} (any more)`, {
    fields: { primary: String(primary) },
  });
}
