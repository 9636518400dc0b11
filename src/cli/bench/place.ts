import { constants } from 'node:fs';
import { access, mkdir, readFile, realpath, stat, statfs, unlink } from 'node:fs/promises';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import { inodeId } from '../../base/ids.ts';
import { formatSize } from '../../base/units.ts';
import { FileType, type StatusResponse } from '../../rpc/messages.ts';
import type { Files } from '../files/files.ts';
import { named, refusal } from '../files/named-error.ts';
import { foundDirectory, joinPath } from '../files/places.ts';
import { shown } from '../files/shown-name.ts';
import type { Site } from './site.ts';

const NAME_PREFIX = 'gfs-bench-';
const NAME_DIGITS = 12;
const DIRECTORY_MODE = 0o755;

/** Where figures are measured, for people and programs. */
export interface PlaceFacts {
  readonly kind: 'directory' | 'cluster';
  readonly path: string;
  /** "ext4", "fuse.gfs"; of a cluster, "3 of 3 servers, 3 copies". */
  readonly description: string;
}

/** A directory of this run's own, in the cluster or on this machine. */
export interface Place {
  readonly site: Site;
  readonly facts: PlaceFacts;
  /** In the cluster or here, as a person is told it. */
  readonly shownPath: string;
  make(): Promise<void>;
  /** The length of a file that all clients share; it is removed. */
  takeLength(name: string): Promise<number>;
}

/** Looks whether figures can be measured there. Nothing is made. */
export async function localPlace(env: Env, path: Buffer, needBytes: number): Promise<Place> {
  try {
    const real = await realpath(path, { encoding: 'buffer' });
    if (!(await stat(real)).isDirectory()) throw new GfsError('NOT_DIRECTORY', '');
    await access(real, constants.W_OK | constants.X_OK);
    const { bavail, bsize, blocks } = await statfs(real);
    // Some tell nothing.
    if (blocks > 0) mustHaveRoom(path, { needBytes, freeBytes: bavail * bsize });
    const directory = joinPath(real, nameOfRun(env));
    return {
      site: { kind: 'local', directory },
      facts: { kind: 'directory', path: shown(path), description: await fileSystemOf(real.toString()) },
      shownPath: shown(directory),
      make: async () => {
        await mkdir(directory, DIRECTORY_MODE).catch((error: unknown) => {
          throw named(path, error);
        });
      },
      takeLength: async (name) => {
        const file = joinPath(directory, Buffer.from(name));
        const { size } = await stat(file);
        await unlink(file);
        return size;
      },
    };
  } catch (error) {
    throw named(path, error);
  }
}

export async function clusterPlace(
  files: Files,
  { masters, path, needBytes }: { masters: readonly string[]; path: Buffer; needBytes: number },
  status: StatusResponse,
): Promise<Place> {
  const { client, call } = files;
  if (status.serverCountAlive === 0) throw new GfsError('UNAVAILABLE', 'no chunkserver is alive');
  const parent = inodeId((await foundDirectory(files, path)).inode);
  const { availableBytes } = await client.statFilesystem(call);
  mustHaveRoom(path, { needBytes, freeBytes: availableBytes });
  const name = nameOfRun(files.env);
  const { serverCountAlive, serverCount, replication } = status;
  const servers = `${serverCountAlive} of ${serverCount} servers, ${replication} copies`;
  const whole = joinPath(path, name);
  return {
    site: { kind: 'cluster', masters, path: whole, parent, name },
    facts: { kind: 'cluster', path: shown(path), description: servers },
    shownPath: `gfs:${shown(whole)}`,
    make: async () => {
      const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: DIRECTORY_MODE };
      await client.makeNode(parent, name, node, call).catch((error: unknown) => {
        throw named(path, error);
      });
    },
    takeLength: async (file) => {
      const directory = inodeId((await client.lookup(parent, name, call)).inode);
      const { length } = await client.lookup(directory, Buffer.from(file), call);
      await client.unlink(directory, Buffer.from(file), call);
      return length;
    },
  };
}

function nameOfRun(env: Env): Buffer {
  return Buffer.from(NAME_PREFIX + env.uniqueId().slice(0, NAME_DIGITS));
}

function mustHaveRoom(
  path: Buffer,
  { needBytes, freeBytes }: { needBytes: number; freeBytes: number },
): void {
  if (freeBytes >= needBytes) return;
  const room = `${formatSize(needBytes)} are needed, and ${formatSize(freeBytes)} free`;
  throw refusal(path, 'NO_SPACE', `${room}: a smaller --size or fewer --clients need less`);
}

/** The type of the file system that a path is on: that of the last mount on the longest way to it. */
async function fileSystemOf(path: string): Promise<string> {
  const table = await readFile('/proc/self/mounts', 'utf8').catch(() => '');
  let [longest, found] = ['', 'unknown'];
  for (const line of table.split('\n')) {
    const [, point = '', type = ''] = line.split(' ');
    const mount = point.replace(/\\(\d{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    const leads = mount === '/' || path === mount || path.startsWith(`${mount}/`);
    if (mount !== '' && leads && mount.length >= longest.length) [longest, found] = [mount, type];
  }
  return found;
}
