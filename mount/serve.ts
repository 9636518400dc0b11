import { hostname } from 'node:os';
import type { Env } from '../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../src/base/errors.ts';
import type { Figure, Metrics } from '../src/base/metrics.ts';
import { SECOND_MS } from '../src/base/units.ts';
import type { Running } from '../src/cli/daemon.ts';
import { GfsClient } from '../src/client/gfs-client.ts';
import type { Network } from '../src/rpc/network.ts';
import { watchForDeath } from './death-watch.ts';
import type { Driver } from './drivers.ts';
import { serveByLibfuse } from './fuse-native/serve.ts';
import { FuseServer } from './fuse-server.ts';
import { GfsFileSystem } from './gfs-file-system.ts';
import { accessTimesBy, type MountOptions, syncsNamesBy } from './mount-options.ts';
import { MountPoint } from './mount-point.ts';

/** A person waits at the terminal for this: a master that is restarting is worth a moment, no more. */
const CONNECT_PATIENCE_MS = 10 * SECOND_MS;
/** What is being answered when the mount is taken away gets so long. */
const DRAIN_PATIENCE_MS = 5 * SECOND_MS;
const READAHEAD_KIB = 4096;
/** What the kernel believes for longer has to be taken from it when the master is not heard any more. */
const BELIEF_MS_MAX = 1 * SECOND_MS;

export interface ServeOptions {
  readonly env: Env;
  readonly network: Network;
  readonly masters: readonly string[];
  /** Where to mount, an absolute path. */
  readonly path: string;
  readonly options: MountOptions;
  readonly driver: Driver;
  /** Is told how the mount's figures are read. */
  readonly metrics?: Metrics | undefined;
  readonly onFatal: (error: unknown) => void;
}

export interface RunningMount extends Running {
  /** What the kernel has asked for so far, by operation. */
  requestCounts(): Readonly<Record<string, number>>;
  /** How many nodes the kernel knows, as far as the driver is told. */
  nodeCount(): number | undefined;
  /** Why nothing can be done now; undefined: nothing is wrong. */
  missing(): string | undefined;
}

/** What a driver made of it. */
export interface Mounted {
  /** Resolves when somebody unmounted it. */
  readonly ended: Promise<void>;
  unmount(): Promise<void>;
  /** Resolves when all that was asked so far is answered. */
  drain(): Promise<void>;
  requestCounts(): Readonly<Record<string, number>>;
  /** Absent: the driver is not told. */
  nodeCount?(): number;
  figures(): Figure[];
}

/** Each mounts a client's file system and serves it; when it fails nothing is left mounted. */
const DRIVERS: Readonly<Record<Driver, (client: GfsClient, options: ServeOptions) => Promise<Mounted>>> = {
  kernel: serveByKernel,
  'fuse-native': serveByLibfuse,
};

/** Mounts the file system of a cluster; when this fails nothing is left mounted. */
export async function serveMount(options: ServeOptions): Promise<RunningMount> {
  const client = await connect(options);
  try {
    const mounted = await DRIVERS[options.driver](client, options);
    const { path, masters, env } = options;
    options.metrics?.add(mounted.figures());
    const close = async () => {
      // First nobody can begin anything new by a path, then what is under way gets its answers, then what was written
      // and is not at the cluster yet is sent there.
      await mounted.unmount();
      await Promise.race([mounted.drain(), env.sleep(DRAIN_PATIENCE_MS)]);
      await client.close();
    };
    return {
      ready: { path, pid: process.pid, masters },
      ended: mounted.ended,
      close,
      requestCounts: () => mounted.requestCounts(),
      nodeCount: () => mounted.nodeCount?.(),
      missing: () => client.missing,
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function connect({ env, network, masters, path, options, metrics }: ServeOptions): Promise<GfsClient> {
  const patienceMs = Math.min(CONNECT_PATIENCE_MS, options.ioTimeoutMs ?? CONNECT_PATIENCE_MS);
  try {
    return await GfsClient.connect(
      {
        ...{ env, network, masters, metrics, host: hostname(), program: `mount ${path}` },
        // Without default_permissions the kernel asks nobody whether names it knows may be walked past.
        kernelWalksPaths: options.defaultPermissions,
        staysInTouch: Math.max(options.attributeTimeoutMs, options.entryTimeoutMs) > BELIEF_MS_MAX,
        ...(options.ioTimeoutMs === undefined ? {} : { ioTimeoutMs: options.ioTimeoutMs }),
      },
      { deadlineMs: env.monotonicMs() + patienceMs },
    );
  } catch (error) {
    throw new GfsError(codeOf(error), `no master at ${masters.join(', ')}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function serveByKernel(
  client: GfsClient,
  { env, masters, path, options, onFatal }: ServeOptions,
): Promise<Mounted> {
  const log = env.log.of('mount');
  const { allowOther, defaultPermissions, flags, readerCount } = options;
  const source = options.source ?? masters.join(',');
  const mountPoint = await MountPoint.create({ path, source, allowOther, defaultPermissions, flags, log });
  try {
    await watchForDeath(mountPoint.device, log);
    const syncsNames = syncsNamesBy(options);
    const accessTimes = accessTimesBy(options);
    const fileSystem = new GfsFileSystem({ env, client, timeouts: options, syncsNames, accessTimes });
    const { fd } = mountPoint;
    const server = new FuseServer({ env, fd, readerCount, agreement: options, fileSystem, log, onFatal });
    fileSystem.attach(server);
    await server.initialised;
    await mountPoint.raiseReadahead(READAHEAD_KIB);
    return {
      ended: server.ended,
      unmount: () => mountPoint.unmount(),
      drain: () => server.drain(),
      requestCounts: () => server.requestCounts,
      nodeCount: () => server.nodeCount,
      figures: () => server.figures(),
    };
  } catch (error) {
    await mountPoint.unmount();
    throw error;
  }
}
