import type { Command } from 'commander';
import { hex, inodeId } from '../../base/ids.ts';
import type { FileStatus } from '../../client/api.ts';
import { type ChunkState, ChunkserverDefinition, FileType, MasterDefinition } from '../../rpc/messages.ts';
import { isoText, octalText, typeText } from '../files/mode-text.ts';
import { named } from '../files/named-error.ts';
import { clusterPath } from '../files/places.ts';
import { shown } from '../files/shown-name.ts';
import {
  addCommonKeys,
  askMaster,
  askServer,
  type CommonKeys,
  ownIdentity,
  print,
  realWorld,
  type World,
  withClient,
} from './common.ts';
import { properties, table } from './table.ts';

/** What `--json` prints. Servers are chunkserver ids, as in `gfs servers`; 0: no primary now. */
interface FileDescription {
  readonly inode: number;
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly length: number;
  /** Copies wanted of each chunk, of a regular file. */
  readonly goal?: number;
  readonly mtime: string;
  readonly extents: readonly {
    readonly start: number;
    readonly handle: number;
    readonly version: number;
    readonly sealed: boolean;
    readonly primary: number;
    /** `version` null: the server does not answer, or holds no replica (yet). */
    readonly replicas: readonly { readonly server: number; readonly version: number | null }[];
    /** Servers that are no members and hold a copy: one that is being made (`learner`), or one of no use any more. */
    readonly others: readonly {
      readonly server: number;
      readonly version: number;
      readonly learner: boolean;
    }[];
  }[];
}

export function addStat(gfs: Command): void {
  const command = gfs
    .command('stat <path>')
    .description('show a file: attributes, chunks, and where their copies are');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs stat /photos/2024/beach.raw');
  command.action(async (argument: string, { master, json }: CommonKeys) => {
    const path = clusterPath(argument);
    const world = realWorld();
    const caller = ownIdentity();
    const status = await withClient(world, master, 'gfs stat', async (client) => {
      try {
        const attributes = await client.resolve(path, { followLast: false }, { caller });
        if (attributes.type !== FileType.FILE_TYPE_REGULAR) return { attributes, extents: [] };
        return await client.statFile(inodeId(attributes.inode), { caller });
      } catch (error) {
        throw named(path, error);
      }
    });
    const { servers } = await askMaster(world, master, MasterDefinition.methods.listServers, {});
    const alive = servers.filter((server) => server.alive);
    print(await describe(world, status, alive), json, (value) => text(shown(path), value));
  });
}

async function describe(
  world: World,
  { attributes, extents }: FileStatus,
  servers: Holders['servers'],
): Promise<FileDescription> {
  const states = await replicaStates(world, { extents, servers });
  return {
    inode: attributes.inode,
    type: typeText(attributes.type),
    mode: octalText(attributes.mode),
    uid: attributes.uid,
    gid: attributes.gid,
    links: attributes.linkCount,
    length: attributes.length,
    ...(attributes.goal > 0 ? { goal: attributes.goal } : {}),
    mtime: isoText(attributes.mtime),
    extents: extents.map(({ start, chunk, version, sealed, primary, members }) => ({
      start,
      handle: chunk,
      version,
      sealed,
      primary,
      replicas: members.map(({ server }) => ({
        server,
        version: states.get(server)?.get(chunk)?.version ?? null,
      })),
      others: [...states].flatMap(([server, held]) => {
        const state = held.get(chunk);
        if (state === undefined || members.some((member) => member.server === server)) return [];
        return [{ server, version: state.version, learner: state.learner }];
      }),
    })),
  };
}

/** Server → chunk → what it holds, from the servers themselves; what cannot be had is missing. */
async function replicaStates(
  world: World,
  { extents, servers }: Holders,
): Promise<Map<number, Map<number, ChunkState>>> {
  const addresses = new Map<number, string>();
  for (const { server, address } of [...servers, ...extents.flatMap(({ members }) => members)]) {
    addresses.set(server, address);
  }
  const chunks = extents.map(({ chunk }) => chunk);
  const answers = await Promise.all(
    [...addresses].map(async ([server, address]): Promise<[number, Map<number, ChunkState>]> => {
      const method = ChunkserverDefinition.methods.checkVersion;
      const states = await askServer(world, address, method, { chunks }).then(
        (reply) => reply.message.chunks,
        () => [],
      );
      return [server, new Map(states.map((state) => [state.chunk, state]))];
    }),
  );
  return new Map(answers);
}

interface Holders {
  readonly extents: FileStatus['extents'];
  /** That are alive, members or not. */
  readonly servers: readonly { readonly server: number; readonly address: string }[];
}

function text(path: string, file: FileDescription): string {
  const overview = properties([
    ['path', path],
    ['inode', file.inode],
    ['type', file.type],
    ['mode', `${file.mode} uid ${file.uid} gid ${file.gid} links ${file.links}`],
    ['length', file.length],
    ...(file.goal === undefined ? [] : [['copies', file.goal] as const]),
    ['modified', file.mtime],
  ]);
  if (file.extents.length === 0) return overview;
  const rows = file.extents.map(({ start, handle, version, sealed, primary, replicas, others }) => [
    start,
    hex(handle),
    version,
    sealed ? 'sealed' : primary === 0 ? '-' : primary,
    [
      ...replicas.map((replica) => `${replica.server}:${replica.version ?? '?'}`),
      ...others.map(
        ({ server, version, learner }) => `(${server}:${version}${learner ? ' copying' : ' old'})`,
      ),
    ].join(' '),
  ]);
  return `${overview}\n\n${table(['OFFSET', 'CHUNK', 'VERSION', 'PRIMARY', 'SERVER:VERSION'], rows)}`;
}
