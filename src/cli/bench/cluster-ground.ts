import { hostname } from 'node:os';
import type { Bytes } from '../../base/bytes.ts';
import { GfsError } from '../../base/errors.ts';
import { type InodeId, inodeId } from '../../base/ids.ts';
import { MiB, SECOND_MS } from '../../base/units.ts';
import type { Call, GfsFile } from '../../client/api.ts';
import { GfsClient } from '../../client/gfs-client.ts';
import { FileType } from '../../rpc/messages.ts';
import { ownIdentity, type World } from '../commands/common.ts';
import { isNotFound } from '../files/named-error.ts';
import type { Ground, GroundFile, OpenHow } from './ground.ts';

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** As a mount: a cluster that is being mended answers again. */
const IO_TIMEOUT_MS = 60 * SECOND_MS;
/** Nothing is read twice. */
const CACHE_BYTES = 32 * MiB;

export interface ClusterGroundInit {
  readonly world: World;
  readonly masters: readonly string[];
  /** The directory of this run. */
  readonly parent: number;
  readonly name: Uint8Array;
  /** Gives up what is under way. */
  readonly signal: AbortSignal;
}

/** The cluster, through a client library of this process's own. */
export class ClusterGround implements Ground {
  readonly #init: ClusterGroundInit;
  readonly #root: InodeId;
  readonly #call: Call;
  #client: GfsClient;
  /** What paths mean that lead to directories. */
  readonly #directories = new Map<string, InodeId>();

  static async connect(init: ClusterGroundInit): Promise<ClusterGround> {
    const client = await connect(init);
    const call = { caller: ownIdentity(), signal: init.signal };
    const { inode } = await client.lookup(inodeId(init.parent), init.name, call);
    return new ClusterGround(init, { client, call, root: inodeId(inode) });
  }

  private constructor(
    init: ClusterGroundInit,
    { client, call, root }: { client: GfsClient; call: Call; root: InodeId },
  ) {
    this.#init = init;
    this.#root = root;
    this.#call = call;
    this.#client = client;
  }

  async makeDirectory(path: string): Promise<void> {
    const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: DIRECTORY_MODE };
    const [parent, name] = this.#placeOf(path);
    const { inode } = await this.#client.makeNode(parent, name, node, this.#call);
    this.#directories.set(path, inodeId(inode));
  }

  async open(path: string, how: OpenHow): Promise<GroundFile> {
    const [parent, name] = this.#placeOf(path);
    const append = how === 'append';
    if (how === 'create' || append) {
      const mode = { write: true, append, exclusive: !append, mode: FILE_MODE };
      const { file } = await this.#client.create(parent, name, mode, this.#call);
      return new ClusterFile(file, this.#init.signal);
    }
    const { inode } = await this.#client.lookup(parent, name, this.#call);
    const mode = how === 'read' ? { read: true } : { write: true };
    const { file } = await this.#client.open(inodeId(inode), mode, this.#call);
    return new ClusterFile(file, this.#init.signal);
  }

  async stat(path: string): Promise<number | undefined> {
    try {
      return (await this.#client.lookup(...this.#placeOf(path), this.#call)).length;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async unlink(path: string): Promise<void> {
    await this.#client.unlink(...this.#placeOf(path), this.#call);
  }

  /** Another client has nothing in its caches. */
  async forget(): Promise<void> {
    await this.#client.close();
    this.#client = await connect(this.#init);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #placeOf(path: string): [InodeId, Buffer] {
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? this.#root : this.#directories.get(path.slice(0, slash));
    if (parent === undefined) throw new GfsError('NOT_FOUND', `${path}: no such directory`);
    return [parent, Buffer.from(path.slice(slash + 1))];
  }
}

function connect({ world, masters, signal }: ClusterGroundInit): Promise<GfsClient> {
  return GfsClient.connect(
    {
      ...{ ...world, masters, host: hostname(), program: 'gfs bench' },
      ...{ ioTimeoutMs: IO_TIMEOUT_MS, cacheBytes: CACHE_BYTES },
    },
    { signal },
  );
}

class ClusterFile implements GroundFile {
  readonly #file: GfsFile;
  readonly #waiting: { readonly signal: AbortSignal };

  constructor(file: GfsFile, signal: AbortSignal) {
    this.#file = file;
    this.#waiting = { signal };
  }

  read(fileOffset: number, length: number): Promise<Bytes> {
    return this.#file.read(fileOffset, length, this.#waiting);
  }

  write(fileOffset: number, bytes: Buffer): Promise<void> {
    return this.#file.write(fileOffset, [bytes], this.#waiting);
  }

  async append(bytes: Buffer): Promise<void> {
    await this.#file.append([bytes], this.#waiting);
  }

  sync(): Promise<void> {
    return this.#file.sync(this.#waiting);
  }

  close(): Promise<void> {
    return this.#file.close(this.#waiting);
  }
}
