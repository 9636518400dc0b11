// Every chunk that was written has as many members as it should, once nothing fails any more (design, section 10).
import { assert } from '../../../src/base/assert.ts';
import type { Env } from '../../../src/base/env.ts';
import { hex, type InodeId } from '../../../src/base/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { ChunkserverDefinition, type ExtentLocation } from '../../../src/rpc/messages.ts';
import type { Network } from '../../../src/rpc/network.ts';
import { ROOT } from '../workloads/workload.ts';

/** A repair that failed is tried again within a minute, and a few chunks may wait for one another. */
const REPAIRED_WITHIN_MS = 3 * MINUTE_MS;

const { checkVersion } = ChunkserverDefinition.methods;

/** Resolves when all chunks of a file have their members; fails when that takes too long. */
export async function goalsMet(
  { env, network }: { env: Env; network: Network },
  client: GfsClient,
  inode: InodeId,
): Promise<void> {
  const endMs = env.monotonicMs() + REPAIRED_WITHIN_MS;
  for (;;) {
    const { attributes, extents } = await client.statFile(inode, ROOT);
    const few = extents.filter(({ members }) => members.length < attributes.goal);
    const written = await Promise.all(few.map((extent) => isWritten(network, extent)));
    const missing = few.filter((_, index) => written[index]);
    if (missing.length === 0) return;
    const [{ chunk, members } = { chunk: 0, members: [] }] = missing;
    assert(env.monotonicMs() < endMs, `chunk ${hex(chunk)} has ${members.length} members, and stays so`);
    await env.sleep(0.5 * SECOND_MS);
  }
}

/** What nobody wrote is nowhere, and nothing of it is missing (P23). */
async function isWritten(network: Network, { chunk, members }: ExtentLocation): Promise<boolean> {
  for (const { address } of members) {
    const connection = network.connect(address);
    try {
      const { message } = await connection.call(checkVersion, { chunks: [chunk] });
      if (message.chunks.length > 0) return true;
    } catch {
      return true;
    } finally {
      await connection.close();
    }
  }
  return false;
}
