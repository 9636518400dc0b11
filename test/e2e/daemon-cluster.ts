// A real cluster whose daemons are killed, stopped and started one by one, each in a network of its own if wanted. Everything
// is in a temporary directory, and ends with the cluster, however the test ended.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NODE_FLAGS } from '../../src/base/node-flags.ts';
import { type Finished, GFS, isMounted, ROOT, run } from './cluster.ts';
import { Daemon } from './daemon.ts';
import { Namespaces } from './namespaces.ts';

const MASTER = join(ROOT, 'dist/src/cli/gfs-master.js');
const CHUNKSERVER = join(ROOT, 'dist/src/cli/gfs-chunkserver.js');
const MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');
const CHECK_MEMBERS = join(import.meta.dirname, 'check-members.js');
/** Where people's programs run. */
const DESK = 'desk';

export interface DaemonClusterOptions {
  readonly chunkservers?: number;
  readonly mounts?: number;
  readonly chunkSize?: string;
  /** Further keys of the master. */
  readonly master?: readonly string[];
  /** Options of all mounts, as after -o. */
  readonly mountOptions?: string;
  /** Where a directory is made for what daemons keep; usually that is beside their logs. */
  readonly dataIn?: string | undefined;
  /** Each daemon has a network namespace of its own. */
  readonly namespaces?: boolean;
}

export interface Mount {
  readonly daemon: Daemon;
  readonly path: string;
}

export interface Extent {
  readonly start: number;
  readonly handle: number;
  readonly version: number;
  readonly primary: number;
  readonly replicas: readonly { readonly server: number; readonly version: number | null }[];
  readonly others: readonly {
    readonly server: number;
    readonly version: number;
    readonly learner: boolean;
  }[];
}

