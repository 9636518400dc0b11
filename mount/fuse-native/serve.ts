import type { GfsClient } from '../../src/client/gfs-client.ts';
import { NOBODY } from '../gfs/kernel-belief.ts';
import { GfsFileSystem } from '../gfs-file-system.ts';
import { accessTimesBy, syncsNamesBy } from '../mount-options.ts';
import type { Mounted, ServeOptions } from '../serve.ts';
import { mountByLibfuse } from './mount.ts';
import { NativeServer } from './server.ts';

/** Mounts a client's file system by way of libfuse. */
export async function serveByLibfuse(
  client: GfsClient,
  { env, masters, path, options, onFatal }: ServeOptions,
): Promise<Mounted> {
  const log = env.log.of('mount');
  const syncsNames = syncsNamesBy(options);
  const accessTimes = accessTimesBy(options);
  const fileSystem = new GfsFileSystem({ env, client, timeouts: options, syncsNames, accessTimes });
  const server = new NativeServer({ env, fileSystem, log, onFatal });
  fileSystem.attach({
    ...NOBODY,
    notify: (notification) => server.notified(notification),
  });
  const source = options.source ?? masters.join(',');
  const { ended, unmount } = await mountByLibfuse({ env, path, source, options, server, log });
  return {
    ended,
    unmount,
    drain: () => server.drain(),
    requestCounts: () => server.requestCounts,
    figures: () => server.figures(),
  };
}
