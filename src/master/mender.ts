import type { Env } from '../base/env.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { type ChunkLocations, isBehind, type ReplicaChange } from '../core/chunk-locations.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import { ChunkChores } from './chunk-chores.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';

/**
 * Raises chunks of which a member reported a replica that nobody may read: it lost power, or its version was never
 * active (P4, P6, P7). Readers and writers who come first complain and have it done at once; the others are done
 * here, so that a replica does not stay out of use for as long as nobody asks for it. So are chunks of which any server
 * has a version that the log lost (P25).
 */
export class Mender {
  readonly #state: MetadataState;
  readonly #locations: ChunkLocations;
  readonly #raiser: Pick<ChunkRaiser, 'isBeyondLog' | 'mend' | 'noteBeyondLog'>;
  readonly #chores: ChunkChores;

  constructor(parts: {
    env: Env;
    state: MetadataState;
    locations: ChunkLocations;
    raiser: Pick<ChunkRaiser, 'isBeyondLog' | 'mend' | 'noteBeyondLog'>;
  }) {
    this.#state = parts.state;
    this.#locations = parts.locations;
    this.#raiser = parts.raiser;
    this.#chores = new ChunkChores(parts.env, {
      name: 'mending chunks',
      component: 'repair',
      isWanted: (chunk) => this.#isStillBehind(chunk),
      work: (chunk) => this.#raiser.mend(chunk),
    });
  }

  /** A server reported a replica, or that one is gone. */
  consider(server: ServerId, change: ReplicaChange): void {
    const row = this.#state.chunk(change.chunk);
    if (row === undefined || 'deleted' in change) return;
    if (change.version > row.version) this.#raiser.noteBeyondLog(change.chunk, change.version);
    else if (!row.members.includes(server) || !isBehind(row, change)) return;
    this.#chores.note(change.chunk);
  }

  close(): Promise<void> {
    return this.#chores.close();
  }

  #isStillBehind(chunk: ChunkHandle): boolean {
    const row = this.#state.chunk(chunk);
    if (row !== undefined && this.#raiser.isBeyondLog(chunk)) return true;
    return (
      row?.members.some((member) => {
        const replica = this.#locations.replicaAt(member, chunk);
        return replica !== undefined && isBehind(row, replica);
      }) ?? false
    );
  }
}
