import { KiB, MiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkServer } from '../../src/chunkserver/chunk-server.ts';
import { GfsClient } from '../../src/client/gfs-client.ts';
import type { CommandBody } from '../../src/core/metadata/commands.ts';
import type { Rules } from '../../src/core/rules.ts';
import { MasterServer } from '../../src/master/master-server.ts';
import { KeptStores } from './kept-stores.ts';
import { type Launch, Node, type NodeOptions, type Process } from './node.ts';
import { SimNetwork } from './sim-network.ts';
import type { Simulation } from './simulation.ts';

export const MASTER_ADDRESS = 'master:7400';
/** The smallest there is: borders are met often. */
export const CHUNK_SIZE_BYTES = 256 * KiB;
const REPLICATION = 3;
/** Short, so that copies are repaired while other things go wrong. */
const REPAIR_GRACE_MS = 2 * SECOND_MS;

/** Of things that a long command does in a step: few, so that much comes in between. */
const LONG_STEP_COUNT = 2;

/** What runs on a client's machine, once it is connected; it rejects when it found something wrong. */
export type ClientProgram = (client: GfsClient, process: Process) => Promise<void>;

export interface ClusterOptions {
  readonly serverCount: number;
  readonly sessionTimeoutMs: number;
  readonly clients: readonly ClientProgram[];
  /** What the protocol says that this cluster does not do. */
  readonly withoutRules?: Rules | undefined;
}

/** The real master, chunkservers and clients, on machines made of nothing. */
export class Cluster {
  readonly simulation: Simulation;
  readonly network: SimNetwork;
  readonly master: Node;
  /** The master's tables, which its processes leave to one another. */
  readonly stores: KeptStores;
  /** Called when the master's log has lost its end: these commands. */
  readonly onLogLost: ((lost: readonly CommandBody[]) => void)[] = [];
  readonly servers: readonly Node[];
  readonly clients: readonly Node[];

  constructor(simulation: Simulation, options: ClusterOptions) {
    const { serverCount, clients, withoutRules } = options;
    this.simulation = simulation;
    this.network = new SimNetwork(simulation);
    this.stores = new KeptStores(simulation.random.fork('stores'));
    this.master = this.#node('master', masterProgram(this.stores, options));
    this.master.onPowerLost.push(() => this.stores.losePower());
    this.servers = Array.from({ length: serverCount }, (_, index) =>
      this.#node(`server${index + 1}`, serverProgram(withoutRules)),
    );
    this.clients = clients.map((program, index) =>
      this.#node(`client${index + 1}`, clientProgram(program, withoutRules), { startsWhenDelivered: true }),
    );
  }

  get nodes(): readonly Node[] {
    return [this.master, ...this.servers, ...this.clients];
  }

  start(): void {
    for (const node of this.nodes) node.start();
  }

  /** Everything runs, hears everybody, and has room. */
  restore(): void {
    this.network.healAll();
    this.network.spikeChance = 0;
    this.network.flipChance = 0;
    this.network.copyChance = 0;
    for (const node of this.nodes) {
      node.disk.slowness = 1;
      node.disk.empty();
      node.resume();
      node.start();
    }
  }

  /** One more client, which stays until the end. */
  addClient(name: string, program: ClientProgram): void {
    this.#node(name, clientProgram(program)).start();
  }

  #node(name: string, launch: Launch, options?: NodeOptions): Node {
    return new Node(this.simulation, this.network, name, launch, options);
  }
}

function masterProgram(
  stores: KeptStores,
  { sessionTimeoutMs, withoutRules }: Pick<ClusterOptions, 'sessionTimeoutMs' | 'withoutRules'>,
): Launch {
  return async ({ env, disk, network, onFatal }) => {
    await MasterServer.start({
      env,
      disk,
      network,
      openStore: stores.opener(disk),
      dataDirectory: '/data',
      listen: MASTER_ADDRESS,
      chunkSizeBytes: CHUNK_SIZE_BYTES,
      replication: REPLICATION,
      withoutRules,
      repairGraceMs: REPAIR_GRACE_MS,
      longStepCount: LONG_STEP_COUNT,
      sessionTimeoutMs,
      onFatal,
    });
  };
}

function serverProgram(withoutRules: Rules | undefined): Launch {
  return async ({ env, disk, network, onFatal }) => {
    const [machine] = env.name.split('.');
    await ChunkServer.start({
      env,
      disk,
      network,
      dataDirectory: '/data',
      masters: [MASTER_ADDRESS],
      listen: `${machine}:7401`,
      withoutRules,
      onFatal,
    });
  };
}

function clientProgram(program: ClientProgram, withoutRules?: Rules): Launch {
  return async (process) => {
    const { env, network } = process;
    const host = env.name.split('.')[0] ?? '';
    const options = {
      env,
      network,
      masters: [MASTER_ADDRESS],
      host,
      program: 'simulation',
      kernelWalksPaths: env.random() < 0.5,
      // Small enough to be full.
      cacheBytes: 1 * MiB,
      writeBehindBytes: 1 * MiB,
      readaheadBytes: 512 * KiB,
      withoutRules,
    };
    const client = await GfsClient.connect(options, { deadlineMs: Number.POSITIVE_INFINITY });
    await program(client, process);
  };
}
