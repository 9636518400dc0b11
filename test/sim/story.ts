// One seed: a cluster and what is done on it are chosen, things go wrong for a while, then nothing does, and all has to be right.
import { assert } from '../../src/base/assert.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../../src/base/units.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import type { Rules } from '../../src/core/rules.ts';
import { goalsMet } from './checkers/goals-met.ts';
import { checkLogReplay } from './checkers/log-replay.ts';
import { watchDeletions } from './checkers/referenced-kept.ts';
import { compareReplicas } from './checkers/replicas-identical.ts';
import { watchVersions } from './checkers/versions-rise.ts';
import { Cluster } from './cluster.ts';
import { BIT_ROT, FULL_DISK, rottenOf } from './faults/disk.ts';
import { chooseFaults, type FaultMixture, injectFaults } from './faults/faults.ts';
import { POWER_CUTS } from './faults/power-cut.ts';
import type { Process } from './node.ts';
import type { Random } from './random.ts';
import { Simulation } from './simulation.ts';
import { Appends } from './workloads/appends.ts';
import { Copies } from './workloads/copies.ts';
import { Locks } from './workloads/locks.ts';
import { NamedAppends } from './workloads/named-appends.ts';
import { Namespace } from './workloads/namespace.ts';
import { RandomWrites } from './workloads/random-writes.ts';
import { Trees } from './workloads/trees.ts';
import { Turns } from './workloads/turns.ts';
import { ROOT, type Stage, type Workload } from './workloads/workload.ts';

/** After the last fault; leases and sessions end within a minute, and sleeping retries wake up. */
const CONVERGE_MS = 5 * MINUTE_MS;

const WORKLOADS = {
  'random-writes': RandomWrites,
  appends: Appends,
  'named-appends': NamedAppends,
  namespace: Namespace,
  turns: Turns,
  locks: Locks,
  copies: Copies,
  trees: Trees,
} as const;

/** What a seed chooses from; all of them together are too much for the interesting parts of each to meet. */
const MIXTURES: readonly (readonly WorkloadName[])[] = [
  ['random-writes'],
  ['random-writes', 'namespace'],
  ['appends'],
  ['named-appends'],
  ['appends', 'namespace'],
  ['random-writes', 'appends'],
  ['turns'],
  ['locks'],
  ['copies'],
  ['trees'],
  ['trees', 'namespace'],
];

export type WorkloadName = keyof typeof WORKLOADS;
export const workloadNames = Object.keys(WORKLOADS) as readonly WorkloadName[];

/** What one seed tries; each seed another mixture (a swarm). */
export interface Plan {
  readonly serverCount: number;
  readonly clientCount: number;
  readonly workloads: readonly WorkloadName[];
  readonly faultsMs: number;
  readonly faults: FaultMixture;
  readonly sessionTimeoutMs: number;
  readonly withoutRules?: Rules;
}

export interface RunOptions {
  readonly onTrace?: ((line: string) => void) | undefined;
  /** Instead of what the seed chooses. */
  readonly plan?: Partial<Plan> | undefined;
  /** Turns the cluster into one with a bug, which the run has to find. */
  readonly sabotage?: ((cluster: Cluster) => void) | undefined;
}

