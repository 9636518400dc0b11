import type { Cluster } from '../cluster.ts';
import type { Random } from '../random.ts';

/** What a fault gets to work with. */
export interface Scene {
  readonly cluster: Cluster;
  readonly dice: Random;
  /** How long it lasts. */
  readonly durationMs: number;
  /** After the duration, or sooner: all is good again at the end of the faults in any case. */
  after(task: () => void): void;
  /** The faults have ended. */
  readonly over: boolean;
}

/** Something that goes wrong. Each time is counted by its name. */
export interface Fault {
  readonly name: string;
  inject(scene: Scene): void;
}
