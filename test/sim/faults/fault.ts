import type { Cluster } from '../cluster.ts';
import type { Node } from '../node.ts';
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

/** kill -9, and started again after the fault's duration. */
export function kill({ after }: Scene, node: Node): void {
  node.kill();
  after(() => node.start());
}

/** A call as it leaves its machine. */
export interface Call {
  readonly from: string;
  readonly to: string;
  /** Of the method. */
  readonly name: string;
}

/** Does something at the next call of a kind, once, if one is made within this time and before the faults are over. */
export function atNextCall(
  scene: Scene,
  withinMs: number,
  isMeant: (call: Call) => boolean,
  act: (call: Call) => void,
): void {
  const { network, simulation } = scene.cluster;
  const endMs = simulation.nowMs + withinMs;
  let armed = true;
  network.onSent.push(({ from, to, frame }) => {
    if (!armed || frame.kind !== 'open') return;
    armed = !scene.over && simulation.nowMs <= endMs;
    const call = { from, to, name: frame.route.method.name };
    if (!armed || !isMeant(call)) return;
    armed = false;
    act(call);
  });
}

/** Something that goes wrong. Each time is counted by its name. */
export interface Fault {
  readonly name: string;
  inject(scene: Scene): void;
}