export interface RunResult {
  readonly traceHash: string;
  readonly eventCount: number;
  /** Of faults and of what was acknowledged: a run with few of them proves little. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Rejects with what the seed found. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const simulation = new Simulation(seed);
  simulation.onTrace = options.onTrace;
  const plan = choosePlan(simulation.random.fork('plan'), options.plan);
  const story = new Story(simulation, plan);
  options.sabotage?.(story.cluster);
  const { stackTraceLimit } = Error;
  // Refusals are many here, and a fifth of the time went into where they come from.
  if (options.onTrace === undefined) Error.stackTraceLimit = 0;
  try {
    await simulation.run(() => story.run(), { untilMs: plan.faultsMs + CONVERGE_MS });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  const { traceHash, eventCount, counts } = simulation;
  return { traceHash, eventCount, counts };
}

function choosePlan(dice: Random, wanted: Partial<Plan> = {}): Plan {
  const chosen = {
    serverCount: dice.pick([4, 5, 6]),
    clientCount: dice.pick([2, 3]),
    workloads: dice.pick(MIXTURES),
    faultsMs: dice.pick([2, 4, 6]) * SECOND_MS,
    faults: chooseFaults(dice),
    ...wanted,
  };
  // The other workloads have no word for a client that lost its session and lives on.
  const sessionsMayEnd = chosen.workloads.every((name) => name === 'locks');
  const sessionTimeoutMs = sessionsMayEnd ? dice.pick([2 * SECOND_MS, MINUTE_MS]) : MINUTE_MS;
  return { sessionTimeoutMs, ...chosen };
}

class Story implements Stage {
  readonly simulation: Simulation;
  readonly dice: Random;
  readonly clientCount: number;
  readonly cluster: Cluster;
  readonly #plan: Plan;
  readonly #workloads: readonly Workload[];
  #calmSinceMs: number | undefined;

  constructor(simulation: Simulation, plan: Plan) {
    this.simulation = simulation;
    this.dice = simulation.random.fork('workloads');
    this.#plan = plan;
    this.clientCount = plan.clientCount;
    this.#workloads = plan.workloads.map((name) => new WORKLOADS[name](this));
    const clients = Array.from(
      { length: plan.clientCount },
      (_, index) => (client: GfsClient, process: Process) =>
        Promise.all(this.#workloads.map((work) => work.run(client, process, index))).then(() => undefined),
    );
    this.cluster = new Cluster(simulation, {
      serverCount: plan.serverCount,
      sessionTimeoutMs: plan.sessionTimeoutMs,
      clients,
      withoutRules: plan.withoutRules,
    });
    for (const { onPowerLost } of this.cluster.servers) {
      onPowerLost.push(() => {
        for (const workload of this.#workloads) workload.powerLost();
      });
    }
    this.cluster.onLogLost.push((lost) => {
      for (const workload of this.#workloads) workload.undone?.(lost);
    });
  }

  get writesFail(): boolean {
    return this.#plan.faults.faults.includes(FULL_DISK);
  }

  get powerFails(): boolean {
    return this.#plan.faults.faults.some((fault) => POWER_CUTS.includes(fault));
  }

  get #bitsRot(): boolean {
    return this.#plan.faults.faults.includes(BIT_ROT);
  }

  get calm(): boolean {
    return this.#calmSinceMs !== undefined;
  }

  get calmSinceMs(): number | undefined {
    return this.#calmSinceMs;
  }

  get masterStartedMs(): number {
    return this.cluster.master.startedMs;
  }

  get sessionTimeoutMs(): number {
    return this.#plan.sessionTimeoutMs;
  }

  async run(): Promise<void> {
    const { simulation, cluster } = this;
    const { serverCount, clientCount, workloads, faultsMs, faults } = this.#plan;
    const names = faults.faults.map(({ name }) => name).join(', ');
    simulation.trace(
      `${serverCount} servers, ${clientCount} clients, ${workloads}, ${faultsMs} ms of ${names}`,
    );
    watchVersions(cluster, this.#rotten);
    watchDeletions(cluster);
    cluster.start();
    await injectFaults(cluster, faults, faultsMs);
    await simulation.sleep(faultsMs - simulation.nowMs);
    simulation.trace('calm');
    this.#calmSinceMs = simulation.nowMs;
    while (!this.#workloads.every(({ done }) => done)) await simulation.sleep(0.1 * SECOND_MS);
    await new Promise<void>((resolve) => {
      cluster.addClient('verifier', async (client, process) => {
        await this.#verify(client, process);
        resolve();
      });
    });
    await checkLogReplay(cluster);
  }

  async #verify(client: GfsClient, process: Process): Promise<void> {
    for (const workload of this.#workloads) {
      for (const inode of await workload.verify(client, process)) {
        await goalsMet(process, client, inode);
        await this.#verifyFile(client, process, inode);
      }
    }
  }

  async #verifyFile(client: GfsClient, process: Process, inode: InodeId): Promise<void> {
    const { extents } = await client.statFile(inode, ROOT);
    assert(extents.length > 0, 'a file that was written has extents');
    await compareReplicas(process, { inode, extents });
  }

  /** The machine on whose disk bits flip, if they do. */
  get #rotten(): string | undefined {
    return this.#bitsRot ? rottenOf(this.cluster).name : undefined;
  }
}
