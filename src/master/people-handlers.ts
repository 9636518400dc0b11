import { NAME_BYTES_MAX } from '../base/constants.ts';
import { inodeId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { capacityOf, fileCapacityOf, inodesThatFit } from '../core/capacity.ts';
import type { LongCommand } from '../core/metadata/rows.ts';
import { memberCountMin } from '../core/placement.ts';
import { type Traffic, trafficOfAll } from '../core/recent-traffic.ts';
import type { ServerEntry } from '../core/server-table.ts';
import {
  LongCommandKind,
  type LongCommandStatus,
  type ServerStatus,
  type SystemReport,
} from '../rpc/messages.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';
import { reachableDisks } from './reachable-disks.ts';
import { messageOfTraffic } from './wire.ts';

type PeopleMethods = 'statFilesystem' | 'status' | 'listServers' | 'getLongCommand';

/** What people ask: how full, how well, who is there. */
export function peopleHandlers(parts: MasterParts): Pick<MasterHandlers, PeopleMethods> {
  const { env, config, storage, metadata, servers, sessions, leases, census, badReplicas, raiser } = parts;
  const { longCommands } = parts;
  const { state } = metadata;
  /** When something happened, on the wall clock. */
  const wallMs = (monotonicMs: number) => Math.round(env.nowMs() - (env.monotonicMs() - monotonicMs));

  return {
    statFilesystem: async () => {
      const goal = config.replication;
      const wish = { goal, memberCountMin: memberCountMin(goal, config.minReplicas) };
      const { totalBytes, freeBytes } = fileCapacityOf(reachableDisks(servers, env.monotonicMs()), wish);
      const inodeCountFree = inodesThatFit((await storage.disk.space(storage.directory)).freeBytes);
      return {
        message: {
          totalBytes,
          freeBytes,
          availableBytes: freeBytes,
          inodeCount: state.inodeCount + inodeCountFree,
          inodeCountFree,
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
          ...capacityOf(reachableDisks(servers, nowMs)),
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
          longCommands: state.longCommands().map((command) => longCommandStatus(command)),
          traffic: messageOfTraffic(together(nowMs)),
        },
      };
    },

    getLongCommand: async ({ message }) => {
      const command = state.longCommand(inodeId(message.id));
      return { message: { progress: command && longCommandStatus(command).progress } };
    },

    listServers: async () => {
      const nowMs = env.monotonicMs();
      return {
        message: {
          servers: [...servers.all()].map((entry) => statusOf(entry, nowMs)),
          traffic: messageOfTraffic(together(nowMs)),
        },
      };
    },
  };

  function longCommandStatus({ id, uid, startedAt, doneCount }: LongCommand): LongCommandStatus {
    return {
      id,
      kind: LongCommandKind.LONG_COMMAND_KIND_REMOVAL,
      uid,
      startedAtMs: startedAt.seconds * SECOND_MS + Math.floor(startedAt.nanos / 1e6),
      progress: { doneCount, count: longCommands.countOf(id) },
    };
  }

  function statusOf(entry: Readonly<ServerEntry<SystemReport>>, nowMs: number): ServerStatus {
    const { server, address, rack, host, pid, dataDirectory } = entry.identity;
    const traffic = trafficOf(entry, nowMs);
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
      traffic: traffic === undefined ? undefined : messageOfTraffic(traffic),
    };
  }

  function together(nowMs: number): Traffic {
    return trafficOfAll([...servers.all()].flatMap((entry) => trafficOf(entry, nowMs) ?? []));
  }

  function trafficOf(
    { identity, traffic }: Readonly<ServerEntry<SystemReport>>,
    nowMs: number,
  ): Traffic | undefined {
    return servers.isReachable(identity.server, nowMs) ? traffic.average : undefined;
  }
}
