import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition } from '../../../src/rpc/messages.ts';
import type { Fault } from './fault.ts';

const { apply } = ChunkserverDefinition.methods;
/** So long somebody is waited for to order something. */
const ARMED_MS_MAX = 2 * SECOND_MS;

/**
 * The next primary that orders something is cut off from one other server or from all of them, applies it itself, or with
 * some of the members, and dies; it may be back before anybody has missed it, and have what nobody else has (P5, P13).
 */
export const ORDERS_CUT_OFF: Fault = {
  name: 'orders cut off',
  inject: (scene) => {
    const { cluster, dice, after } = scene;
    const { network, servers, simulation } = cluster;
    const endMs = simulation.nowMs + ARMED_MS_MAX;
    const isAlone = dice.chance(0.5);
    const onlyMs = dice.pick([2, 50, 500]) * dice.next();
    const downMs = dice.pick([1, 20, undefined]);
    let armed = true;
    network.onSent.push(({ from, to, frame }) => {
      if (!armed || frame.kind !== 'open' || frame.route.method.name !== apply.name || scene.over) return;
      const primary = servers.find(({ name }) => name === from);
      if (primary === undefined) return;
      armed = false;
      if (simulation.nowMs > endMs) return;
      const others = servers.filter(({ name }) => (isAlone ? name !== from : name === to));
      simulation.count('primary cut off from members');
      for (const { name } of others) network.block(from, name);
      after(() => {
        for (const { name } of others) network.heal(from, name);
      });
      simulation.schedule(onlyMs, () => {
        if (scene.over) return;
        primary.kill();
        const start = () => primary.start();
        if (downMs === undefined) after(start);
        else simulation.schedule(downMs, start);
      });
    });
  },
};
