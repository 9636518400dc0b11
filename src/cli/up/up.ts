import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Env } from '../../base/env.ts';
import { codeOf, GfsError } from '../../base/errors.ts';
import { formatSize } from '../../base/units.ts';
import type { Transport } from '../../rpc/node-network.ts';
import { NodeDisk } from '../../storage/node-disk.ts';
import { PACKAGE_ROOT } from '../version.ts';
import { DaemonProcess } from './daemon-process.ts';
import { CLUSTER_VARIABLE, findLeftovers, stopLeftovers } from './leftovers.ts';
import { checkTools } from './tools.ts';

export interface UpOptions {
  readonly env: Env;
  readonly data: string;
  readonly mount: string;
  readonly chunkserverCount: number;
  readonly listen: string;
  /** Where programs find gfs.v1.Files. */
  readonly gateway: string;
  readonly chunkSizeBytes?: number | undefined;
  readonly replication?: number | undefined;
  /** Of the mount. */
  readonly transport: Transport;
  readonly reserveBytes?: number | undefined;
  readonly logLevel: string;
  /** Resolves when the person wants the cluster to stop. */
  readonly stopRequested: Promise<string>;
}

/** Flushing what a mount still holds may take its time; the others only finish what is in flight. */
const MOUNT_PATIENCE_MS = 120_000;
const DAEMON_PATIENCE_MS = 15_000;

class Stopped extends Error {}

interface Cluster {
  master?: { process: DaemonProcess; address: string };
  chunkservers: { process: DaemonProcess; id: number; address: string; data: string }[];
  gateway?: { process: DaemonProcess; address: string };
  /** `listen`: where it answers HTTP. */
  mount?: { process: DaemonProcess; path: string; listen: string };
}

/**
 * A whole cluster on this machine, until asked to stop: a master, chunkservers, a gateway and a mount, each a process of its own.
 * The data stays. A daemon that dies is reported at once, and the rest goes on.
 */
export async function up(options: UpOptions): Promise<void> {
  checkTools();
  const data = resolve(options.data);
  const mountPoint = resolve(options.mount);
  makeDirectory(data, 'data');
  const lock = await lockData(data);
  const started: DaemonProcess[] = [];
  const cluster: Cluster = { chunkservers: [] };
  const stopped = options.stopRequested.then((why) => {
    throw new Stopped(why);
  });
  // Awaited in races only; a stop that comes when no race is on must not count as unhandled.
  stopped.catch(() => undefined);
  try {
    await stopLeftovers(options.env, findLeftovers(data));
    await Promise.race([start(options, { data, mountPoint }, started, cluster), stopped]);
    writeClusterFile(data, cluster);
    describe(options, data, cluster);
    await stopped;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    process.stdout.write(`\nStopping (${error.message}): writing out what is left, unmounting ...\n`);
  } finally {
    await stopAll(started);
    rmSync(clusterFile(data), { force: true });
    await lock.close();
  }
  process.stdout.write(`Stopped. The data stays in ${data}\n`);
}

async function start(
  options: UpOptions,
  { data, mountPoint }: { data: string; mountPoint: string },
  started: DaemonProcess[],
  cluster: Cluster,
): Promise<void> {
  const launch = (label: string, script: string, argv: readonly string[]): DaemonProcess => {
    const daemon = new DaemonProcess({
      env: options.env,
      label,
      argv: [join(PACKAGE_ROOT, 'dist', script), ...argv],
      logFile: join(data, 'log', `${label.replace(' ', '-')}.log`),
      environment: { [CLUSTER_VARIABLE]: data },
      onDied: (died, how) => {
        process.stderr.write(
          `gfs up: ${died.label} (pid ${died.pid}) died: ${how}; the rest goes on. Its log: ${died.logFile}\n`,
        );
      },
    });
    started.push(daemon);
    return daemon;
  };
  const logLevel = ['--log-level', options.logLevel];

  const master = launch('master', 'src/cli/gfs-master.js', [
    ...['--data', join(data, 'master'), '--listen', options.listen],
    ...(options.chunkSizeBytes === undefined ? [] : ['--chunk-size', String(options.chunkSizeBytes)]),
    ...(options.replication === undefined ? [] : ['--replication', String(options.replication)]),
    ...logLevel,
  ]);
  const { address } = (await master.ready()) as { address: string };
  cluster.master = { process: master, address };

  warnOfMoreChunkservers(data, options.chunkserverCount);
  cluster.chunkservers = await Promise.all(
    Array.from({ length: options.chunkserverCount }, async (_, index) => {
      const directory = join(data, `chunkserver-${index + 1}`);
      const server = launch(`chunkserver ${index + 1}`, 'src/cli/gfs-chunkserver.js', [
        ...['--data', directory, '--master', address],
        ...(options.reserveBytes === undefined ? [] : ['--reserve', String(options.reserveBytes)]),
        ...logLevel,
      ]);
      const ready = (await server.ready()) as { id: number; address: string };
      return { process: server, id: ready.id, address: ready.address, data: directory };
    }),
  );

  const gateway = launch('gateway', 'src/cli/gfs.js', [
    ...['gateway', '--master', address, '--listen', options.gateway],
    ...logLevel,
  ]);

  // A dead mount in the way is no obstacle: it cannot be made, nor need it be, and gfs-mount replaces it.
  if (!isDeadMount(mountPoint)) makeDirectory(mountPoint, 'mount');
  const mount = launch('mount', 'mount/gfs-mount.js', [
    ...['-f', '--master', address, '--transport', options.transport, '--listen', '127.0.0.1:0'],
    // As any other file system that root mounts; for others, fusermount3 may forbid it.
    ...(process.getuid?.() === 0 ? ['-o', 'allow_other'] : []),
    ...logLevel,
    mountPoint,
  ]);
  const { listen } = (await mount.ready()) as { listen: string };
  cluster.mount = { process: mount, path: mountPoint, listen };
  const served = (await gateway.ready()) as { address: string };
  cluster.gateway = { process: gateway, address: served.address };
}

