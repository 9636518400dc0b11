import type { Command } from 'commander';
import { hex, inodeId } from '../../base/ids.ts';
import type { FileStatus } from '../../client/api.ts';
import { type Attributes, ChunkserverDefinition, FileType, type Time } from '../../rpc/messages.ts';
import {
  addCommonKeys,
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
  readonly mtime: string;
  readonly extents: readonly {
    readonly start: number;
    readonly handle: number;
    readonly version: number;
    readonly sealed: boolean;
    readonly primary: number;
    /** `version` null: the server does not answer, or holds no replica (yet). */
    readonly replicas: readonly { readonly server: number; readonly version: number | null }[];
  }[];
}

export function addStat(gfs: Command): void {
  const command = gfs
    .command('stat <path>')
    .description('show a file: attributes, chunks, and where their copies are');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs stat /photos/2024/beach.raw');
  command.action(async (path: string, { master, json }: CommonKeys) => {
    const world = realWorld();
    const caller = ownIdentity();
    const status = await withClient(world, master, `gfs stat ${path}`, async (client) => {
      const { inode, type, ...attributes } = await client.resolve(
        Buffer.from(path),
        { followLast: false },
        { caller },
      );
      if (type !== FileType.FILE_TYPE_REGULAR)
        return { attributes: { inode, type, ...attributes }, extents: [] };
      return await client.statFile(inodeId(inode), { caller });
    });
    print(await describe(world, status), json, (value) => text(path, value));
  });
}

async function describe(world: World, { attributes, extents }: FileStatus): Promise<FileDescription> {
  const versions = await replicaVersions(world, extents);
  return {
    inode: attributes.inode,
    type: typeName(attributes),
    mode: (attributes.mode & 0o7777).toString(8).padStart(4, '0'),
    uid: attributes.uid,
    gid: attributes.gid,
    links: attributes.linkCount,
    length: attributes.length,
    mtime: iso(attributes.mtime),
    extents: extents.map(({ start, chunk, version, sealed, primary, members }) => ({
      start,
      handle: chunk,
      version,
      sealed,
      primary,
      replicas: members.map(({ server }) => ({ server, version: versions.get(server)?.get(chunk) ?? null })),
    })),
  };
}

/** Server → chunk → version, from the servers themselves; what cannot be had is missing. */
async function replicaVersions(
  world: World,
  extents: FileStatus['extents'],
): Promise<Map<number, Map<number, number>>> {
  const asked = new Map<number, { address: string; chunks: number[] }>();
  for (const { chunk, members } of extents) {
    for (const { server, address } of members) {
      const entry = asked.get(server) ?? { address, chunks: [] };
      entry.chunks.push(chunk);
      asked.set(server, entry);
    }
  }
  const answers = await Promise.all(
    [...asked].map(async ([server, { address, chunks }]): Promise<[number, Map<number, number>]> => {
      const method = ChunkserverDefinition.methods.checkVersion;
      const states = await askServer(world, address, method, { chunks }).then(
        (reply) => reply.message.chunks,
        () => [],
      );
      return [server, new Map(states.map(({ chunk, version }) => [chunk, version]))];
    }),
  );
  return new Map(answers);
}

function text(path: string, file: FileDescription): string {
  const overview = properties([
    ['path', path],
    ['inode', file.inode],
    ['type', file.type],
    ['mode', `${file.mode} uid ${file.uid} gid ${file.gid} links ${file.links}`],
    ['length', file.length],
    ['modified', file.mtime],
  ]);
  if (file.extents.length === 0) return overview;
  const rows = file.extents.map(({ start, handle, version, sealed, primary, replicas }) => [
    start,
    hex(handle),
    version,
    sealed ? 'sealed' : primary === 0 ? '-' : primary,
    replicas.map((replica) => `${replica.server}:${replica.version ?? '?'}`).join(' '),
  ]);
  return `${overview}\n\n${table(['OFFSET', 'CHUNK', 'VERSION', 'PRIMARY', 'SERVER:VERSION'], rows)}`;
}

function typeName({ type }: Attributes): string {
  const names: Record<number, string> = {
    [FileType.FILE_TYPE_REGULAR]: 'file',
    [FileType.FILE_TYPE_DIRECTORY]: 'directory',
    [FileType.FILE_TYPE_SYMLINK]: 'symbolic link',
    [FileType.FILE_TYPE_FIFO]: 'fifo',
    [FileType.FILE_TYPE_SOCKET]: 'socket',
    [FileType.FILE_TYPE_BLOCK_DEVICE]: 'block device',
    [FileType.FILE_TYPE_CHARACTER_DEVICE]: 'character device',
  };
  return names[type] ?? 'unknown';
}

function iso(time: Time | undefined): string {
  return time === undefined ? '-' : new Date(time.seconds * 1000 + time.nanos / 1e6).toISOString();
}
