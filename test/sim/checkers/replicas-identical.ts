// Replicas of a chunk are identical once nobody writes to it (design, section 5).
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import type { Env } from '../../../src/base/env.ts';
import { codeOf } from '../../../src/base/errors.ts';
import { hex, type InodeId } from '../../../src/base/ids.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition, type ExtentLocation, MasterDefinition } from '../../../src/rpc/messages.ts';
import type { Connection, Network } from '../../../src/rpc/network.ts';
import { CHUNK_SIZE_BYTES, MASTER_ADDRESS } from '../cluster.ts';

const { read, sync } = ChunkserverDefinition.methods;
const { findChunks } = MasterDefinition.methods;

export interface QuietFile {
  readonly inode: InodeId;
  readonly extents: readonly ExtentLocation[];
}

/** All members of each chunk hold the same bytes, also where bits have flipped on a disk: who reads them has them put right. */
export async function compareReplicas(
  { env, network }: { env: Env; network: Network },
  { inode, extents }: QuietFile,
): Promise<void> {
  for (const { start } of extents) {
    while (!(await compareOnce({ env, network }, { inode, start })));
  }
}

/** Whether there was the time for it: a version that rises meanwhile, for a repair say, begins it anew. */
async function compareOnce(
  { env, network }: { env: Env; network: Network },
  { inode, start }: { inode: InodeId; start: number },
): Promise<boolean> {
  const extent = await synced(env, network, inode, start);
  try {
    if (extent !== undefined) await compareExtent(network, extent);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'VERSION_MISMATCH' && codeOf(error) !== 'NOT_READY') throw error;
    return false;
  }
}

/**
 * The extent, after its primary made all members sync what they have: then it was reconciled before (P4). Undefined: nobody
 * wrote to it, or what was written was never synced and went with the power.
 */
async function synced(
  env: Env,
  network: Network,
  inode: InodeId,
  start: number,
): Promise<ExtentLocation | undefined> {
  let suspectVersion = 0;
  for (; ; await env.sleep(0.02 * SECOND_MS)) {
    const caller = { uid: 0, gid: 0, groups: [] };
    const question = { caller, inode, fileOffset: start, count: 1, forSync: true, suspectVersion };
    try {
      const found = await withConnection(network, MASTER_ADDRESS, (master) =>
        master.call(findChunks, findChunks.requestType.create(question)),
      );
      const [extent] = found.message.extents;
      assert(extent !== undefined && extent.start === start, `an extent begins at ${start}`);
      const primary = extent.members.find(({ server }) => server === extent.primary);
      // A master that has just started may not have heard of all members yet.
      if (primary === undefined || extent.members.some(({ address }) => address === '')) continue;
      const { chunk, version } = extent;
      const problem = await withConnection(network, primary.address, (server) =>
        server.call(sync, sync.requestType.create({ chunk, version })).then(() => undefined, codeOf),
      );
      if (problem === 'NO_SUCH_CHUNK') return undefined;
      if (problem === undefined) return extent;
      if (problem !== 'NOT_READY') suspectVersion = version;
    } catch (error) {
      if (codeOf(error) === 'INTERNAL') throw error;
    }
  }
}

async function compareExtent(network: Network, { chunk, version, members }: ExtentLocation): Promise<void> {
  const found: { address: string; bytes: Buffer }[] = [];
  for (const { address } of members) {
    const request = read.requestType.create({ chunk, version, chunkOffset: 0, length: CHUNK_SIZE_BYTES });
    const { payload } = await withConnection(network, address, (server) => server.call(read, request));
    found.push({ address, bytes: Buffer.from(joined(payload)) });
  }
  const [first, ...others] = found;
  assert(first !== undefined, `chunk ${hex(chunk)} has members`);
  for (const other of others) {
    const where = `${first.address} and ${other.address}`;
    assert(first.bytes.equals(other.bytes), `replicas of chunk ${hex(chunk)} at ${where} are the same`);
  }
}

async function withConnection<T>(
  network: Network,
  address: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = network.connect(address);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}
