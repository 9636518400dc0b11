import { must } from '../../../src/base/assert.ts';
import { SECOND_MS } from '../../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../../src/rpc/messages.ts';
import type { Node } from '../node.ts';
import { atNextCall, type Call, type Fault, type Scene } from './fault.ts';

const { admit } = MasterDefinition.methods;
const { learn } = ChunkserverDefinition.methods;
/** About as long as it takes to log the version with the learner in it, to have it recorded, and to reconcile. */
const ADMISSION_MS_MAX = 50;
/** The teacher does not hear of it for so long at most, and goes on as before. */
const UNHEARD_MS_MAX = 300;
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
 * The next primary that asks for the admission of its learner (P9) does not reach it from then on, hears of the master late,
 * and dies soon: what clients are told meanwhile, and it was not required for, the learner lacks, and is a member.
 */
export const LESSON_BROKEN_OFF: Fault = {
  name: 'lesson broken off',
  inject: (scene) => {
    const { cluster, dice, durationMs } = scene;
    const { master, network, servers, simulation } = cluster;
    /** By teacher. */
    const learners = new Map<string, string>();
    const isAdmission = ({ from, to, name }: Call) => {
      if (name === learn.name) learners.set(from, to);
      return name === admit.name && learners.has(from);
    };
    atNextCall(scene, Math.max(durationMs, ARMED_MS_MIN), isAdmission, ({ from }) => {
      const learner = must(learners.get(from), 'its teacher asks');
      simulation.count('learner cut off from its teacher');
      network.block(from, learner);
      network.block(master.name, from);
      const unheardMs = dice.between(0, UNHEARD_MS_MAX);
      simulation.schedule(unheardMs, () => network.heal(master.name, from));
      simulation.schedule(unheardMs + dice.between(0, ADMISSION_MS_MAX), () => {
        const teacher = servers.find((server) => server.name === from);
        if (scene.over || teacher === undefined) return;
        kill(scene, teacher);
        scene.after(() => network.heal(from, learner));
      });
    });
  },
};

function kill({ after }: Scene, node: Node): void {
  node.kill();
  after(() => node.start());
}
