#!/usr/bin/env -S node --initial-old-space-size=128
import { resolve } from 'node:path';
import { MASTER_ADDRESS_DEFAULT } from '../src/base/constants.ts';
import { messageOf } from '../src/base/errors.ts';
import type { LogLevel } from '../src/base/log.ts';
import { addLogKeys, runDaemon } from '../src/cli/daemon.ts';
import {
  addConfigCheck,
  addConfigFile,
  addKey,
  createProgram,
  EXIT_FAILURE,
  parseAddress,
  parseAddresses,
  parseChoice,
  runProgram,
  UsageError,
} from '../src/cli/program.ts';
import { checkTools } from '../src/cli/up/tools.ts';
import { VERSION } from '../src/cli/version.ts';
import { Monitor } from '../src/rpc/monitor.ts';
import { NodeNetwork, TRANSPORTS, type Transport } from '../src/rpc/node-network.ts';
import { startInBackground } from './background.ts';
import { DRIVERS, type Driver } from './drivers.ts';
import { DRIVER_HELP } from './fuse-native/help.ts';
import { loadFuseNative } from './fuse-native/package.ts';
import { type MountOptions, MountOptionsParser } from './mount-options.ts';
import { serveMount } from './serve.ts';

/** What stands for "the usual master" where /etc/fstab wants a device. */
const SOURCE_NAMES = new Set(['gfs', 'none']);

interface Keys {
  readonly master?: string[];
  readonly options: MountOptions;
  readonly driver: Driver;
  readonly transport: Transport;
  readonly listen?: string;
  readonly foreground?: boolean;
  readonly logFile?: string;
  readonly logLevel: LogLevel;
}

const program = createProgram('gfs-mount', 'Mounts a gfs file system.');
program.usage('[options] [SOURCE] MOUNTPOINT');
program.argument('<mountpoint...>', 'where to mount; before it, as in /etc/fstab, the masters or "gfs"');
addKey(
  program,
  '--master <host:port,...>',
  `the master; several are tried in turn (default: ${MASTER_ADDRESS_DEFAULT})`,
  { parse: parseAddresses },
);
const parser = new MountOptionsParser();
addKey(program, '-o, --options <option,...>', 'options of the mount, see below', {
  parse: (text) => parser.add(text).options,
  default: parser.options,
  defaultText: 'rw,nosuid,nodev,default_permissions',
});
addKey(program, '--driver <driver>', `who speaks to the kernel: ${DRIVERS.join(' or ')}, see below`, {
  parse: parseChoice(DRIVERS),
  default: 'kernel',
});
addKey(program, '--transport <protocol>', `how to talk to the daemons: ${TRANSPORTS.join(' or ')}`, {
  parse: parseChoice(TRANSPORTS),
  default: 'frames',
});
addKey(
  program,
  '--listen <host:port>',
  'answer /metrics, /healthz, /readyz and "gfs log" there; port 0 takes a free one (default: nowhere)',
  { parse: parseAddress, env: 'GFS_MOUNT_LISTEN' },
);
program.option('-f, --foreground', 'stay in front rather than serve in the background');
addKey(program, '--log-file <file>', 'where a mount in the background writes its log (default: nowhere)');
addLogKeys(program);
addConfigFile(program);
addConfigCheck(program);
program.addHelpText(
  'after',
  `
Mount options:
  ro, rw, nosuid, suid, nodev, dev, noexec, exec, sync, dirsync
                          as for other file systems
  relatime, noatime, nodiratime
                          which reads move times of access (default: relatime,
                          which strictatime is taken for)
  allow_other             users other than the one who mounts may use it
  no_default_permissions  leave all permission checks, by modes and ACLs, to the
                          master. It is not asked for FIFOs, sockets and
                          devices, which are open to all then, nor for
                          access(2) and chdir(2)
  noxattr                 no extended attributes and no ACLs: the kernel asks
                          for none, which saves a question for each file
                          that is listed by ls -l or written to
  nolock                  locks (flock, fcntl) hold on this machine alone:
                          closing what was read is not waited for
  attr_timeout=SPAN       how long the kernel believes attributes (default: 1s)
  entry_timeout=SPAN      how long the kernel believes what a name means
                          (default: 1s)
  io_timeout=SPAN         how long an operation is tried while the cluster does
                          not answer (default: 60s)
  fsname=NAME             what df and mount show as the device (default: the
                          masters)
  readers=N               threads that take requests from the kernel
                          (default: 2)
  SPAN is 500ms, 5s, 10min or 1h; a bare number is seconds. What /etc/fstab
  says to others (defaults, noauto, user, _netdev, x-...) is passed over.

${DRIVER_HELP}
Signals:
  SIGUSR2   logs how often the kernel asked for each operation, and how many
            nodes it knows (level info; nodes: driver "kernel")
  SIGTERM   unmounts, when all that was written is at the cluster

Examples:
  gfs-mount --master 10.0.0.1:7400 /mnt/gfs
  gfs-mount 10.0.0.1:7400,10.0.0.2:7400 /mnt/gfs -o allow_other,attr_timeout=5`,
);

