import { NO_PAYLOAD } from '../../../src/base/bytes.ts';
import type { VersionRecord } from '../../../src/core/replica-types.ts';
import { ChunkserverDefinition, MutationKind } from '../../../src/rpc/messages.ts';
import { parseReplicaName } from '../../../src/storage/replica-files.ts';
import type { Node } from '../node.ts';
import { SimEnv } from '../sim-env.ts';
import { contentAt, rottenOf } from './disk.ts';
import type { Fault } from './fault.ts';

const { mutate } = ChunkserverDefinition.methods;

/**
 * A chunk is sealed by its primary before it is full (P16), wherever it lies in its file, as when its last block is lost. Only
 * its primary knows, until somebody writes behind what it holds.
 */
export const EARLY_SEAL: Fault = {
  name: 'seal of a chunk that is not full',
  inject: ({ cluster, dice }) => {
    const { servers, network, simulation } = cluster;
    // What is rotten may not be legible.
    const legible = servers.filter((server) => server !== rottenOf(cluster));
    const records = unsealed(dice.pick(legible));
    if (records.length === 0) return;
    const { chunk, version } = dice.pick(records);
    const view = network.processView(new SimEnv(simulation, 'sealer'), 'sealer');
    const noData = { length: 0, checksums: [], recordLengths: [], payload: NO_PAYLOAD };
    const nothing = { chunkOffset: 0, pushId: undefined, first: undefined, ...noData };
    const kind = MutationKind.MUTATION_KIND_SEAL;
    const seal = { chunk, version, writer: 0, number: 0, kind, ...nothing };
    // The others refuse it.
    for (const { name } of servers) {
      view
        .connect(`${name}:7401`)
        .call(mutate, seal)
        .then(
          () => simulation.count('chunk sealed before it was full'),
          () => undefined,
        );
    }
  },
};

/** Of chunks that the machine has, with something in them, and not sealed. */
function unsealed(server: Node): VersionRecord[] {
  return server.disk.names.filePaths().flatMap((path) => {
    const name = parseReplicaName(path.slice(path.lastIndexOf('/') + 1));
    const content = name === undefined ? undefined : contentAt(server, name.chunk);
    return content === undefined || content.length === 0 || content.sealed ? [] : [content.record];
  });
}
