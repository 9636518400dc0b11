import { must } from '../../../src/base/assert.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../../src/rpc/messages.ts';
import { atNextCall, type Call, type Fault, kill } from './fault.ts';

const { admit } = MasterDefinition.methods;
const { learn, setVersion } = ChunkserverDefinition.methods;
/** From the question to the version in the log. */
const LOGGED_MS_MAX = 1 * SECOND_MS;
/** The old members do not hear of it for so long at most, and go on as before. */
const UNHEARD_MS = [20, 300, 1_500];
/** So long somebody is waited for to ask. */
const ARMED_MS_MIN = 4 * SECOND_MS;

/** kill -9, and started again. */
export const CRASHES: readonly Fault[] = [
  { name: 'kill a server', inject: (scene) => kill(scene, scene.dice.pick(scene.cluster.servers)) },
  { name: 'kill the master', inject: (scene) => kill(scene, scene.cluster.master) },
  { name: 'kill a client', inject: (scene) => kill(scene, scene.dice.pick(scene.cluster.clients)) },
  {
    name: 'kill all',
    inject: (scene) => {
      for (const node of scene.dice.shuffled(scene.cluster.nodes)) {
        if (scene.dice.chance(0.8)) kill(scene, node);
      }
    },
  },
];

/**
 * The next primary that asks for the admission of its learner (P9) does not reach it from then on; it and the other members
 * hear late of the version that has it, and then the teacher dies: what clients are told meanwhile, and the learner was not required for, that
 * lacks, and is a member.
 */
export const LESSON_BROKEN_OFF: Fault = {
  name: 'lesson broken off',
  inject: (scene) => {
    const { cluster, dice, durationMs, after } = scene;
    const { master, network, servers, simulation } = cluster;
    /** By teacher. */
    const learners = new Map<string, string>();
    const isAdmission = ({ from, to, name }: Call) => {
      if (name === learn.name) learners.set(from, to);
      return name === admit.name && learners.has(from);
    };
    atNextCall(scene, Math.max(durationMs, ARMED_MS_MIN), isAdmission, ({ from: teacher }) => {
      const learner = must(learners.get(teacher), 'its teacher asks');
      simulation.count('learner cut off from its teacher');
      network.block(teacher, learner);
      const isTold = ({ name }: Call) => name === setVersion.name;
      atNextCall(scene, LOGGED_MS_MAX, isTold, () => {
        const others = servers.filter(({ name }) => name !== learner);
        for (const { name } of others) network.block(master.name, name);
        const unheardMs = dice.pick(UNHEARD_MS) * dice.next();
        simulation.schedule(unheardMs, () => {
          for (const { name } of others) network.heal(master.name, name);
          if (scene.over) return;
          for (const server of servers) {
            if (server.name === teacher) kill(scene, server);
          }
          after(() => network.heal(teacher, learner));
        });
      });
    });
  },
};
