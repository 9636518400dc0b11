import { hostname } from 'node:os';
import type { Env } from '../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../src/base/errors.ts';
import { SECOND_MS } from '../src/base/units.ts';
import type { Running } from '../src/cli/daemon.ts';
import { GfsClient } from '../src/client/gfs-client.ts';
import type { Network } from '../src/rpc/network.ts';
import { watchForDeath } from './death-watch.ts';
import { FuseServer } from './fuse-server.ts';
import { GfsFileSystem } from './gfs-file-system.ts';
import type { MountOptions } from './mount-options.ts';
import { MountPoint } from './mount-point.ts';

/** A person waits at the terminal for this: a master that is restarting is worth a moment, no more. */
const CONNECT_PATIENCE_MS = 10 * SECOND_MS;
/** What is being answered when the mount is taken away gets so long. */
const DRAIN_PATIENCE_MS = 5 * SECOND_MS;
const READAHEAD_KIB = 4096;

export interface ServeOptions {
  readonly env: Env;
  readonly network: Network;
  readonly masters: readonly string[];
  /** Where to mount, an absolute path. */
  readonly path: string;
  readonly options: MountOptions;
  readonly onFatal: (error: unknown) => void;
}

/** Mounts the file system of a cluster; when this fails nothing is left mounted. */
export async function serveMount(options: ServeOptions): Promise<Running> {
  const client = await connect(options);
  try {
    const mounted = await mountClient(client, options);
    const { path, masters } = options;
    return { ready: { path, pid: process.pid, masters }, ...mounted };
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function connect({ env, network, masters, path, options }: ServeOptions): Promise<GfsClient> {
  const patienceMs = Math.min(CONNECT_PATIENCE_MS, options.ioTimeoutMs ?? CONNECT_PATIENCE_MS);
  try {
    return await GfsClient.connect(
      {
        ...{ env, network, masters, host: hostname(), program: `mount ${path}` },
        // Without default_permissions the kernel asks nobody whether names it knows may be walked past.
        kernelWalksPaths: options.defaultPermissions,
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

async function mountClient(
  client: GfsClient,
  { env, masters, path, options, onFatal }: ServeOptions,
): Promise<Pick<Running, 'ended' | 'close'>> {
  const log = env.log.child({ component: 'mount' });
  const { allowOther, defaultPermissions, flags, readerCount } = options;
  const source = options.source ?? masters.join(',');
  const mountPoint = await MountPoint.create({ path, source, allowOther, defaultPermissions, flags, log });
  try {
    await watchForDeath(mountPoint.device, log);
    const fileSystem = new GfsFileSystem({ env, client, timeouts: options });
    const server = new FuseServer({ fd: mountPoint.fd, readerCount, fileSystem, log, onFatal });
    fileSystem.attach(
      (message) => server.notify(message),
      () => server.notified(),
    );
    await server.initialised;
    await mountPoint.raiseReadahead(READAHEAD_KIB);
    const close = async () => {
      // First nobody can begin anything new by a path, then what is under way gets its answers, then what was written
      // and is not at the cluster yet is sent there.
      await mountPoint.unmount();
      await Promise.race([server.drain(), env.sleep(DRAIN_PATIENCE_MS)]);
      await client.close();
    };
    return { ended: server.ended, close };
  } catch (error) {
    await mountPoint.unmount();
    throw error;
  }
}
