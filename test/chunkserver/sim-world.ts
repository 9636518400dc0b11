import { replicaPaths } from '../../src/storage/replica-files.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import { Simulation } from '../sim/simulation.ts';
import { Cluster, type World } from './harness.ts';

/** Virtual machines, one a process: "server-0", "server-1", ..., "master", "client". */
export class SimWorld implements World {
  readonly root = '/data';
  readonly simulation: Simulation;
  readonly network: SimNetwork;
  readonly disks = new Map<string, SimDisk>();
  #processCount = 0;

  constructor(seed: number) {
    this.simulation = new Simulation(seed);
    this.network = new SimNetwork(this.simulation);
  }

  listenAt(name: string): string {
    return `${name}:0`;
  }

  process(name: string) {
    let disk = this.disks.get(name);
    if (disk === undefined) {
      disk = new SimDisk(this.simulation, name);
      this.disks.set(name, disk);
    }
    this.#processCount += 1;
    const env = new SimEnv(this.simulation, `${name} #${this.#processCount}`);
    return { env, disk: disk.processView(env), network: this.network.processView(env, name) };
  }

  /** The machine loses power, and is on again. */
  powerCut(name: string): void {
    this.network.powerOff(name);
    this.disks.get(name)?.powerCut();
    this.network.powerOn(name);
  }

  /** On the disk of this server, in the chunk's data file. */
  flipBit(index: number, chunk: number, chunkOffset: number): void {
    const { data } = replicaPaths(`${this.root}/server-${index}/chunks`, chunk);
    this.disks.get(`server-${index}`)?.flipBit(data, chunkOffset, 2);
  }

  async close(): Promise<void> {}
}

/** Three servers on virtual time; `work` is done when the run ends. */
export async function simulate(
  seed: number,
  work: (cluster: Cluster, world: SimWorld) => Promise<void>,
): Promise<void> {
  const world = new SimWorld(seed);
  await world.simulation.run(async () => {
    const cluster = await Cluster.start(3, {}, world);
    await work(cluster, world);
  });
}
