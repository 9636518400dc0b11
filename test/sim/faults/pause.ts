import type { Fault } from './fault.ts';

/** A process stands still as after SIGSTOP, or for a long collection of garbage, and then goes on as if nothing had been. */
export const PAUSE: Fault = {
  name: 'pause',
  inject: ({ cluster, dice, after }) => {
    const node = dice.pick(cluster.nodes);
    node.pause();
    after(() => node.resume());
  },
};
