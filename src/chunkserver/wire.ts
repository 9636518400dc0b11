import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { MEMBERS_MAX } from '../core/primary.ts';
import type {
  AppendEntry,
  BlockSums,
  Member,
  Mutation,
  ReplicaState,
  VersionRecord,
} from '../core/replica-types.ts';
import {
  type BlockChecksumsResponse,
  type ChunkState,
  MutationKind,
  type Order,
  type TableEntry,
  type VersionRecord as VersionRecordMessage,
} from '../rpc/messages.ts';

/** The contract's messages and the core's shapes, one into the other. */

export function recordOf(message: VersionRecordMessage): VersionRecord {
  const { chunk, version, members, primary, cutVersion, cutLength, loss, frozen } = message;
  if (version < 1 || members.length === 0 || members.length > MEMBERS_MAX) {
    throw new GfsError(
      'INVALID_ARGUMENT',
      `version ${version} of chunk ${hex(chunk)} with ${members.length} members`,
    );
  }
  return { chunk, version, members, primary, cutVersion, cutLength, loss, frozen };
}

export function messageOfRecord(record: VersionRecord): VersionRecordMessage {
  return {
    ...record,
    members: record.members.map((member) => ({ ...member, incarnation: member.incarnation ?? '' })),
    cutVersion: record.cutVersion,
    cutLength: record.cutLength,
    frozen: record.frozen === true,
  };
}

export function chunkStateOf(state: ReplicaState): ChunkState {
  return {
    chunk: state.chunk,
    version: state.record.version,
    length: state.length,
    sealed: state.sealed,
    reconciled: state.reconciledVersion === state.record.version,
    whole: state.whole,
    reconciledVersion: state.reconciledVersion,
    orders: state.stream.version === state.reconciledVersion ? state.stream.nextSerial : 0,
    deleted: false,
    lost: false,
    restarted: state.standing === 'restarted',
    inCharge: false,
    record: undefined,
    learner: state.lesson !== undefined,
  };
}

const NOTHING = {
  version: 0,
  length: 0,
  sealed: false,
  reconciled: false,
  whole: false,
  reconciledVersion: 0,
  orders: 0,
  restarted: false,
  inCharge: false,
  record: undefined,
  learner: false,
};

export function deletedChunkState(chunk: number): ChunkState {
  return { chunk, ...NOTHING, deleted: true, lost: false };
}

/** There is a replica whose files cannot be used: not the same as none (P23). */
export function lostChunkState(chunk: number): ChunkState {
  return { chunk, ...NOTHING, deleted: false, lost: true };
}

export function messageOfSums(sums: BlockSums, whole: boolean): BlockChecksumsResponse {
  return {
    length: sums.length,
    sealed: sums.sealed,
    streamVersion: sums.stream.version,
    nextSerial: sums.stream.nextSerial,
    checksums: [...sums.checksums],
    table: sums.table.map(messageOfEntry),
    whole,
  };
}

export function sumsOf(message: BlockChecksumsResponse): BlockSums & { readonly whole: boolean } {
  const { length, sealed, checksums, table, whole } = message;
  const stream = { version: message.streamVersion, nextSerial: message.nextSerial };
  return { length, sealed, stream, checksums, table: table.map(entryOf), whole };
}

export function messageOfEntry(entry: AppendEntry): TableEntry {
  return { ...entry, records: [...(entry.records ?? [])] };
}

/** Without records it is that of a writer whose appends are not batches of numbered ones. */
export function entryOf({ records, ...entry }: TableEntry): AppendEntry {
  return records.length === 0 ? entry : { ...entry, records };
}

/** An order under its version. */
export function mutationOf(version: number, order: Order): Mutation {
  const { kind, serial, chunkOffset, checksums, writer, number, recordChecksum } = order;
  const lengths = order.recordLengths.length === 0 ? {} : { recordLengths: order.recordLengths };
  switch (kind) {
    case MutationKind.MUTATION_KIND_WRITE:
      return { kind: 'write', version, serial, chunkOffset, checksums };
    case MutationKind.MUTATION_KIND_ZERO:
      return { kind: 'zero', version, serial, chunkOffset, length: order.length };
    case MutationKind.MUTATION_KIND_APPEND:
      return {
        kind: 'append',
        ...{ version, serial, chunkOffset, checksums, writer, number, recordChecksum },
        ...lengths,
      };
    case MutationKind.MUTATION_KIND_SEAL:
      return { kind: 'seal', version, serial, length: chunkOffset };
    default:
      throw new GfsError('INVALID_ARGUMENT', `no order of kind ${kind}`);
  }
}

/** Whether orders or requests of this kind come with bytes. */
export function carriesData(kind: MutationKind): boolean {
  return kind === MutationKind.MUTATION_KIND_WRITE || kind === MutationKind.MUTATION_KIND_APPEND;
}

export function isMember(
  record: { readonly members: readonly Member[] },
  server: number | undefined,
): boolean {
  return record.members.some((member) => member.server === server);
}

export function noSuchChunk(chunk: number): GfsError {
  return new GfsError('NO_SUCH_CHUNK', `chunk ${hex(chunk)} is not here`);
}

export function wrongVersion(chunk: number, held: number, asked: number): GfsError {
  return new GfsError('VERSION_MISMATCH', `chunk ${hex(chunk)} is at version ${held}, not ${asked}`, {
    fields: { version: String(held) },
  });
}

export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
