import { GfsError } from '../base/errors.ts';
import { chunkHandle, type ServerId, serverId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type {
  HeartbeatRequest,
  HeartbeatResponse,
  LeaseExtension,
  RegisterRequest,
} from '../rpc/messages.ts';
import type { EvictionRequest } from './chunk-raiser.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';
import { replicaChangeOf } from './wire.ts';

type ServerMethods = 'register' | 'heartbeat' | 'chunkReport' | 'evict' | 'admit';

/** A server reports in full by itself when it registers; asked is only one that did not for so long. */
const REPORT_PATIENCE_MS = 5 * SECOND_MS;

/** The life of chunkservers. */
export function serverHandlers(parts: MasterParts): Pick<MasterHandlers, ServerMethods> {
  const {
    env,
    config,
    metadata,
    servers,
    locations,
    leases,
    garbage,
    raiser,
    mender,
    repairer,
    strayCopies,
  } = parts;
  /** The heartbeat stream that counts, of each server; the end of an older one says nothing. */
  const streams = new Map<ServerId, object>();

  return {
    register: async ({ message }) => {
      const server = await identify(message);
      const { address, rack, incarnation, bootId, host, pid, dataDirectory } = message;
      const identity = { server, address, rack, incarnation, bootId, host, pid, dataDirectory };
      const known = unwrap(servers.register(identity, env.monotonicMs()));
      if (known !== 'reconnected') {
        // What the process before had in memory, it took along; what it has on disk, the new one will say.
        leases.revokeAllOf(server);
        locations.forget(server);
      }
      env.log
        .of('servers')
        .info(
          { server, known, address, rack, incarnation, host, pid, dataDirectory },
          'a chunkserver is here',
        );
      garbage.wake();
      repairer.serversChanged();
      return {
        message: {
          server,
          filesystemId: config.filesystemId,
          chunkSizeBytes: config.chunkSizeBytes,
          heartbeatIntervalMs: config.heartbeatIntervalMs,
        },
      };
    },

    heartbeat: async (stream) => {
      const self = {};
      let from: { server: ServerId; incarnation: string; askedAtMs: number } | undefined;
      try {
        for await (const { message } of stream.requests) {
          const nowMs = env.monotonicMs();
          const server = serverId(message.server);
          unwrap(servers.beat(server, message.incarnation, message, nowMs));
          from ??= { server, incarnation: message.incarnation, askedAtMs: nowMs };
          if (from.server !== server) throw new GfsError('INVALID_ARGUMENT', 'one stream, one server');
          streams.set(server, self);
          const sendFullReport = wantsReport(server, nowMs - from.askedAtMs);
          if (sendFullReport) from.askedAtMs = nowMs;
          await stream.send(answerTo(message, server, { nowMs, sendFullReport }));
        }
      } finally {
        if (from !== undefined && streams.get(from.server) === self) {
          streams.delete(from.server);
          servers.disconnected(from.server, from.incarnation);
          env.log.of('servers').warn({ server: from.server }, 'the connection of a chunkserver ended');
        }
      }
    },

    chunkReport: async ({ message }) => {
      const server = registered(message);
      const changes = message.chunks.map(replicaChangeOf);
      const { full, reportId, last } = message;
      for (const change of changes) {
        if (metadata.state.chunk(change.chunk) === undefined) metadata.skipIds(change.chunk);
        mender.consider(server, change);
        strayCopies.consider(server, change);
      }
      if (full) locations.reportPart(server, { reportId, last, replicas: changes });
      else locations.reportChanges(server, changes);
      for (const change of changes) repairer.reported(change);
      return { message: {} };
    },

    evict: async ({ message }, { requestId }) => {
      const { chunk, version, accused, code } = message;
      const by = registered(message);
      const refused = refusalOf(code);
      const request = { version, by, accused: serverId(accused), refused, requestId };
      return { message: { version: await raiser.evict(chunkHandle(chunk), request) } };
    },

    admit: async ({ message }, { requestId }) => {
      const request = {
        version: message.version,
        by: registered(message),
        learner: serverId(message.learner),
        requestId,
      };
      return { message: { version: await raiser.admit(chunkHandle(message.chunk), request) } };
    },
  };

  /** The server that calls, if it is the process that registered. */
  function registered({ server, incarnation }: { server: number; incarnation: string }): ServerId {
    const id = serverId(server);
    if (servers.get(id)?.identity.incarnation === incarnation) return id;
    throw new GfsError('NOT_FOUND', `server ${id} with this incarnation is not registered`);
  }

  /** The server's id: its own, or a new one for a server that never joined a file system. */
  async function identify(request: RegisterRequest): Promise<ServerId> {
    if (request.incarnation === '' || request.address === '') {
      throw new GfsError('INVALID_ARGUMENT', 'a server registers with an incarnation and an address');
    }
    const isNew = request.server === 0;
    if (isNew !== (request.filesystemId === '')) {
      throw new GfsError('INVALID_ARGUMENT', 'a server has both, an id and a file system, or neither');
    }
    if (!isNew && request.filesystemId !== config.filesystemId) {
      throw new GfsError(
        'WRONG_FILESYSTEM',
        `the server belongs to file system ${request.filesystemId}, this is ${config.filesystemId}`,
      );
    }
    // The same process again, after the answer with its id was lost.
    const again = isNew ? serverOf(request.incarnation) : undefined;
    if (again !== undefined) return again;
    const server = isNew ? metadata.dealServer() : serverId(request.server);
    if (metadata.state.server(server) === undefined) {
      if (!isNew)
        env.log.of('servers').error({ server }, 'the log does not know a server of this file system');
      unwrap(await metadata.execute(INTERNAL, 'addServer', { server, host: request.host }));
    }
    return server;
  }

  function serverOf(incarnation: string): ServerId | undefined {
    for (const { identity } of servers.all()) {
      if (identity.incarnation === incarnation) return identity.server;
    }
    return undefined;
  }

  function wantsReport(server: ServerId, waitedMs: number): boolean {
    if (locations.isKnown(server) || locations.isReporting(server)) return false;
    return waitedMs >= REPORT_PATIENCE_MS;
  }

  function answerTo(
    { sequence, leases: uses }: HeartbeatRequest,
    server: ServerId,
    { nowMs, sendFullReport }: { nowMs: number; sendFullReport: boolean },
  ): HeartbeatResponse {
    const extensions: LeaseExtension[] = [];
    for (const { chunk: number, version, active } of uses) {
      const chunk = chunkHandle(number);
      if (!active) {
        leases.release(chunk, server, version);
        continue;
      }
      const row = metadata.state.chunk(chunk);
      if (!raiser.isBeyondLog(chunk) && leases.extend({ chunk, server, version }, row, nowMs)) {
        extensions.push({ chunk, version, durationMs: leases.durationMs });
      }
    }
    return { sequence, extensions, sendFullReport };
  }
}

/** Whether an accused member said itself that it cannot. */
function refusalOf(code: string): EvictionRequest['refused'] {
  switch (code) {
    case 'NO_SPACE':
      return 'no room';
    case 'IO_ERROR':
    case 'CORRUPT':
      return 'yes';
    default:
      return 'no';
  }
}
