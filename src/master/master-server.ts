import {
  HEARTBEAT_INTERVAL_MS,
  LEASE_DURATION_MS,
  MIN_REPLICAS_DEFAULT,
  REPAIR_GRACE_MS,
  SERVER_SILENCE_MS,
  SESSION_TIMEOUT_MS,
} from '../base/constants.ts';
import { type ChunkHandle, chunkHandle } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { AppendEnds } from '../core/append-ends.ts';
import { ChunkLocations } from '../core/chunk-locations.ts';
import { tellOfCommand } from '../core/command-news.ts';
import { GivenChunks } from '../core/given-chunks.ts';
import { LeaseTable } from '../core/lease-table.ts';
import { NO_RULES } from '../core/rules.ts';
import { ServerTable } from '../core/server-table.ts';
import { SessionTable } from '../core/session-table.ts';
import { MasterDefinition, type SystemReport } from '../rpc/messages.ts';
import { bindService, type Listener } from '../rpc/network.ts';
import { accessTimeHandlers } from './access-time-handlers.ts';
import { BadReplicas } from './bad-replicas.ts';
import { ChunkCensus } from './chunk-census.ts';
import { ChunkCloner } from './chunk-cloner.ts';
import { chunkHandlers } from './chunk-handlers.ts';
import { ChunkRaiser } from './chunk-raiser.ts';
import { ChunkserverCalls } from './chunkserver-calls.ts';
import { EntryAnswers } from './entry-answers.ts';
import { ExtentLocator } from './extent-locator.ts';
import { fenceFile } from './file-fence.ts';
import { fileHandlers } from './file-handlers.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { heardAnswers } from './heard-answers.ts';
import { LengthSettler } from './length-settler.ts';
import { lockHandlers } from './lock-handlers.ts';
import { LockKeeper } from './lock-keeper.ts';
import { LongCommands } from './long-commands.ts';
import { masterFigures } from './master-figures.ts';
import type { MasterOptions, RunningMaster } from './master-options.ts';
import type { MasterConfig, MasterHandlers, MasterParts } from './master-parts.ts';
import { Mender } from './mender.ts';
import { MetadataEngine } from './metadata-engine.ts';
import { namespaceHandlers } from './namespace-handlers.ts';
import { NewChunks } from './new-chunks.ts';
import { NewsChannels } from './news-channels.ts';
import { OrphanReaper } from './orphan-reaper.ts';
import { peopleHandlers } from './people-handlers.ts';
import { TreeChecks } from './remove-tree.ts';
import { Repairer } from './repairer.ts';
import { serverHandlers } from './server-handlers.ts';
import { sessionHandlers } from './session-handlers.ts';
import { SessionKeeper } from './session-keeper.ts';
import { shareHandlers } from './share-handlers.ts';
import { StrayCopies } from './stray-copies.ts';
import { xattrHandlers } from './xattr-handlers.ts';

/** What chunkservers have after a start of the master to find it. */
const SERVERS_RETURN_MS = 10 * SECOND_MS;
/** Everybody else waits for one step of a long command: a millisecond or two. */
const LONG_STEP_COUNT = 128;

/** The master: recovers its metadata, then answers clients and chunkservers until it is closed. */
export class MasterServer implements RunningMaster {
  readonly #engine: MetadataEngine;
  readonly #parts: MasterParts;
  readonly #listener: Listener;
  #closing: Promise<void> | undefined;

  /** ALREADY_RUNNING: another process has the data directory. CONFIG_MISMATCH: a key was fixed at another value. */
  static async start(options: MasterOptions): Promise<MasterServer> {
    const { env, disk, dataDirectory, openStore, chunkSizeBytes, replication, root, onFatal } = options;
    const engine = await MetadataEngine.start({
      env,
      disk,
      directory: dataDirectory,
      openStore,
      chunkSizeBytes,
      replication,
      root,
      onFatal,
    });
    const parts = assemble(engine, options);
    try {
      const handlers: MasterHandlers = {
        ...sessionHandlers(parts),
        ...namespaceHandlers(parts),
        ...xattrHandlers(parts),
        ...fileHandlers(parts),
        ...accessTimeHandlers(parts),
        ...chunkHandlers(parts),
        ...shareHandlers(parts),
        ...lockHandlers(parts),
        ...serverHandlers(parts),
        ...peopleHandlers(parts),
      };
      const service = bindService(MasterDefinition, { ...handlers, ...heardAnswers(parts, handlers) });
      const listener = await options.network.listen(options.listen, [service]);
      options.metrics?.add(masterFigures(engine, parts));
      return new MasterServer(engine, parts, listener);
    } catch (error) {
      await closeParts(parts);
      await engine.close();
      throw error;
    }
  }

  private constructor(engine: MetadataEngine, parts: MasterParts, listener: Listener) {
    this.#engine = engine;
    this.#parts = parts;
    this.#listener = listener;
  }

