import type { Figure } from '../base/metrics.ts';
import type { PushBuffer } from '../core/push-buffer.ts';
import { bytesOf } from '../core/recent-traffic.ts';
import type { ReplicaStore, StoreSpace } from '../storage/replica-store.ts';
import type { BlockMender } from './block-mender.ts';
import type { Activity } from './counted.ts';

interface FigureParts {
  readonly store: ReplicaStore;
  readonly activity: Activity;
  readonly pushes: PushBuffer;
  readonly mender: BlockMender;
  readonly isRegistered: () => boolean;
}

/** What a chunkserver tells those who watch it. */
export function serverFigures({ store, activity, pushes, mender, isRegistered }: FigureParts): Figure[] {
  const figure = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: () => number | Promise<number>,
  ): Figure => ({ type, name: `gfs_chunkserver_${name}`, help, read });
  const space = (name: string, help: string, part: keyof StoreSpace): Figure =>
    figure('gauge', name, help, async () => (await store.space())[part]);
  return [
    figure('gauge', 'registered', 'Whether the master knows this server: 1, or 0.', () =>
      Number(isRegistered()),
    ),
    figure('gauge', 'chunks', 'Chunks of which this server has a replica.', () => store.chunkCount),
    space(
      'stored_bytes',
      'What the replicas take of the disk: those that this process has looked at, which a first report makes all.',
      'usedBytes',
    ),
    space('disk_total_bytes', 'Size of the disk of the data directory.', 'totalBytes'),
    space('disk_free_bytes', 'What is free on the disk of the data directory.', 'freeBytes'),
    space('disk_reserved_bytes', 'What stays free on that disk: no data is taken beyond it.', 'reserveBytes'),
    figure(
      'counter',
      'read_bytes_total',
      'Data given out, to clients and to other servers.',
      () => bytesOf(activity.counters.totals()).readBytes,
    ),
    figure(
      'counter',
      'written_bytes_total',
      'Data taken, from clients and from other servers: each copy counts at the server that it is for.',
      () => bytesOf(activity.counters.totals()).writtenBytes,
    ),
    figure(
      'gauge',
      'push_buffer_bytes',
      'Memory that data takes which was pushed and not yet written.',
      () => pushes.usedBytes,
    ),
    figure('gauge', 'push_buffer_limit_bytes', 'How much that may be.', () => pushes.limitBytes),
    figure(
      'counter',
      'corrupt_blocks_total',
      'Times that a block on this disk was found not to match its checksum.',
      () => store.corruptBlockCount,
    ),
    figure(
      'counter',
      'mended_blocks_total',
      'Such blocks that were put right from other members.',
      () => mender.mendedCount,
    ),
  ];
}