export class DaemonCluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'gfs-cluster-'));
  readonly master: Daemon;
  readonly servers: Daemon[];
  readonly mounts: Mount[];
  readonly network: Namespaces | undefined;
  readonly #options: DaemonClusterOptions;
  readonly #dataDirectory: string;
  readonly masterAddress: string;

  static async create(options: DaemonClusterOptions = {}): Promise<DaemonCluster> {
    return new DaemonCluster(options, options.namespaces ? 7400 : await freePort());
  }

  private constructor(options: DaemonClusterOptions, masterPort: number) {
    const { chunkservers = 4, mounts = 2, chunkSize = '256KiB', namespaces = false } = options;
    const names = (kind: string, count: number) => Array.from({ length: count }, (_, n) => `${kind}${n}`);
    const serverNames = names('server', chunkservers);
    const mountNames = names('mount', mounts);
    const { dataIn } = options;
    this.#options = options;
    this.#dataDirectory = dataIn === undefined ? this.directory : mkdtempSync(join(dataIn, 'gfs-cluster-'));
    try {
      this.network = namespaces ? new Namespaces([DESK, 'master', ...serverNames, ...mountNames]) : undefined;
    } catch (error) {
      this.#removeDirectories();
      throw error;
    }
    this.masterAddress = `${this.network?.addressOf('master') ?? '127.0.0.1'}:${masterPort}`;
    const listen = ['--listen', this.masterAddress, '--chunk-size', chunkSize];
    const data = ['--data', this.dataOf('master')];
    this.master = this.#daemon('master', MASTER, ...data, ...listen, ...(options.master ?? []));
    this.servers = serverNames.map((name) => this.#server(name, this.dataOf(name)));
    this.mounts = mountNames.map((name) => this.#mount(name, name));
  }

  get daemons(): readonly Daemon[] {
    return [this.master, ...this.servers, ...this.mounts.map(({ daemon }) => daemon)];
  }

  /** A path in the file system, as the first mount (or the one given) shows it. */
  path(name: string, mount = 0): string {
    return join(this.mounts[mount]?.path ?? '', name);
  }

  dataOf(name: string): string {
    return join(this.#dataDirectory, name);
  }

  /** Starts what does not run; resolves when all serve. */
  async start(): Promise<void> {
    for (const daemon of this.daemons) daemon.start();
    for (const daemon of this.daemons) await daemon.ready();
  }

  /** One more mount, on the node of an older one. */
  async mountAgain(): Promise<Mount> {
    const mount = this.#mount(`mount${this.mounts.length}`, 'mount0');
    this.mounts.push(mount);
    mount.daemon.start();
    await mount.daemon.ready();
    return mount;
  }

  /** A server in another's place: on its node, with the data of a directory. It is not started. */
  replaceServer(index: number, dataDirectory: string): Daemon {
    const replaced = this.#server(`server${index}`, dataDirectory);
    this.servers[index] = replaced;
    return replaced;
  }

  /** `gfs COMMAND ...`, its exit code and what it printed. */
  async gfs(...args: string[]): Promise<Finished> {
    return await this.#atDesk(GFS, ...args, '--master', this.masterAddress);
  }

  /** The chunks of a file, by its path in the file system. */
  async extents(path: string): Promise<readonly Extent[]> {
    const { code, stdout, stderr } = await this.gfs('stat', `/${path}`, '--json');
    if (code !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { extents: Extent[] }).extents;
  }

  /** The server with that id, as the daemon that it is. */
  async serverOf(id: number): Promise<Daemon> {
    for (const daemon of this.servers) {
      if (daemon.running && (await daemon.ready()).id === id) return daemon;
    }
    throw new Error(`there is no server ${id}`);
  }

  /** What is wrong with the members of these files' chunks: by their servers' checksums, they should be identical. */
  async checkMembers(paths: readonly string[]): Promise<readonly string[]> {
    const argv = [CHECK_MEMBERS, this.masterAddress, ...paths.map((path) => `/${path}`)];
    const { code, stdout, stderr } = await this.#atDesk(...argv);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as string[];
  }

  /** The directories that stay with `close({ keep: true })`. */
  get directories(): readonly string[] {
    return [...new Set([this.directory, this.#dataDirectory])];
  }

  /** Ends everything; kept data stays until somebody removes `directories`. Safe to call twice. */
  async close({ keep = false } = {}): Promise<void> {
    // A stopped process hears no SIGTERM.
    for (const daemon of this.daemons) daemon.signal('SIGCONT');
    for (const { daemon } of this.mounts) await daemon.stop();
    for (const daemon of [...this.servers, this.master]) await daemon.stop();
    for (const { path } of this.mounts) while (isMounted(path)) execFileSync('umount', ['-l', path]);
    this.network?.close();
    if (!keep) this.#removeDirectories();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #removeDirectories(): void {
    for (const directory of this.directories) rmSync(directory, { recursive: true, force: true });
  }

  async #atDesk(...argv: string[]): Promise<Finished> {
    const [command = '', ...args] = [...(this.network?.enter(DESK) ?? []), process.execPath, ...argv];
    return await run(command, args);
  }

  #daemon(node: string, ...argv: string[]): Daemon {
    return this.#daemonOn(node, node, argv);
  }

  #daemonOn(node: string, name: string, argv: readonly string[]): Daemon {
    const enter = this.network?.enter(node) ?? [];
    return new Daemon(
      name,
      [...enter, process.execPath, ...NODE_FLAGS, ...argv],
      join(this.directory, 'log'),
    );
  }

  #server(name: string, dataDirectory: string): Daemon {
    const keys = ['--data', dataDirectory, '--master', this.masterAddress, '--reserve', '64MiB'];
    // A server keeps the address where it was known, as one with a fixed port does.
    const listen = this.network === undefined ? [] : ['--listen', `${this.network.addressOf(name)}:7500`];
    return this.#daemon(name, CHUNKSERVER, ...keys, ...listen);
  }

  #mount(name: string, node: string): Mount {
    const path = join(this.directory, `mnt-${name}`);
    mkdirSync(path);
    const options = ['-o', this.#options.mountOptions ?? 'defaults'];
    const argv = [MOUNT, '--master', this.masterAddress, '-f', ...options, path];
    return { path, daemon: this.#daemonOn(node, name, argv) };
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  server.close();
  await once(server, 'close');
  return port;
}
