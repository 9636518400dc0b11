// Nothing referenced is deleted (P24): no order to delete reaches a server that is a member of a chunk which some file has.
import { assert } from '../../../src/base/assert.ts';
import { hex } from '../../../src/base/ids.ts';
import { Tables } from '../../../src/core/metadata/tables.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../../src/rpc/messages.ts';
import type { Cluster } from '../cluster.ts';

const { delete: deleteChunks } = ChunkserverDefinition.methods;
const { chunkReport } = MasterDefinition.methods;

/** Looks on from the start of the run until it ends. */
export function watchDeletions({ simulation, network, stores }: Cluster): void {
  /** By machine: its server's number. */
  const numbers = new Map<string, number>();
  network.onSent.push(({ from, frame }) => {
    if (frame.kind !== 'open' || frame.route.method.name !== chunkReport.name || frame.data === undefined)
      return;
    numbers.set(from, chunkReport.requestType.decode(frame.data.message).server);
  });
  network.onArrived.push(({ to, frame }) => {
    if (frame.kind !== 'open' || frame.route.method.name !== deleteChunks.name || frame.data === undefined)
      return;
    // Rows that went with the master's power say nothing.
    if (stores.current === undefined) return;
    const tables = new Tables(stores.current);
    for (const number of deleteChunks.requestType.decode(frame.data.message).chunks) {
      const row = tables.chunk(number as Parameters<Tables['chunk']>[0]);
      simulation.count('chunks ordered to be deleted');
      simulation.check(() =>
        assert(
          !row?.members.some((member) => member === numbers.get(to)),
          `${to} keeps chunk ${hex(number)}, whose member it is`,
        ),
      );
    }
  });
}
