import { SECOND_MS } from '../../../src/base/units.ts';
import type { CommandBodies, CommandBody, CommandCase } from '../../../src/core/metadata/commands.ts';
import { Tables } from '../../../src/core/metadata/tables.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../../src/rpc/messages.ts';
import { MASTER_ADDRESS } from '../cluster.ts';
import type { SimDisk } from '../sim-disk.ts';
import { atNextCall, type Call, type Fault, type Scene } from './fault.ts';
import { cutPowerOfMaster, newestSegment } from './master-log.ts';

/**
 * What the log can lose without a name, a length or the place of bytes going with it, which nobody could bring back: so all
 * that is checked holds as ever, and only what servers and clients know of the lost commands keeps it up. A file that was
 * opened, and was there before, is no name either.
 */
const WITHOUT_NAMES: ReadonlySet<CommandCase> = new Set([
  'openSession',
  'closeSession',
  'reserveWriters',
  'raiseVersion',
  'reap',
  'forgetGarbage',
]);

/** After each of them there is something at the log's end that can be lost, and somebody who relies on it. */
const TELLING: ReadonlySet<string> = new Set([
  ChunkserverDefinition.methods.setVersion.name,
  MasterDefinition.methods.dealWriters.name,
]);
/** A sync, an answer, and what is done with it. */
const TOLD_MS_MAX = 20;
/** Files are opened in a new session, and written to. */
const IN_SESSION_MS_MAX = 300;
const INODES_MAX = 100_000;
/** So long something to lose is waited for. */
const ARMED_MS_MAX = 2 * SECOND_MS;

/** The master's disk loses its power, and with it synced commands from the end of the log (P25): it had lied about the sync. */
export const LOG_TAIL_LOST: Fault = {
  name: 'log tail lost',
  inject: (scene) => {
    const { cluster, dice } = scene;
    if (dice.chance(0.5)) {
      loseTailAfter(scene, ({ name }) => TELLING.has(name), TOLD_MS_MAX);
      return;
    }
    // Its session is lost, and perhaps it does not hear of that for some time.
    const client = dice.pick(cluster.clients);
    const { openSession } = MasterDefinition.methods;
    const isOpening = ({ from, name }: Call) => from === client.name && name === openSession.name;
    loseTailAfter(scene, isOpening, IN_SESSION_MS_MAX, () => {
      if (dice.chance(0.5)) return;
      cluster.network.partition(client.name, cluster.master.name);
      scene.after(() => cluster.network.heal(client.name, cluster.master.name));
    });
    client.kill();
    client.start();
  },
};

/** Soon after the next call of this kind. */
function loseTailAfter(
  scene: Scene,
  isTelling: (call: Call) => boolean,
  toldMsMax: number,
  also: () => void = () => undefined,
): void {
  const { cluster, dice } = scene;
  atNextCall(scene, ARMED_MS_MAX, isTelling, () => {
    cluster.simulation.schedule(dice.between(0, toldMsMax), () => {
      if (scene.over) return;
      loseTail(scene);
      also();
    });
  });
}

function loseTail({ cluster, dice, after }: Scene): void {
  const { master, simulation, network, stores } = cluster;
  // One that recovers does not know all files.
  const tables = network.serves(MASTER_ADDRESS) && stores.current !== undefined && new Tables(stores.current);
  const made = tables && new Set(tables.inodes(0, INODES_MAX).map(({ inode }) => inode));
  cutPowerOfMaster(cluster);
  const onlyOpens = ({ truncate, inode }: CommandBodies['createFile']) =>
    made && !truncate && !made.has(inode);
  const mayGo = ({ $case, value }: CommandBody) =>
    $case === 'createFile' ? onlyOpens(value) : WITHOUT_NAMES.has($case);
  const lost = cutLog(master.disk, dice.pick([1, 3, 10, 100]), mayGo);
  const kinds = lost.map(({ $case }) => $case);
  for (const kind of kinds) simulation.count(`lost command: ${kind}`);
  simulation.trace(`the log loses ${lost.length} commands: ${kinds.join(', ')}`);
  if (lost.length > 0) {
    simulation.count('synced commands lost');
    for (const listener of cluster.onLogLost) listener(lost);
  }
  after(() => master.start());
}

/** Cuts as many batches off the newest segment as may go; answers their commands. */
function cutLog(disk: SimDisk, batchesMax: number, mayGo: (command: CommandBody) => boolean): CommandBody[] {
  const segment = newestSegment(disk);
  if (segment === undefined) return [];
  const lost: CommandBody[] = [];
  for (let count = 0; count < batchesMax; count += 1) {
    const last = segment.batches.pop();
    if (last === undefined || !last.commands.every(mayGo)) break;
    disk.cut(segment.path, last.start);
    lost.unshift(...last.commands);
  }
  return lost;
}
