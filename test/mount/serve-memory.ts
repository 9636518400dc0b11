// A process that mounts a MemoryFileSystem where it is told to, says "serving", and ends when it is unmounted. Tests make their
// system calls in another process: one that waits in the kernel for its own answers would wait for ever.
import { FuseServer } from '../../mount/fuse-server.ts';
import { MountPoint } from '../../mount/mount-point.ts';
import { must } from '../../src/base/assert.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

const path = must(process.argv[2], 'the mount point is the first argument');
const readerCount = Number(process.argv[3] ?? '1');
const mountPoint = await MountPoint.create({
  ...{ path, source: 'memory,test', allowOther: process.getuid?.() === 0, defaultPermissions: true },
  ...{ flags: new Set(['noSetuid', 'noDevices'] as const), log: silentLogger },
});
const fileSystem = new MemoryFileSystem();
const onFatal = (error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exit(70);
};
const server = new FuseServer({
  ...{ env: new NodeEnv(silentLogger), fd: mountPoint.fd, readerCount },
  ...{ fileSystem, log: silentLogger, onFatal },
});
await server.initialised;
process.on('SIGTERM', () => {
  mountPoint.unmount().catch(onFatal);
});
process.stdout.write('serving\n');
await server.ended;
await server.drain();
process.stdout.write(`${JSON.stringify(fileSystem.calls)}\n`);
