import type { Figure } from '../base/metrics.ts';
import type { BlockCache } from './block-cache.ts';
import type { Session } from './session.ts';
import type { WriteBudget } from './write-budget.ts';

interface FigureParts {
  readonly session: Session;
  readonly cache: BlockCache;
  readonly budget: WriteBudget;
}

/** What a client tells those who watch its process. */
export function clientFigures({ session, cache, budget }: FigureParts): Figure[] {
  const figure = (type: 'counter' | 'gauge', name: string, help: string, read: () => number): Figure => ({
    ...{ type, help, read },
    name: `gfs_client_${name}`,
  });
  return [
    figure('gauge', 'session_ready', 'Whether the session is open and the master answers: 1, or 0.', () =>
      Number(session.missing === undefined),
    ),
    figure('gauge', 'open_files', 'Files that are open at the master.', () => session.openFileCount),
    figure('counter', 'cache_hits_total', 'Reads that the block cache answered.', () => cache.hitCount),
    figure('counter', 'cache_misses_total', 'Reads that chunkservers were asked for.', () => cache.missCount),
    figure('gauge', 'cache_bytes', 'Memory that the block cache takes.', () => cache.usedBytes),
    figure(
      'gauge',
      'write_behind_bytes',
      'Data that was taken from writers and is not at the cluster yet.',
      () => budget.usedBytes,
    ),
    figure(
      'gauge',
      'write_behind_limit_bytes',
      'How much that may be; writers wait at it.',
      () => budget.limitBytes,
    ),
  ];
}
