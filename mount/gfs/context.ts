import type { Env } from '../../src/base/env.ts';
import type { GfsClient } from '../../src/client/api.ts';
import type { RecentChanges } from '../../src/client/recent-changes.ts';
import type { Timeouts } from './attributes.ts';
import { Callers } from './callers.ts';
import { type AccessTimeRules, CountedReads, RELATIME } from './counted-reads.ts';
import { KernelBelief } from './kernel-belief.ts';
import { OpenFiles } from './open-files.ts';
import { ReadyDirectories } from './ready-directories.ts';
import { RemovedNodes } from './removed-nodes.ts';

/** What the parts of a mounted file system share. */
export interface GfsContext {
  readonly env: Env;
  readonly client: GfsClient;
  readonly timeouts: Timeouts;
  readonly belief: KernelBelief;
  readonly ready: ReadyDirectories;
  readonly reads: CountedReads;
  readonly callers: Callers;
  readonly changes: RecentChanges;
  readonly openFiles: OpenFiles;
  readonly removed: RemovedNodes;
  /** Removals are answered when they are on the master's disk. */
  readonly syncsNames: boolean;
}

export interface ContextOptions {
  readonly env: Env;
  readonly client: GfsClient;
  readonly timeouts: Timeouts;
  /** As `dirsync` and `sync` want it. */
  readonly syncsNames?: boolean;
  /** As `noatime` and the like want it. Default: as `relatime` does. */
  readonly accessTimes?: AccessTimeRules;
}

export function createContext(options: ContextOptions): GfsContext {
  const { env, client, timeouts, syncsNames = false, accessTimes = RELATIME } = options;
  const openFiles = new OpenFiles();
  const belief = new KernelBelief({ env, client, timeouts, openFiles });
  return {
    ...{ env, client, timeouts, syncsNames, callers: new Callers(env), changes: client.changes },
    reads: new CountedReads(client, accessTimes),
    belief,
    ready: new ReadyDirectories({ client, belief }),
    openFiles,
    removed: new RemovedNodes(),
  };
}
