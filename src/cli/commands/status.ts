import type { Command } from 'commander';
import { formatSize, SECOND_MS } from '../../base/units.ts';
import { MasterDefinition, type StatusResponse } from '../../rpc/messages.ts';
import { addCommonKeys, askMaster, type CommonKeys, print, realWorld } from './common.ts';
import { properties, table } from './table.ts';
import { bytesLine, mutationsLine, operationsLine, readsLine } from './traffic.ts';

export function addStatus(gfs: Command): void {
  const command = gfs
    .command('status')
    .description('show how the file system is: space, traffic, files, chunks, clients');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs status --json | jq .freeBytes');
  command.action(async ({ master, json }: CommonKeys) => {
    const world = realWorld();
    const status = await askMaster(world, master, MasterDefinition.methods.status, {});
    print(status, json, (value) => describe(value, world.env.nowMs()));
  });
}

function describe(status: StatusResponse, nowMs: number): string {
  const overview = properties([
    ['file system', status.filesystemId],
    ['master up for', span(nowMs - status.startedAtMs)],
    ['chunk size', formatSize(status.chunkSizeBytes)],
    ['copies', status.replication],
    ['servers', `${status.serverCountAlive} of ${status.serverCount} alive`],
    ['space', `${formatSize(status.freeBytes)} free of ${formatSize(status.totalBytes)}`],
    ['stored', `${formatSize(status.usedBytes)} (all copies)`],
    ...trafficOf(status),
    ['files', status.inodeCount],
    [
      'chunks',
      `${status.chunkCount} (${status.chunkCountUnderGoal} below their goal, ${status.chunkCountLost} lost)`,
    ],
    ['bad replicas', `${status.badReplicaReportCount} reported by readers`],
    ['log', `position ${status.logPosition}, checkpoint at ${status.checkpointPosition}`],
    ...(status.chunkCountBeyondLog === 0
      ? []
      : [
          [
            'log lost its end',
            `${status.chunkCountBeyondLog} chunks wait for servers that know more`,
          ] as const,
        ]),
  ]);
  return [overview, ...longCommandsOf(status, nowMs), ...sessionsOf(status)].join('\n\n');
}

function longCommandsOf({ longCommands }: StatusResponse, nowMs: number): string[] {
  if (longCommands.length === 0) return [];
  const rows = longCommands.map(({ uid, startedAtMs, progress }) => [
    'removal of a tree',
    uid,
    span(nowMs - startedAtMs),
    progress?.doneCount ?? 0,
    progress?.count || '?',
  ]);
  return [table(['IN THE BACKGROUND', 'USER', 'FOR', 'NAMES GONE', 'OF'], rows)];
}

function sessionsOf(status: StatusResponse): string[] {
  if (status.sessions.length === 0) return [];
  const sessions = table(
    ['CLIENT', 'HOST', 'PROGRAM', 'OPEN FILES'],
    status.sessions.map(({ session, host, program, openFileCount }) => [
      session,
      host,
      program,
      openFileCount,
    ]),
  );
  return [sessions];
}

function trafficOf({ traffic }: StatusResponse): [string, string][] {
  if (traffic === undefined) return [];
  return [
    ['traffic', bytesLine(traffic)],
    ['operations', operationsLine(traffic)],
    ['reads', readsLine(traffic)],
    ['mutations', mutationsLine(traffic)],
  ];
}

function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / SECOND_MS));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const shown = parts.filter(([count]) => count > 0).slice(0, 2);
  return shown.length === 0 ? '0 s' : shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}