/** Last started, first stopped; those that don't depend on one another together. */
async function stopAll(started: readonly DaemonProcess[]): Promise<void> {
  const of = (label: string) => started.filter((daemon) => daemon.label.startsWith(label));
  await Promise.all(of('mount').map((daemon) => daemon.stop(MOUNT_PATIENCE_MS)));
  await Promise.all(of('gateway').map((daemon) => daemon.stop(DAEMON_PATIENCE_MS)));
  await Promise.all(of('chunkserver').map((daemon) => daemon.stop(DAEMON_PATIENCE_MS)));
  await Promise.all(of('master').map((daemon) => daemon.stop(DAEMON_PATIENCE_MS)));
}

const clusterFile = (data: string) => join(data, 'cluster.json');

/** For programs that want to find the daemons; there while the cluster runs. */
function writeClusterFile(data: string, { master, chunkservers, gateway, mount }: Cluster): void {
  const content = {
    master: master && { pid: master.process.pid, address: master.address },
    chunkservers: chunkservers.map(({ process: server, id, address, data: directory }) => {
      return { id, pid: server.pid, address, data: directory };
    }),
    gateway: gateway && { pid: gateway.process.pid, address: gateway.address },
    mount: mount && { pid: mount.process.pid, path: mount.path, listen: mount.listen },
  };
  const temporary = `${clusterFile(data)}.new`;
  writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`);
  renameSync(temporary, clusterFile(data));
}

function describe(options: UpOptions, data: string, cluster: Cluster): void {
  const { master, chunkservers, gateway, mount } = cluster;
  const lines = [
    'gfs is up.',
    `  mounted at    ${mount?.path}`,
    `  master        ${master?.address} (pid ${master?.process.pid})`,
    ...chunkservers.map(
      ({ id, address, process: server }) => `  chunkserver ${id} ${address} (pid ${server.pid})`,
    ),
    `  gateway       ${gateway?.address} (pid ${gateway?.process.pid}), gRPC for programs`,
    `  data          ${data}`,
    `  logs          ${join(data, 'log')}`,
    `  metrics       /metrics at each of these addresses, and of the mount at http://${mount?.listen}/metrics`,
    ...(options.chunkSizeBytes === undefined
      ? []
      : [`  chunk size    ${formatSize(options.chunkSizeBytes)}`]),
    'Ctrl-C stops it; the data stays.',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function makeDirectory(path: string, what: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new GfsError(
      'IO_ERROR',
      `cannot create the ${what} directory ${path}: ${(error as Error).message}`,
    );
  }
}

function isDeadMount(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTCONN';
  }
}

async function lockData(data: string) {
  try {
    return await new NodeDisk().lock(join(data, 'up.lock'));
  } catch (error) {
    if (codeOf(error) !== 'ALREADY_RUNNING') throw error;
    throw new GfsError(
      'ALREADY_RUNNING',
      `another "gfs up" runs on ${data}: stop it, or give another --data`,
    );
  }
}

function warnOfMoreChunkservers(data: string, count: number): void {
  const more = readdirSync(data).filter((name) => Number(/^chunkserver-(\d+)$/.exec(name)?.[1]) > count);
  if (more.length > 0) {
    process.stderr.write(
      `gfs up: ${more.join(', ')} in ${data} not started (--chunkservers ${count}): copies there are missing\n`,
    );
  }
}
