import type { Figure, Reading } from '../base/metrics.ts';
import { SECOND_MS } from '../base/units.ts';
import { capacityOf } from '../core/capacity.ts';
import { Latencies } from '../core/latencies.ts';
import { bytesOf } from '../core/recent-traffic.ts';
import type { Liveness } from '../core/server-table.ts';
import type { MasterParts } from './master-parts.ts';
import type { MetadataEngine } from './metadata-engine.ts';
import { reachableDisks } from './reachable-disks.ts';

/** What the master tells those who watch it. */
export function masterFigures(engine: MetadataEngine, parts: MasterParts): Figure[] {
  return [
    ...metadataFigures(engine),
    ...clientFigures(parts),
    ...serverFigures(parts),
    ...operationFigures(parts),
    ...chunkFigures(parts),
  ];
}

function metadataFigures(engine: MetadataEngine): Figure[] {
  const { state } = engine;
  const metadata = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: () => number | undefined,
  ): Figure => ({ type, name: `gfs_master_${name}`, help, read });
  return [
    metadata('gauge', 'inodes', 'Files, directories and whatever else has an inode.', () => state.inodeCount),
    metadata('gauge', 'chunks', 'Chunks that files are made of.', () => state.chunkCount),
    metadata(
      'counter',
      'log_commands_total',
      'Commands in the operation log since the file system was made.',
      () => state.position,
    ),
    metadata(
      'counter',
      'log_written_bytes_total',
      'Bytes appended to the operation log by this process.',
      () => engine.footprint.loggedBytes,
    ),
    metadata(
      'gauge',
      'store_size_bytes',
      'What the tables take of the disk.',
      () => engine.footprint.storeBytes,
    ),
    metadata(
      'gauge',
      'checkpoint_commands',
      'Commands of the log that the newest checkpoint has; a start without the tables replays the rest.',
      () => engine.checkpointPosition,
    ),
    metadata(
      'gauge',
      'checkpoint_timestamp_seconds',
      'When this process wrote its newest checkpoint, in seconds since 1970.',
      () => {
        const { checkpointedAtMs } = engine.footprint;
        return checkpointedAtMs === undefined ? undefined : checkpointedAtMs / SECOND_MS;
      },
    ),
  ];
}

function clientFigures({ sessions, leases }: MasterParts): Figure[] {
  return [
    {
      type: 'gauge',
      name: 'gfs_master_sessions',
      help: 'Mounts and other clients that have a session.',
      read: () => sessions.count,
    },
    {
      type: 'gauge',
      name: 'gfs_master_open_files',
      help: 'Files that clients have open.',
      read: () => {
        let count = 0;
        for (const { files } of sessions.all()) count += files.size;
        return count;
      },
    },
    {
      type: 'gauge',
      name: 'gfs_master_leases',
      help: 'Chunks that have a primary, which may order mutations.',
      read: () => leases.size,
    },
  ];
}

function serverFigures({ env, servers }: MasterParts): Figure[] {
  const space = (name: string, help: string, part: keyof ReturnType<typeof capacityOf>): Figure => ({
    type: 'gauge',
    name: `gfs_master_space_${name}_bytes`,
    help,
    read: () => capacityOf(reachableDisks(servers, env.monotonicMs()))[part],
  });
  return [
    {
      type: 'gauge',
      name: 'gfs_master_chunkservers',
      help: 'Chunkservers, by what is heard of them: alive, suspect (silent for a while), gone.',
      read: () => {
        const nowMs = env.monotonicMs();
        const counts: Record<Liveness, number> = { alive: 0, suspect: 0, gone: 0 };
        for (const { identity } of servers.all()) counts[servers.livenessOf(identity.server, nowMs)] += 1;
        return Object.entries(counts).map(([state, value]) => ({ labels: { state }, value }));
      },
    },
    space('total', 'Size of the disks of all chunkservers that can be reached.', 'totalBytes'),
    space('free', 'What is free on the disks of all chunkservers that can be reached.', 'freeBytes'),
    space(
      'used',
      'What replicas take at all chunkservers that can be reached: every copy counts.',
      'usedBytes',
    ),
  ];
}

/** What adds up over servers; which of them is slow their own figures tell. */
function operationFigures({ servers }: MasterParts): Figure[] {
  const operations = () => [...servers.operationsOfAll()];
  const counter = (name: string, help: string, read: () => Reading): Figure => ({
    type: 'counter',
    name: `gfs_master_chunkserver_${name}_total`,
    help,
    read,
  });
  return [
    {
      type: 'histogram',
      name: 'gfs_master_chunkserver_operation_duration_seconds',
      help: 'How long operations took at chunkservers, all together, as their heartbeats told this process.',
      read: () =>
        operations().map((one) => ({
          labels: { operation: one.operation },
          durations: new Latencies([one]),
        })),
    },
    counter('operation_errors', 'Such operations that failed or were refused.', () =>
      operations().map(({ operation, errorCount }) => ({ labels: { operation }, value: errorCount })),
    ),
    counter(
      'read_bytes',
      'Data that chunkservers gave out, to clients and to one another.',
      () => bytesOf(operations()).readBytes,
    ),
    counter(
      'written_bytes',
      'Data that chunkservers took: each copy counts at the server that it is for.',
      () => bytesOf(operations()).writtenBytes,
    ),
  ];
}

function chunkFigures({ census, raiser, repairer, badReplicas }: MasterParts): Figure[] {
  return [
    {
      type: 'gauge',
      name: 'gfs_master_chunks_below_goal',
      help: 'Chunks with fewer replicas within reach than they should have; counted every ten seconds at most.',
      read: () => census.recent()?.underGoal,
    },
    {
      type: 'gauge',
      name: 'gfs_master_chunks_lost',
      help: 'Chunks without any replica within reach.',
      read: () => census.recent()?.lost,
    },
    {
      type: 'gauge',
      name: 'gfs_master_chunks_beyond_log',
      help: 'Chunks of which servers have versions that the log lost: nothing is written to them before they are recovered.',
      read: () => raiser.beyondLogCount,
    },
    {
      type: 'counter',
      name: 'gfs_master_version_raises_total',
      help: 'Versions of chunks that were raised, for a new primary or other members.',
      read: () => raiser.raiseCount,
    },
    {
      type: 'counter',
      name: 'gfs_master_repairs_total',
      help: 'Copies that were made to replace lost ones.',
      read: () => repairer.copyCount,
    },
    {
      type: 'gauge',
      name: 'gfs_master_repairs_in_flight',
      help: 'Copies that are being made to replace lost ones.',
      read: () => repairer.runningCount,
    },
    {
      type: 'counter',
      name: 'gfs_master_bad_replica_reports_total',
      help: 'Times that a client or a server found a replica bad.',
      read: () => badReplicas.count,
    },
  ];
}
