import { SECOND_MS } from '../../../src/base/units.ts';
import type { CommandCase } from '../../../src/core/metadata/commands.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../../src/rpc/messages.ts';
import { decodeCommand } from '../../../src/storage/oplog-codec.ts';
import { decodeBatch, SEGMENT_HEADER_BYTES } from '../../../src/storage/oplog-format.ts';
import type { SimDisk } from '../sim-disk.ts';
import type { Fault, Scene } from './fault.ts';

/**
 * What the log can lose without a name, a length or the place of bytes going with it, which nobody could bring back: so all
 * that is checked holds as ever, and only what the servers know of the lost commands keeps it up. Sessions stay too: the
 * number of a lost one is dealt to another client.
 */
const WITHOUT_NAMES: ReadonlySet<CommandCase> = new Set([
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
/** So long something to lose is waited for. */
const ARMED_MS_MAX = 2 * SECOND_MS;

/** The master's disk loses its power, and with it synced commands from the end of the log (P25): it had lied about the sync. */
export const LOG_TAIL_LOST: Fault = {
  name: 'log tail lost',
  inject: (scene) => {
    const { cluster, dice } = scene;
    const { network, simulation } = cluster;
    const endMs = simulation.nowMs + ARMED_MS_MAX;
    let armed = true;
    network.onSent.push(({ frame }) => {
      if (!armed || frame.kind !== 'open' || !TELLING.has(frame.route.method.name)) return;
      armed = false;
      if (simulation.nowMs > endMs) return;
      simulation.schedule(dice.between(0, TOLD_MS_MAX), () => {
        if (!scene.over) loseTail(scene);
      });
    });
  },
};

function loseTail({ cluster, dice, after }: Scene): void {
  const { master, simulation } = cluster;
  master.powerCut();
  const lost = cutLog(master.disk, dice.pick([1, 3, 10, 100]));
  for (const command of lost) simulation.count(`lost command: ${command}`);
  simulation.trace(`the log loses ${lost.length} commands: ${lost.join(', ')}`);
  if (lost.length > 0) {
    simulation.count('synced commands lost');
    for (const listener of cluster.onLogLost) listener();
  }
  after(() => master.start());
}

/** Cuts as many batches off the newest segment as may go; answers their commands. */
function cutLog(disk: SimDisk, batchesMax: number): CommandCase[] {
  const path = disk.names
    .filePaths()
    .filter((one) => one.startsWith('/data/oplog/') && one.endsWith('.oplog'))
    .sort()
    .at(-1);
  if (path === undefined) return [];
  const file = disk.names.file(path);
  const segment = Buffer.alloc(file.length);
  file.read(segment, 0);
  const batches: { start: number; commands: CommandCase[] }[] = [];
  for (let at = SEGMENT_HEADER_BYTES; ; ) {
    const batch = decodeBatch(segment, at);
    if (batch === undefined) break;
    batches.push({ start: at, commands: batch.commands.map((command) => decodeCommand(command).body.$case) });
    at = batch.end;
  }
  const lost: CommandCase[] = [];
  for (let count = 0; count < batchesMax; count += 1) {
    const last = batches.pop();
    if (last === undefined || !last.commands.every((command) => WITHOUT_NAMES.has(command))) break;
    disk.cut(path, last.start);
    lost.unshift(...last.commands);
  }
  return lost;
}
