import { must } from '../../../src/base/assert.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition } from '../../../src/rpc/messages.ts';
import { atNextCall, type Call, type Fault } from './fault.ts';

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
    const isAlone = dice.chance(0.5);
    const onlyMs = dice.pick([2, 50, 500]) * dice.next();
    const downMs = dice.pick([1, 20, undefined]);
    const serverOf = (machine: string) => servers.find(({ name }) => name === machine);
    const isOrder = ({ from, name }: Call) => name === apply.name && serverOf(from) !== undefined;
    atNextCall(scene, ARMED_MS_MAX, isOrder, ({ from, to }) => {
      const primary = must(serverOf(from), 'a server orders');
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
