import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import type { AppendEnds } from '../core/append-ends.ts';
import type { ChunkLocations } from '../core/chunk-locations.ts';
import type { GivenChunks } from '../core/given-chunks.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { MasterDefinition, SystemReport } from '../rpc/messages.ts';
import type { Handlers } from '../rpc/network.ts';
import type { BadReplicas } from './bad-replicas.ts';
import type { ChunkCensus } from './chunk-census.ts';
import type { ChunkCloner } from './chunk-cloner.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import type { EntryAnswers } from './entry-answers.ts';
import type { ExtentLocator } from './extent-locator.ts';
import type { AccessParts } from './file-access.ts';
import type { GarbageCollector } from './garbage-collector.ts';
import type { LengthSettler } from './length-settler.ts';
import type { LockKeeper } from './lock-keeper.ts';
import type { LongCommands } from './long-commands.ts';
import type { Mender } from './mender.ts';
import type { Metadata } from './metadata.ts';
import type { NewChunks } from './new-chunks.ts';
import type { NewsChannels } from './news-channels.ts';
import type { OrphanReaper } from './orphan-reaper.ts';
import type { TreeChecks } from './remove-tree.ts';
import type { Repairer } from './repairer.ts';
import type { SessionKeeper } from './session-keeper.ts';
import type { StrayCopies } from './stray-copies.ts';

export type MasterHandlers = Handlers<MasterDefinition>;

/** What is fixed while the master runs. */
export interface MasterConfig {
  readonly filesystemId: string;
  readonly chunkSizeBytes: number;
  readonly replication: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  /** A chunk is not written with fewer members, or all of a lower goal. */
  readonly minReplicas: number;
  /** Things that a long command does in one step, and a quarter of those that it looks at. */
  readonly longStepCount: number;
  readonly programVersion: string;
  readonly pid: number;
}

/** What the handlers share. Each takes the parts it uses. */
export interface MasterParts {
  readonly env: Env;
  readonly config: MasterConfig;
  /** On the wall clock, for people. */
  readonly startedAtMs: number;
  /** Where log and store lie. */
  readonly storage: { readonly disk: Disk; readonly directory: string };
  readonly metadata: Metadata;
  readonly servers: ServerTable<SystemReport>;
  readonly locations: ChunkLocations;
  readonly leases: LeaseTable;
  readonly sessions: SessionTable;
  readonly access: AccessParts;
  readonly sessionKeeper: SessionKeeper;
  /** Who is told of what others change. */
  readonly channels: NewsChannels;
  readonly entries: EntryAnswers;
  readonly settler: LengthSettler;
  readonly locks: LockKeeper;
  readonly calls: ChunkserverCalls;
  readonly raiser: ChunkRaiser;
  readonly cloner: ChunkCloner;
  readonly mender: Mender;
  readonly repairer: Repairer;
  readonly strayCopies: StrayCopies;
  readonly locator: ExtentLocator;
  readonly given: GivenChunks;
  readonly newChunks: NewChunks;
  readonly appendEnds: AppendEnds;
  readonly garbage: GarbageCollector;
  readonly reaper: OrphanReaper;
  readonly longCommands: LongCommands;
  /** What wants to know of each command as it is applied. */
  readonly checks: TreeChecks;
  readonly census: ChunkCensus;
  readonly badReplicas: BadReplicas;
}
