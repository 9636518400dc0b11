#!/usr/bin/env -S node --initial-old-space-size=128
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { LogLevel } from '../base/log.ts';
import { GiB } from '../base/units.ts';
import { ChunkServer } from '../chunkserver/chunk-server.ts';
import { MachineReporter } from '../chunkserver/machine-reporter.ts';
import { PUSH_BUFFER_BYTES_DEFAULT, REPORT_INTERVAL_MS_DEFAULT } from '../chunkserver/options.ts';
import { Monitor } from '../rpc/monitor.ts';
import { NodeNetwork } from '../rpc/node-network.ts';
import { NodeDisk } from '../storage/node-disk.ts';
import { addLogKeys, runDaemon } from './daemon.ts';
import {
  addConfigCheck,
  addConfigFile,
  addKey,
  createProgram,
  parseAddress,
  parseAddresses,
  parseSize,
  parseSpan,
  runProgram,
} from './program.ts';
import { VERSION } from './version.ts';

interface Keys {
  readonly data: string;
  readonly master: string[];
  readonly listen: string;
  readonly advertise?: string;
  readonly rack: string;
  readonly reserve: number;
  readonly reportInterval: number;
  readonly pushBuffer: number;
  readonly logLevel: LogLevel;
}

const program = createProgram(
  'gfs-chunkserver',
  "Keeps chunks of a gfs file system's files on this machine's disk.",
);
addKey(program, '--data <dir>', 'directory of the chunks', { required: true });
addKey(program, '--master <host:port,...>', 'the master; several are tried in turn', {
  parse: parseAddresses,
  required: true,
});
addKey(program, '--listen <host:port>', 'address to serve on; port 0 takes a free one', {
  parse: parseAddress,
  default: '127.0.0.1:0',
});
addKey(program, '--advertise <host:port>', 'where others reach this server, if not at --listen', {
  parse: parseAddress,
});
addKey(program, '--rack <name>', 'rack that this machine stands in: copies are spread over racks', {
  default: '',
});
addKey(program, '--reserve <size>', 'space on the disk that stays free', {
  parse: parseSize,
  default: GiB,
  defaultText: '1GiB',
});
addKey(program, '--report-interval <span>', 'how often the whole disk is reported to the master', {
  parse: parseSpan,
  default: REPORT_INTERVAL_MS_DEFAULT,
  defaultText: '1h',
});
addKey(program, '--push-buffer <size>', 'memory for data that was pushed and is not yet written', {
  parse: parseSize,
  default: PUSH_BUFFER_BYTES_DEFAULT,
  defaultText: '64MiB',
});
addLogKeys(program);
addConfigFile(program);
addConfigCheck(program);
program.action((keys: Keys) =>
  runDaemon('gfs-chunkserver', keys.logLevel, async (env, onFatal, services) => {
    const monitor = new Monitor({ env, version: VERSION });
    const systemReporter = MachineReporter.start({ env, directories: [resolve(keys.data)] });
    const server = await ChunkServer.start({
      env,
      disk: new NodeDisk({ env, metrics: monitor }),
      network: new NodeNetwork({ env, onBug: onFatal, metrics: monitor, http: monitor.routes, services }),
      dataDirectory: resolve(keys.data),
      masters: keys.master,
      listen: keys.listen,
      advertise: keys.advertise,
      rack: keys.rack,
      reserveBytes: keys.reserve,
      reportIntervalMs: keys.reportInterval,
      pushBufferBytes: keys.pushBuffer,
      systemReporter,
      host: hostname(),
      pid: process.pid,
      metrics: monitor,
      onFatal,
    });
    monitor.serves(() => (server.isRegistered ? undefined : 'no master has registered this server'));
    const id = await server.registered();
    return {
      ready: { id, address: server.address },
      close: async () => {
        await server.close();
        await systemReporter.close();
      },
    };
  }),
);
await runProgram(program);
