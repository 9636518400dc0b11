import { codeOf, type ErrorCode, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { ChunkState, SetVersionResult, VersionRecord } from '../rpc/messages.ts';
import { cloneReplica } from './clone.ts';
import type { ChunkserverHandlers, ServerParts } from './server-parts.ts';
import { chunkStateOf, lostChunkState, messageOfRecord, recordOf } from './wire.ts';

type VersionMethods =
  | 'create'
  | 'setVersion'
  | 'checkVersion'
  | 'clone'
  | 'cloneHere'
  | 'delete'
  | 'deleteStrays'
  | 'systemReport';

/** What the master orders and asks. */
export function versionHandlers(parts: ServerParts): Pick<ChunkserverHandlers, VersionMethods> {
  return {
    create: async ({ message }) => {
      if (message.record === undefined) throw new GfsError('INVALID_ARGUMENT', 'a replica without a record');
      await parts.chunks.create(recordOf(message.record), message.copy ? 'copy' : 'first');
      return { message: {} };
    },

    /** Each record by itself: one that is refused does not keep the others back. */
    setVersion: async ({ message }) => {
      checkIncarnation(parts, message);
      return {
        message: { results: await Promise.all(message.records.map((record) => setVersion(parts, record))) },
      };
    },

    checkVersion: async ({ message }) => {
      const chunks: ChunkState[] = [];
      for (const chunk of message.chunks) {
        const state = await stateOf(parts, chunk);
        if (state !== undefined) chunks.push(state);
      }
      // Asked for no chunk, it is asked whether it lives.
      const full = message.chunks.length > 0 && !(await parts.hasRoomForRecords());
      return { message: { chunks, server: parts.self() ?? 0, incarnation: parts.incarnation, full } };
    },

    clone: async ({ message: { record, source } }) => {
      if (record === undefined || source === undefined) {
        throw new GfsError('INVALID_ARGUMENT', 'a clone needs a record and a source');
      }
      return { message: { length: await cloneReplica(parts, recordOf(record), source.address) } };
    },

    cloneHere: async ({ message }) => {
      // One that comes late would be a chunk that nobody deletes any more.
      checkIncarnation(parts, message);
      if (message.record === undefined) throw new GfsError('INVALID_ARGUMENT', 'a clone without a record');
      await parts.chunks.clone(recordOf(message.record), message.source);
      return { message: {} };
    },

    delete: async ({ message }) => {
      await Promise.all(message.chunks.map((chunk) => parts.chunks.delete(chunk)));
      return { message: {} };
    },

    deleteStrays: async ({ message: { copies } }) => {
      await Promise.all(copies.map(({ chunk, version }) => parts.chunks.deleteStray(chunk, version)));
      return { message: {} };
    },

    systemReport: async () => {
      if (parts.systemReporter === undefined) {
        throw new GfsError('UNIMPLEMENTED', 'this server does not report on its machine');
      }
      const report = await parts.systemReporter.collect();
      return { message: { report: { ...report, chunkCount: parts.chunkCount() } } };
    },
  };
}

/** Meant for a process that is gone; what that would have promised, this one cannot (P2). */
function checkIncarnation({ incarnation }: ServerParts, order: { readonly incarnation: string }): void {
  if (order.incarnation === incarnation) return;
  throw new GfsError('WRONG_SERVICE', 'this order is for another incarnation of this server');
}

async function stateOf(parts: ServerParts, chunk: number): Promise<ChunkState | undefined> {
  try {
    const held = await parts.chunks.holdOrDeny(chunk);
    if (held === undefined) return undefined;
    if (!held.replica.usable) return lostChunkState(chunk);
    const { state } = held.replica;
    const record = messageOfRecord(state.record);
    return { ...chunkStateOf(state), inCharge: held.role !== undefined, record };
  } catch (error) {
    if (codeOf(error) === 'CORRUPT') return lostChunkState(chunk);
    throw error;
  }
}

async function setVersion(parts: ServerParts, message: VersionRecord): Promise<SetVersionResult> {
  const { chunk, version } = message;
  const refused = (code: ErrorCode, state?: ChunkState) => ({ chunk, recorded: false, code, state });
  try {
    const held = parts.chunks.peek(chunk) ?? (await parts.chunks.hold(chunk));
    if (held === undefined) return refused('NO_SUCH_CHUNK');
    try {
      await parts.chunks.setVersion(held, recordOf(message));
    } catch (error) {
      if (codeOf(error) !== 'VERSION_MISMATCH') throw error;
      return refused('VERSION_MISMATCH', chunkStateOf(held.replica.state));
    }
    return { chunk, recorded: true, code: '', state: chunkStateOf(held.replica.state) };
  } catch (error) {
    const fields = { chunk: hex(chunk), version, code: codeOf(error), error: messageOf(error) };
    parts.env.log.of('raise').warn(fields, 'a version could not be recorded');
    return refused(codeOf(error));
  }
}
