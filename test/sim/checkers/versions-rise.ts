// Versions only rise (P2, P5): in the master's log and in each replica, over the whole run, through restarts and losses of power.
import { assert } from '../../../src/base/assert.ts';
import { hex } from '../../../src/base/ids.ts';
import { Tables } from '../../../src/core/metadata/tables.ts';
import { MasterDefinition } from '../../../src/rpc/messages.ts';
import { type Cluster, MASTER_ADDRESS } from '../cluster.ts';

const { chunkReport } = MasterDefinition.methods;

/** Between two looks at the master's rows. */
const LOOK_EVERY_MS = 100;
const ROWS_MAX = 10_000;

/**
 * Looks on from the start of the run until it ends. `rotten`: the machine on whose disk bits flip. A log that is damaged there is
 * good up to the damage, and says so: a replica that is not whole is no source, and takes no order before it is reconciled.
 */
export function watchVersions(cluster: Cluster, rotten: string | undefined): void {
  const { simulation, network, stores } = cluster;
  const rows = new Map<string, number>();
  const look = () => {
    // A master that recovers is replaying what it has seen before.
    if (stores.current !== undefined && network.serves(MASTER_ADDRESS)) {
      for (const { chunk, row } of new Tables(stores.current).chunks(0, ROWS_MAX)) {
        rise(rows, `the log's version of chunk ${hex(chunk)}`, row.version);
      }
    }
    simulation.schedule(LOOK_EVERY_MS, look);
  };
  look();
  // It has to find out from the servers, whose versions rise on.
  cluster.onLogLost.push(() => rows.clear());
  const replicas = new Map<string, number>();
  network.onSent.push(({ from, frame }) => {
    if (frame.kind !== 'open' || frame.route.method.name !== chunkReport.name || frame.data === undefined)
      return;
    const { chunks } = chunkReport.requestType.decode(frame.data.message);
    for (const { chunk, version, deleted, lost, whole, restarted } of chunks) {
      const what = `the version of chunk ${hex(chunk)} on ${from}`;
      // A replica that is made anew begins with the version of that time.
      if (lost || deleted || (from === rotten && !whole)) replicas.delete(what);
      else simulation.check(() => rise(replicas, what, version, { certain: !restarted }));
    }
  });
}

/**
 * Not certain: what a killed process wrote and did not sync, which goes with the power. Nobody was told that it was recorded, and
 * such a replica takes no order before it is reconciled under a version above it (P6).
 */
function rise(known: Map<string, number>, what: string, version: number, { certain = true } = {}): void {
  const before = known.get(what) ?? 0;
  assert(version >= before, `${what} only rises: it was ${before}, and is ${version}`);
  if (certain) known.set(what, version);
}
