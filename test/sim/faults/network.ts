import type { Fault } from './fault.ts';

/** Frames are late by turns, so that what goes over one connection overtakes what went before over another. */
export const SLOW_NETWORK: Fault = {
  name: 'slow network',
  inject: ({ cluster: { network }, dice, after }) => {
    network.spikeChance = dice.pick([0.01, 0.05, 0.3]);
    network.spikeMsMax = dice.pick([20, 500, 3_000]);
    after(() => {
      network.spikeChance = 0;
    });
  },
};

/** All connections of a machine break; it and the others live on. */
export const LOST_CONNECTIONS: Fault = {
  name: 'lost connections',
  inject: ({ cluster: { network, nodes }, dice }) => network.reset(dice.pick(nodes).name),
};

/** Some file data arrives with a bit flipped. */
export const FLIPS_ON_THE_WIRE: Fault = {
  name: 'noisy network',
  inject: ({ cluster: { network }, dice, after }) => {
    network.flipChance = dice.pick([0.02, 0.2]);
    after(() => {
      network.flipChance = 0;
    });
  },
};

/** What servers are ordered comes to them a second time, when it is long done or overtaken. */
export const LATE_COPIES: Fault = {
  name: 'late copies',
  inject: ({ cluster: { network }, dice, after }) => {
    network.copyChance = dice.pick([0.05, 0.5]);
    network.copyMsMax = dice.pick([20, 500, 5_000]);
    after(() => {
      network.copyChance = 0;
    });
  },
};