  get address(): string {
    return this.#listener.address;
  }
  get filesystemId(): string {
    return this.#parts.config.filesystemId;
  }
  get chunkSizeBytes(): number {
    return this.#parts.config.chunkSizeBytes;
  }
  get replication(): number {
    return this.#parts.config.replication;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = this.#listener.close();
    // These calls would never end by themselves.
    this.#parts.channels.close();
    this.#parts.locks.close();
    await closed;
    await closeParts(this.#parts);
    await this.#engine.close();
  }
}

function assemble(metadata: MetadataEngine, options: MasterOptions): MasterParts {
  const { env, network } = options;
  const { id: filesystemId, chunkSizeBytes, replication } = metadata.filesystem;
  const nowMs = env.monotonicMs();
  const config: MasterConfig = {
    filesystemId,
    chunkSizeBytes,
    replication,
    heartbeatIntervalMs: options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS,
    sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
    minReplicas: options.minReplicas ?? MIN_REPLICAS_DEFAULT,
    longStepCount: options.longStepCount ?? LONG_STEP_COUNT,
    programVersion: options.programVersion ?? '',
    pid: options.pid ?? 0,
  };
  const { sessionTimeoutMs, minReplicas } = config;
  const withoutRules = options.withoutRules ?? NO_RULES;
  const servers = new ServerTable<SystemReport>({
    silenceMs: options.serverSilenceMs ?? SERVER_SILENCE_MS,
    startedMs: nowMs,
    returnMs: options.serversReturnMs ?? SERVERS_RETURN_MS,
  });
  const locations = new ChunkLocations();
  const leases = new LeaseTable({ durationMs: options.leaseDurationMs ?? LEASE_DURATION_MS });
  const known = metadata.state.sessions();
  const sessions = new SessionTable({ timeoutMs: sessionTimeoutMs, nowMs, known, withoutRules });
  const channels = new NewsChannels({ env, sessions });
  metadata.onApplied((command, result) => {
    const unheard = tellOfCommand(channels.news, command, result);
    if (unheard !== undefined) channels.hold(command.context, unheard);
    checks.commandApplied(command, result);
    longCommands.commandApplied(command, result);
    repairer.commandApplied(command);
  });
  const calls = new ChunkserverCalls({ env, network, servers });
  const given = new GivenChunks();
  const locator = new ExtentLocator({
    ...{ metadata, servers, leases, given },
    isBeyondLog: (chunk) => raiser.isBeyondLog(chunk),
  });
  const raiser = new ChunkRaiser({
    ...{ env, metadata, servers, leases, calls, locator, minReplicas, withoutRules },
    onTooFew: (chunk) => repairer.neededNow(chunk),
  });
  const repairer: Repairer = new Repairer({
    ...{ env, metadata, servers, locations, raiser, calls, locator, chunkSizeBytes },
    graceMs: options.repairGraceMs ?? REPAIR_GRACE_MS,
    onRepaired: (chunk) => strayCopies.repaired(chunk),
  });
  const strayCopies = new StrayCopies({
    ...{ env, state: metadata.state, servers, locations, calls },
    isRepairing: (chunk) => repairer.isRepairing(chunk),
  });
  const locks = new LockKeeper({
    ...{ env, sessions, withoutRules },
    fence: (inode, known) => fenceFile({ metadata, raiser }, inode, known),
  });
  const settler = new LengthSettler({ env, metadata, sessions, locations, leases, raiser, calls, locks });
  const cloner: ChunkCloner = new ChunkCloner({
    ...{ metadata, raiser, calls, locator, minReplicas },
    onTooFew: (chunk) => repairer.neededNow(chunk),
    onGarbage: () => garbage.wake(),
  });
  const isMaking = (chunk: ChunkHandle) => cloner.isMaking(chunk);
  const garbage = new GarbageCollector({ env, metadata, servers, calls, isMaking });
  const reaper = new OrphanReaper({ env, metadata, sessions, onReaped: () => garbage.wake() });
  const checks = new TreeChecks();
  const longCommands = new LongCommands({ env, config, metadata, channels, reaper, withoutRules });
  return {
    env,
    config,
    startedAtMs: Math.round(env.nowMs()),
    storage: { disk: options.disk, directory: options.dataDirectory },
    metadata,
    servers,
    locations,
    leases,
    sessions,
    access: { state: metadata.state, sessions },
    sessionKeeper: new SessionKeeper({
      ...{ env, metadata, sessions, leases, reaper, channels, settler, locks, sessionTimeoutMs },
    }),
    channels,
    settler,
    locks,
    entries: new EntryAnswers({ env, metadata, sessions, channels, locator, raiser }),
    calls,
    raiser,
    cloner,
    mender: new Mender({ env, state: metadata.state, locations, raiser }),
    repairer,
    strayCopies,
    locator,
    given,
    appendEnds: new AppendEnds(chunkHandle(metadata.state.progress.nextChunk)),
    newChunks: new NewChunks({ env, config, metadata, servers, locations, leases, given }),
    garbage,
    reaper,
    longCommands,
    checks,
    census: new ChunkCensus({ env, metadata, servers, locations }),
    badReplicas: new BadReplicas(env.log),
  };
}

/** Last opened first; what still runs in the background ends before the log does. */
async function closeParts(parts: MasterParts): Promise<void> {
  const { sessionKeeper, reaper, settler, garbage, mender, repairer, strayCopies, calls, locks } = parts;
  const { longCommands } = parts;
  locks.close();
  await longCommands.close();
  await Promise.all([
    sessionKeeper.close(),
    reaper.close(),
    settler.close(),
    mender.close(),
    repairer.close(),
  ]);
  await Promise.all([garbage.close(), strayCopies.close()]);
  await calls.close();
}
