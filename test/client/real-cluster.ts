// A real master and real chunkservers, on a simulated network and simulated disks.
import { must } from '../../src/base/assert.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkServer } from '../../src/chunkserver/chunk-server.ts';
import type { ClientOptions } from '../../src/client/api.ts';
import { GfsClient } from '../../src/client/gfs-client.ts';
import { MasterServer } from '../../src/master/master-server.ts';
import { memoryMetaStores } from '../../src/storage/meta-store-memory.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import { Simulation } from '../sim/simulation.ts';

export interface RealCluster {
  readonly simulation: Simulation;
  readonly network: SimNetwork;
  /** Of a client: its deadlines are on that clock. */
  envOf(client: GfsClient): SimEnv;
  readonly client: GfsClient;
  /** The n-th client runs on the machine "c" + n; the first is `client`. */
  connect(options?: Partial<ClientOptions>): Promise<GfsClient>;
  /** Ends the process as kill -9 does; started again it is another process on the same disk. */
  kill(machine: string): void;
  start(machine: string): Promise<void>;
  disk(machine: string): SimDisk;
  sleep(ms: number): Promise<void>;
}

export interface RealClusterOptions {
  /** "s1" and so on. */
  readonly serverCount?: number;
  readonly replication?: number;
  readonly chunkSizeBytes?: number;
}

const MASTER = 'm:7400';

export async function inRealCluster(
  seed: string | number,
  body: (cluster: RealCluster) => Promise<void>,
  { serverCount = 3, replication, chunkSizeBytes = 256 * KiB }: RealClusterOptions = {},
): Promise<void> {
  const simulation = new Simulation(seed);
  if (process.env.GFS_TRACE !== undefined) simulation.onTrace = (line) => process.stderr.write(`${line}\n`);
  const network = new SimNetwork(simulation);
  const disks = new Map<string, SimDisk>();
  const running = new Map<string, { env: SimEnv; close: () => Promise<void> }>();
  let processCount = 0;

  const start = async (machine: string): Promise<void> => {
    processCount += 1;
    const env = new SimEnv(simulation, `${machine}.${processCount}`);
    const simDisk = disks.get(machine) ?? new SimDisk(simulation, machine);
    disks.set(machine, simDisk);
    const disk = simDisk.processView(env);
    const common = { env, disk, network: network.processView(env, machine), dataDirectory: '/data' };
    const onFatal = (error: unknown) => {
      throw error;
    };
    if (machine === 'm') {
      const openStore = memoryMetaStores(disk);
      const options = {
        ...common,
        openStore,
        listen: MASTER,
        chunkSizeBytes,
        replication,
        onFatal,
      };
      running.set(machine, { env, close: await closerOf(MasterServer.start(options)) });
    } else {
      const options = { ...common, masters: [MASTER], listen: `${machine}:7500`, reserveBytes: 0, onFatal };
      running.set(machine, { env, close: await closerOf(ChunkServer.start(options)) });
    }
  };
  const kill = (machine: string): void => {
    const process = running.get(machine);
    if (process === undefined) throw new Error(`${machine} does not run`);
    running.delete(machine);
    process.env.kill();
    network.processDied(process.env);
  };
  let clientCount = 0;
  const envs = new Map<GfsClient, SimEnv>();
  const connect = async (options: Partial<ClientOptions> = {}) => {
    clientCount += 1;
    const host = `c${clientCount}`;
    const env = new SimEnv(simulation, host);
    const view = network.processView(env, host);
    const client = await GfsClient.connect({
      env,
      network: view,
      masters: [MASTER],
      host,
      program: 'test',
      ...options,
    });
    envs.set(client, env);
    running.set(host, { env, close: () => client.close() });
    return client;
  };

  await simulation.run(async () => {
    await start('m');
    for (let number = 1; number <= serverCount; number += 1) await start(`s${number}`);
    const env = new SimEnv(simulation, 'test');
    await env.sleep(2000);
    const client = await connect();
    const disk = (machine: string) => must(disks.get(machine), 'its machine was started');
    await body({
      simulation,
      network,
      envOf: (of) => must(envs.get(of), 'it has connected'),
      client,
      connect,
      kill,
      start,
      disk,
      sleep: (ms) => env.sleep(ms),
    });
    await client.close();
    for (const { close } of [...running.values()].reverse()) await close();
  });
}

async function closerOf(starting: Promise<{ close(): Promise<void> }>): Promise<() => Promise<void>> {
  const server = await starting;
  return () => server.close();
}
