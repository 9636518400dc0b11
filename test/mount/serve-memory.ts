// A process that mounts a MemoryFileSystem where it is told to, says "serving", and ends when it is unmounted. Tests make their
// system calls in another process: one that waits in the kernel for its own answers would wait for ever.
// Signals: SIGUSR1 has the device answer that the root's mode is 0711 and that it is bare, for an hour, SIGUSR2 for no time,
// SIGHUP not any more.
//   node serve-memory.js PATH [READERS | bare | fuse-native] [TIMEOUT_MS]     bare: without xattrs and locks
import { mountByLibfuse } from '../../mount/fuse-native/mount.ts';
import { NativeServer } from '../../mount/fuse-native/server.ts';
import { FuseServer } from '../../mount/fuse-server.ts';
import { MountPoint } from '../../mount/mount-point.ts';
import type { Mounted as Mount } from '../../mount/serve.ts';
import { ROOT_NODE, TYPE } from '../../mount/wire/numbers.ts';
import { must } from '../../src/base/assert.ts';
import { silentLogger as log } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { HOUR_MS } from '../../src/base/units.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

type Mounted = Pick<Mount, 'ended' | 'unmount' | 'drain'>;

const path = must(process.argv[2], 'the mount point is the first argument');
const how = process.argv[3] ?? '1';
const fileSystem = new MemoryFileSystem({ timeoutMs: Number(process.argv[4] ?? 1000) });
const onFatal = (error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exit(70);
};
const env = new NodeEnv(log);
const where = { path, source: 'memory,test', defaultPermissions: true };
const flags = new Set(['noSetuid', 'noDevices'] as const);
const mounted = how === 'fuse-native' ? await byLibfuse() : await byKernel();
process.on('SIGTERM', () => {
  mounted.unmount().catch(onFatal);
});
process.stdout.write('serving\n');
await mounted.ended;
await mounted.drain();
process.stdout.write(`${JSON.stringify(fileSystem.calls)}\n`, () => process.exit());

async function byKernel(): Promise<Mounted> {
  const mountPoint = await MountPoint.create({
    ...{ ...where, allowOther: process.getuid?.() === 0, flags, log },
  });
  const { fd } = mountPoint;
  const isBare = how === 'bare';
  const server = new FuseServer({
    ...{ env, fd, readerCount: isBare ? 1 : Number(how), fileSystem, log, onFatal },
    agreement: { defaultPermissions: false, xattrs: !isBare, sharedLocks: !isBare },
  });
  await server.initialised;
  const commands = {
    SIGUSR1: () => ready(HOUR_MS),
    SIGUSR2: () => ready(0),
    SIGHUP: async () => {
      server.unready();
      server.unbare();
    },
  };
  const ready = async (forMs: number) => {
    const { attributes } = await fileSystem.getAttributes({ kind: 'getAttributes', node: ROOT_NODE });
    const mode = TYPE.DIRECTORY | 0o711;
    server.ready({ attributes: { ...attributes, mode }, attributeTimeoutMs: 0 }, forMs);
    server.bare(ROOT_NODE, forMs);
  };
  for (const [signal, command] of Object.entries(commands)) {
    process.on(signal, () => {
      command().then(() => process.stdout.write(`${signal}\n`), onFatal);
    });
  }
  return { ended: server.ended, unmount: () => mountPoint.unmount(), drain: () => server.drain() };
}

async function byLibfuse(): Promise<Mounted> {
  const server = new NativeServer({ env, fileSystem, log, onFatal });
  const options = { defaultPermissions: true, flags, attributeTimeoutMs: 1000, entryTimeoutMs: 1000 };
  const { ended, unmount } = await mountByLibfuse({ ...where, env, options, server, log });
  return { ended, unmount, drain: () => server.drain() };
}
