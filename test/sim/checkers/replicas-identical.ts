import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf } from '../../../src/base/errors.ts';
import { hex } from '../../../src/base/ids.ts';
import { ChunkserverDefinition, type ExtentLocation } from '../../../src/rpc/messages.ts';
import type { Network } from '../../../src/rpc/network.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';

const { read } = ChunkserverDefinition.methods;

/**
 * All members of a chunk hold the same bytes, now that nothing is under way. `rotten`: the machine whose replicas may be
 * damaged, where bits have flipped on its disk.
 */
export async function compareReplicas(
  network: Network,
  extent: ExtentLocation,
  rotten: string | undefined,
): Promise<void> {
  const { chunk, version, members } = extent;
  const found: Buffer[] = [];
  for (const { address } of members) {
    const connection = network.connect(address);
    const request = read.requestType.create({ chunk, version, chunkOffset: 0, length: CHUNK_SIZE_BYTES });
    try {
      const { payload } = await connection.call(read, request);
      found.push(Buffer.from(joined(payload)));
    } catch (error) {
      if (codeOf(error) === 'CHECKSUM_MISMATCH' && address.split(':')[0] === rotten) continue;
      // A chunk that nobody ever wrote.
      if (codeOf(error) !== 'NO_SUCH_CHUNK') throw error;
      found.push(Buffer.alloc(0));
    } finally {
      await connection.close();
    }
  }
  const [first, ...others] = found;
  assert(first !== undefined, `chunk ${hex(chunk)} has members`);
  for (const [index, other] of others.entries()) {
    const where = `${members[0]?.address} and ${members[index + 1]?.address}`;
    assert(first.equals(other), `replicas of chunk ${hex(chunk)} at ${where} are the same`);
  }
}
