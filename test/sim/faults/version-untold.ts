import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition } from '../../../src/rpc/messages.ts';
import { atNextCall, type Call, type Fault, kill } from './fault.ts';

const { setVersion } = ChunkserverDefinition.methods;
/** So long a version is waited for. */
const ARMED_MS_MAX = 2 * SECOND_MS;

/**
 * The master dies when the next version is in its log, and before anybody else knows: no member has recorded what the log
 * says (P1, P3). Or some have: what has left the machine arrives.
 */
export const VERSION_UNTOLD: Fault = {
  name: 'version untold',
  inject: (scene) => {
    const { cluster, dice } = scene;
    const { master, network, simulation } = cluster;
    const arrives = dice.chance(0.3);
    const isOrder = ({ name }: Call) => name === setVersion.name;
    atNextCall(scene, ARMED_MS_MAX, isOrder, () => {
      simulation.count('version told to few or nobody');
      if (!arrives) network.reset(master.name);
      simulation.schedule(0, () => {
        if (!scene.over) kill(scene, master);
      });
    });
  },
};
