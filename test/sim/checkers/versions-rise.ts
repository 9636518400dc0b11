// Versions only rise (P2, P5): in the master's log and in each replica, over the whole run, through restarts and losses of power.
import { assert } from '../../../src/base/assert.ts';
import { hex } from '../../../src/base/ids.ts';
import { Tables } from '../../../src/core/metadata/tables.ts';
import {
  type ChunkReportRequest,
  ChunkserverDefinition,
  MasterDefinition,
  type SetVersionResponse,
  type VersionRecord,
} from '../../../src/rpc/messages.ts';
import { type Cluster, MASTER_ADDRESS } from '../cluster.ts';
import type { Passing } from '../sim-network.ts';

const { chunkReport } = MasterDefinition.methods;
const { setVersion } = ChunkserverDefinition.methods;

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
  const replicas = new Replicas(rotten);
  network.onSent.push((passing) => simulation.check(() => replicas.see(passing)));
}

/** What servers say that they have recorded. */
class Replicas {
  readonly #rotten: string | undefined;
  readonly #known = new Map<string, number>();
  /** Versions that servers were ordered to record, until they say that they have: by connection and call. */
  readonly #orders = new Map<
    string,
    { readonly server: string; readonly records: readonly VersionRecord[] }
  >();
  readonly #unanswered = new Set<string>();

  constructor(rotten: string | undefined) {
    this.#rotten = rotten;
  }

  see({ from, to, connection, frame }: Passing): void {
    if (frame.kind === 'open' && frame.data !== undefined) {
      const { name } = frame.route.method;
      if (name === chunkReport.name) this.#reported(from, chunkReport.requestType.decode(frame.data.message));
      if (name === setVersion.name) {
        const { records } = setVersion.requestType.decode(frame.data.message);
        this.#orders.set(`${connection} ${frame.call}`, { server: to, records });
        for (const { chunk, version } of records) this.#unanswered.add(`${replicaOf(chunk, to)} ${version}`);
      }
    }
    if (frame.kind === 'message' && frame.data !== undefined) {
      const order = this.#orders.get(`${connection} ${frame.call}`);
      if (order?.server !== from) return;
      this.#orders.delete(`${connection} ${frame.call}`);
      this.#answered(order.server, order.records, setVersion.responseType.decode(frame.data.message));
    }
  }

  #answered(server: string, records: readonly VersionRecord[], { results }: SetVersionResponse): void {
    for (const { chunk, version } of records) {
      if (!results.some((result) => result.chunk === chunk && result.recorded)) continue;
      this.#unanswered.delete(`${replicaOf(chunk, server)} ${version}`);
    }
  }

  /**
   * Not certain: what a killed process wrote and did not sync, which goes with the power, and what is just being recorded.
   * Nobody was told that it is, and such a replica takes no order before it is reconciled under a version above it (P6).
   */
  #reported(server: string, { chunks }: ChunkReportRequest): void {
    for (const { chunk, version, deleted, lost, whole, restarted, learner } of chunks) {
      const replica = replicaOf(chunk, server);
      // A replica that is made anew begins with the version of that time.
      if (lost || deleted || (server === this.#rotten && !whole)) {
        this.#known.delete(replica);
        continue;
      }
      const isCertain = !restarted && !learner && !this.#unanswered.has(`${replica} ${version}`);
      rise(this.#known, replica, version, isCertain);
    }
  }
}

function replicaOf(chunk: number, server: string): string {
  return `the version of chunk ${hex(chunk)} on ${server}`;
}

function rise(known: Map<string, number>, what: string, version: number, isCertain = true): void {
  const before = known.get(what) ?? 0;
  assert(version >= before, `${what} only rises: it was ${before}, and is ${version}`);
  if (isCertain) known.set(what, version);
}
