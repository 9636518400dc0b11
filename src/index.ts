/**
 * The client library, for programs in TypeScript and JavaScript: `import { GfsClient } from 'gfs'`. Programs in other languages
 * use gRPC (proto/gfs/v1/files.proto, `gfs gateway`).
 *
 * A client talks to the master and to the chunkservers itself, caches, reads ahead and writes behind, as a mount does. Names
 * and paths are bytes. Failures are `GfsError`s: branch on their `code`.
 */
import { hostname } from 'node:os';
import { type Logger, silentLogger } from './base/log.ts';
import { NodeEnv } from './base/node-env.ts';
import type { GfsClient as Client, ClientOptions, Identity, Waiting } from './client/api.ts';
import { GfsClient as Library } from './client/gfs-client.ts';
import { NodeNetwork, type Transport } from './rpc/node-network.ts';

export type { Bytes } from './base/bytes.ts';
export { ERROR_CODES, type ErrorCode, type ErrorFields, GfsError } from './base/errors.ts';
export { type InodeId, inodeId } from './base/ids.ts';
export type { LogFields, Logger } from './base/log.ts';
export type * from './client/api.ts';
export { type Attributes, type DirectoryEntry, FileType, type Time } from './rpc/messages.ts';
export type { Transport } from './rpc/node-network.ts';

/** What `GfsClient.connect` wants of a program; only `masters` has to be said. */
export interface ConnectOptions
  extends Pick<
    ClientOptions,
    'masters' | 'ioTimeoutMs' | 'cacheBytes' | 'writeBehindBytes' | 'readaheadBytes'
  > {
  /** What `gfs status` shows of this client. Default: the host's name, and "program". */
  readonly host?: string;
  readonly program?: string;
  /** How it talks to the daemons. Default: frames, which are faster. */
  readonly transport?: Transport;
  /** Who hears of what went wrong in the background. Default: nobody. */
  readonly log?: Logger;
}

export type GfsClient = Client;
export const GfsClient = {
  /**
   * Opens a session at the master, for as long as `waiting` says, or a minute. `deadlineMs` is absolute here and in all other calls,
   * on the clock of `performance.now()`. Close the client, or the process does not end.
   */
  connect(options: ConnectOptions, waiting?: Waiting): Promise<GfsClient> {
    const { host = hostname(), program = 'program', transport, log = silentLogger, ...others } = options;
    const env = new NodeEnv(log);
    const network = new NodeNetwork({ env, transport });
    return Library.connect({ ...others, env, network, host, program }, waiting);
  },
};

/** The user whose process this is: who asks, in most programs. */
export function ownIdentity(): Identity {
  const { getuid, getgid, getgroups } = process;
  return { uid: getuid?.() ?? 0, gid: getgid?.() ?? 0, groups: getgroups?.() ?? [] };
}
