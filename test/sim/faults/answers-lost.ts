import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition } from '../../../src/rpc/messages.ts';
import { atNextCall, type Call, type Fault } from './fault.ts';

const { mutate } = ChunkserverDefinition.methods;
/** So long somebody is waited for to write. */
const ARMED_MS_MAX = 1 * SECOND_MS;

/**
 * The next client that writes something gets no answer of that server for a while, and then loses its connection: what it
 * asked for was done, it does not know, and others have gone on meanwhile (P15, P17).
 */
export const ANSWERS_LOST: Fault = {
  name: 'answers lost',
  inject: (scene) => {
    const { cluster, dice } = scene;
    const { network, clients, simulation } = cluster;
    const unheardMs = dice.pick([5, 100, 2_000]) * dice.next();
    const isAsked = ({ from, name }: Call) =>
      name === mutate.name && clients.some((client) => client.name === from);
    atNextCall(scene, ARMED_MS_MAX, isAsked, ({ from, to }) => {
      simulation.count('client cut off from its answers');
      network.block(to, from);
      simulation.schedule(unheardMs, () => {
        network.reset(from);
        simulation.schedule(0, () => network.heal(to, from));
      });
    });
  },
};
