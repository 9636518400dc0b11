import { NAME_BYTES_MAX } from '../base/constants.ts';
import type { ServerEntry } from '../core/server-table.ts';
import type { ServerStatus, SystemReport } from '../rpc/messages.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type PeopleMethods = 'statFilesystem' | 'status' | 'listServers';

/** Inodes are limited by disk space alone; statfs(2) wants a number nevertheless. */
const INODES_FREE = 2 ** 32;

/** What people ask: how full, how well, who is there. */
export function peopleHandlers(parts: MasterParts): Pick<MasterHandlers, PeopleMethods> {
  const { env, config, metadata, servers, sessions, leases, census, badReplicas, raiser } = parts;
  const { state } = metadata;
  /** When something happened, on the wall clock. */
  const wallMs = (monotonicMs: number) => Math.round(env.nowMs() - (env.monotonicMs() - monotonicMs));

  return {
    /** Bytes of files: what servers keep for others is not counted, and each byte takes `replication` times its room. */
    statFilesystem: async () => {
      const { totalBytes, freeBytes } = capacity();
      const total = Math.floor(totalBytes / config.replication);
      const free = Math.floor(freeBytes / config.replication);
      return {
        message: {
          totalBytes: total,
          freeBytes: free,
          availableBytes: free,
          inodeCount: state.inodeCount + INODES_FREE,
          inodeCountFree: INODES_FREE,
          nameLengthMax: NAME_BYTES_MAX,
        },
      };
    },

    status: async () => {
      const { underGoal, lost } = await census.take();
      const nowMs = env.monotonicMs();
      let serverCountAlive = 0;
      for (const { identity } of servers.all())
        if (servers.isReachable(identity.server, nowMs)) serverCountAlive += 1;
      return {
        message: {
          filesystemId: config.filesystemId,
          chunkSizeBytes: config.chunkSizeBytes,
          replication: config.replication,
          startedAtMs: parts.startedAtMs,
          inodeCount: state.inodeCount,
          chunkCount: state.chunkCount,
          logPosition: state.position,
          checkpointPosition: metadata.checkpointPosition,
          sessionCount: sessions.count,
          serverCount: state.servers().length,
          serverCountAlive,
          ...capacity(),
          chunkCountUnderGoal: underGoal,
          chunkCountLost: lost,
          sessions: [...sessions.all()].map(({ session, host, program, files, renewedAtMs }) => ({
            session,
            host,
            program,
            openFileCount: files.size,
            renewedAtMs: wallMs(renewedAtMs),
          })),
          version: config.programVersion,
          pid: config.pid,
          badReplicaReportCount: badReplicas.count,
          chunkCountBeyondLog: raiser.beyondLogCount,
        },
      };
    },

    listServers: async () => {
      const nowMs = env.monotonicMs();
      return { message: { servers: [...servers.all()].map((entry) => statusOf(entry, nowMs)) } };
    },
  };

  function capacity(): { totalBytes: number; freeBytes: number; usedBytes: number } {
    const nowMs = env.monotonicMs();
    const sum = { totalBytes: 0, freeBytes: 0, usedBytes: 0 };
    for (const { identity, space } of servers.all()) {
      if (space === undefined || !servers.isReachable(identity.server, nowMs)) continue;
      sum.totalBytes += Math.max(0, space.totalBytes - space.reserveBytes);
      sum.freeBytes += Math.max(0, space.freeBytes - space.reserveBytes);
      sum.usedBytes += space.usedBytes;
    }
    return sum;
  }

  function statusOf(entry: Readonly<ServerEntry<SystemReport>>, nowMs: number): ServerStatus {
    const { server, address, rack, host, pid, dataDirectory } = entry.identity;
    return {
      server,
      address,
      rack,
      alive: servers.isReachable(server, nowMs),
      lastHeartbeatMs: wallMs(entry.lastHeardMs),
      space: entry.space,
      activeOperations: entry.activeOperations,
      load: entry.load,
      operations: [...entry.operations.values()],
      report: entry.report,
      leaseCount: leases.countOf(server, nowMs),
      host,
      pid,
      dataDirectory,
      corruptBlockCount: entry.corruptBlockCount,
    };
  }
}
