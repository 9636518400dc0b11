#!/usr/bin/env -S node --initial-old-space-size=128
import { resolve } from 'node:path';
import {
  HEARTBEAT_INTERVAL_MS,
  MASTER_ADDRESS_DEFAULT,
  MIN_REPLICAS_DEFAULT,
  REPAIR_GRACE_MS,
  REPLICATION_MAX,
  SESSION_TIMEOUT_MS,
} from '../base/constants.ts';
import type { LogLevel } from '../base/log.ts';
import { MasterServer } from '../master/master-server.ts';
import { Monitor } from '../rpc/monitor.ts';
import { NodeNetwork } from '../rpc/node-network.ts';
import { lmdbMetaStores } from '../storage/meta-store-lmdb.ts';
import { NodeDisk } from '../storage/node-disk.ts';
import { addLogKeys, runDaemon } from './daemon.ts';
import { addFormatKeys, type FormatKeys } from './format-keys.ts';
import {
  addConfigCheck,
  addConfigFile,
  addKey,
  createProgram,
  parseAddress,
  parseCount,
  parseSpan,
  runProgram,
} from './program.ts';
import { VERSION } from './version.ts';

interface Keys extends FormatKeys {
  readonly data: string;
  readonly listen: string;
  readonly heartbeatInterval: number;
  readonly sessionTimeout: number;
  readonly minReplicas: number;
  readonly repairGrace: number;
  readonly logLevel: LogLevel;
}

const program = createProgram(
  'gfs-master',
  'Keeps the namespace of a gfs file system, and knows where its chunks are.',
);
addKey(program, '--data <dir>', 'directory of the operation log, checkpoints and tables', { required: true });
addKey(program, '--listen <host:port>', 'address to serve on', {
  parse: parseAddress,
  default: MASTER_ADDRESS_DEFAULT,
});
addFormatKeys(program);
addKey(program, '--heartbeat-interval <span>', 'how often chunkservers report', {
  parse: parseSpan,
  default: HEARTBEAT_INTERVAL_MS,
  defaultText: '1s',
});
addKey(
  program,
  '--session-timeout <span>',
  'silence after which a client counts as gone, and its locks are free',
  {
    parse: parseSpan,
    default: SESSION_TIMEOUT_MS,
    defaultText: '1min',
  },
);
addKey(program, '--min-replicas <n>', 'a chunk is not written on fewer servers, or fewer than its copies', {
  parse: parseCount({ min: 1, max: REPLICATION_MAX }),
  default: MIN_REPLICAS_DEFAULT,
});
addKey(program, '--repair-grace <span>', "absence after which a chunkserver's chunks are copied to others", {
  parse: parseSpan,
  default: REPAIR_GRACE_MS,
  defaultText: '30s',
});
addLogKeys(program);
addConfigFile(program);
addConfigCheck(program);
program.action((keys: Keys) =>
  runDaemon('gfs-master', keys.logLevel, async (env, onFatal, services) => {
    const monitor = new Monitor({ env, version: VERSION });
    const disk = new NodeDisk({ env, metrics: monitor });
    const master = await MasterServer.start({
      env,
      disk,
      network: new NodeNetwork({
        ...{ env, onBug: onFatal, busyPolls: true },
        ...{ metrics: monitor, http: monitor.routes, services },
      }),
      dataDirectory: resolve(keys.data),
      listen: keys.listen,
      chunkSizeBytes: keys.chunkSize,
      replication: keys.replication,
      heartbeatIntervalMs: keys.heartbeatInterval,
      sessionTimeoutMs: keys.sessionTimeout,
      minReplicas: keys.minReplicas,
      repairGraceMs: keys.repairGrace,
      openStore: lmdbMetaStores(disk),
      root: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o755 },
      programVersion: VERSION,
      pid: process.pid,
      metrics: monitor,
      onFatal,
    });
    monitor.serves();
    return {
      ready: { address: master.address, filesystemId: master.filesystemId },
      close: () => master.close(),
    };
  }),
);
await runProgram(program);
