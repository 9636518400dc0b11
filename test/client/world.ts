// A client and a fake cluster on a simulated network: virtual time, so that waiting costs nothing.
import { must } from '../../src/base/assert.ts';
import { joined } from '../../src/base/bytes.ts';
import { codeOf, type ErrorCode } from '../../src/base/errors.ts';
import { inodeId } from '../../src/base/ids.ts';
import type { Call, ClientOptions, CreatedFile, GfsFile } from '../../src/client/api.ts';
import { GfsClient } from '../../src/client/gfs-client.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import { Simulation } from '../sim/simulation.ts';
import { FakeCluster } from './fake-cluster.ts';

export const ME: Call = { caller: { uid: 0, gid: 0, groups: [] } };
export const WRITING = { mode: 0o644, read: true, write: true };

export interface World {
  readonly simulation: Simulation;
  readonly network: SimNetwork;
  readonly cluster: FakeCluster;
  readonly env: SimEnv;
  readonly client: GfsClient;
  /** Of the client: deadlines are on its clock. */
  readonly clientEnv: SimEnv;
  /** Another client, on a machine of its own. */
  connect(options?: Partial<ClientOptions>): Promise<GfsClient>;
  create(name: string): Promise<CreatedFile>;
  sleep(ms: number): Promise<void>;
}

export interface WorldOptions extends Partial<ClientOptions> {
  readonly seed?: string | number;
  readonly chunkSizeBytes?: number;
  readonly serverCount?: number;
}

export async function inWorld(options: WorldOptions, body: (world: World) => Promise<void>): Promise<void> {
  const { seed, chunkSizeBytes, serverCount, ...clientOptions } = options;
  const simulation = new Simulation(seed ?? 1);
  const network = new SimNetwork(simulation);
  const cluster = new FakeCluster({
    ...(chunkSizeBytes === undefined ? {} : { chunkSizeBytes }),
    ...(serverCount === undefined ? {} : { serverCount }),
  });
  const serverEnv = new SimEnv(simulation, 'cluster');
  cluster.pause = () => serverEnv.sleep(simulation.random.between(0, 3));
  let clientCount = 0;
  let firstEnv: SimEnv | undefined;
  await simulation.run(async () => {
    await cluster.listen(
      (machine) => network.processView(serverEnv, machine),
      (machine) => `${machine}:0`,
    );
    const connect = async (more: Partial<ClientOptions> = {}) => {
      clientCount += 1;
      const host = `c${clientCount}`;
      const env = new SimEnv(simulation, host);
      firstEnv ??= env;
      const view = network.processView(env, host);
      const masters = [cluster.master.address];
      const given = { env, network: view, masters, host, program: 'test', ...clientOptions, ...more };
      return await GfsClient.connect(given);
    };
    const env = new SimEnv(simulation, 'test');
    const client = await connect();
    const create = (name: string) => client.create(client.rootInode, Buffer.from(name), WRITING, ME);
    cluster.calls.length = 0;
    const clientEnv = must(firstEnv, 'a client has connected');
    const sleep = (ms: number) => env.sleep(ms);
    await body({ simulation, network, cluster, env, client, clientEnv, connect, create, sleep });
    await client.close();
  });
}

export async function readAll(file: GfsFile): Promise<Buffer> {
  return Buffer.from(joined(await file.read(0, 64 * 1024 * 1024)));
}

export async function codeFrom(promise: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return codeOf(error);
  }
}

/** Bytes that tell where they are, so that a misplaced one shows. */
export function pattern(length: number, salt = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1)
    bytes[index] = (index * 31 + (index >> 8) * 7 + salt) & 0xff;
  return bytes;
}

export const inodeOf = (file: GfsFile) => inodeId(file.inode);