program.action(async (places: string[], keys: Keys) => {
  const { masters, path } = placesOf(places, keys.master);
  if (keys.driver === 'kernel') checkTools();
  else checkLibfuse(keys.options);
  if (!keys.foreground) {
    const failure = await startInBackground(keys.logFile);
    if (failure === undefined) process.exit(0);
    process.stderr.write(`gfs-mount: ${failure}\n`);
    process.exit(EXIT_FAILURE);
  }
  let counts: () => Readonly<Record<string, unknown>> = () => ({});
  // A terminal that closes asks to stop, too.
  process.on('SIGHUP', () => process.kill(process.pid, 'SIGTERM'));
  await runDaemon('gfs-mount', keys.logLevel, async (env, onFatal, services) => {
    process.on('SIGUSR2', () => env.log.of('mount').info(counts(), 'what the kernel asked for'));
    const monitor = new Monitor({ env, version: VERSION });
    const { transport, options, driver } = keys;
    const network = new NodeNetwork({
      ...{ env, transport, onBug: onFatal, metrics: monitor, http: monitor.routes, services },
    });
    // Before anything is mounted: an address that cannot be had is a wrong call.
    const { listen } = keys;
    const port = listen === undefined ? undefined : await network.listen(listen, []);
    const running = await serveMount({
      ...{ env, network, masters, path, options, driver, onFatal },
      metrics: monitor,
    });
    monitor.serves(() => running.missing());
    counts = () => ({ requests: running.requestCounts(), nodes: running.nodeCount() });
    // The directory that it was started in can be unmounted and removed.
    process.chdir('/');
    return {
      ...running,
      ready: { ...running.ready, ...(port && { listen: port.address }) },
      close: async () => {
        monitor.serves(() => 'unmounting');
        await running.close();
        await port?.close();
      },
    };
  });
});
await runProgram(program);

/** Before anybody waits in the background for it. */
function checkLibfuse({ allowOther, xattrs }: MountOptions): void {
  if (allowOther) {
    throw new UsageError(
      '--driver fuse-native is not told who asks, and -o allow_other would make everybody you: leave it out',
    );
  }
  if (!xattrs) throw new UsageError('-o noxattr is for --driver kernel: leave it out');
  if (process.platform === 'linux') checkTools('fusermount');
  loadFuseNative();
}

function placesOf(places: readonly string[], master: string[] | undefined) {
  const [first = '', second] = places;
  if (places.length > 2) throw new UsageError(`one mount point is wanted, not ${places.join(' ')}`);
  const path = resolve(second ?? first);
  if (master?.length === 0) throw new UsageError('--master names no address');
  const usual = master ?? [MASTER_ADDRESS_DEFAULT];
  if (second === undefined || SOURCE_NAMES.has(first)) return { masters: usual, path };
  try {
    return { masters: master ?? parseAddresses(first), path };
  } catch (error) {
    throw new UsageError(`source: ${messageOf(error)}`);
  }
}
