// What the transports do from one process to another on loopback. `node dist/test/bench/rpc.js` runs it alone.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { lengthOf } from '../../src/base/bytes.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Connection } from '../../src/rpc/network.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { roundTrips } from './sockets.ts';

const { getAttributes } = MasterDefinition.methods;
const { read, push, mutate } = ChunkserverDefinition.methods;

/** Prints figures for each transport. */
export async function benchRpc(): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'rpc-server.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const [address = '', echo = ''] = line.toString().trim().split(' ');
    await roundTrips(echo, 2000);
    const bare = 20_000;
    report(
      'TCP',
      'round trips, bare socket',
      bare / (await seconds(() => roundTrips(echo, bare))),
      'trips/s',
    );
    for (const transport of ['frames', 'grpc'] as const) {
      const network = new NodeNetwork({ env: new NodeEnv(silentLogger), transport });
      const connection = network.connect(address);
      const scale = transport === 'frames' ? 1 : 0.1;
      await benchConnection(transport, connection, scale);
      await connection.close();
    }
  } finally {
    child.stdin.end();
    await once(child, 'exit');
  }
}

async function benchConnection(transport: string, connection: Connection, scale: number): Promise<void> {
  await sequentialCalls(connection, 2000 * scale);
  const calls = 30_000 * scale;
  report(
    transport,
    'sequential calls',
    calls / (await seconds(() => sequentialCalls(connection, calls))),
    'calls/s',
  );
  const many = 100_000 * scale;
  report(
    transport,
    'calls, 64 in flight',
    many / (await seconds(() => inFlight(64, many, () => attributesOf(connection)))),
    'calls/s',
  );
  const small = 20_000 * scale;
  const payload = [Buffer.alloc(4 * KiB, 1)];
  const mutateOnce = () =>
    connection.call(mutate, mutate.requestType.create({ chunk: 1, checksums: [1] }), { payload });
  report(
    transport,
    '4 KiB up, sequential',
    small / (await seconds(() => inFlight(1, small, mutateOnce))),
    'calls/s',
  );
  const reads = 4000 * scale;
  const megabyte = read.requestType.create({ chunk: 1, version: 1, chunkOffset: 0, length: MiB });
  const readOnce = async () => {
    const { payload: data } = await connection.call(read, megabyte);
    if (lengthOf(data) !== MiB) throw new Error('short answer');
  };
  report(
    transport,
    '1 MiB answers, 4 in flight',
    (reads * MiB) / 1e9 / (await seconds(() => inFlight(4, reads, readOnce))),
    'GB/s',
  );
  const pieces = 16_000 * scale;
  report(
    transport,
    'push of 256 KiB pieces',
    (pieces * 256 * KiB) / 1e9 / (await seconds(() => pushPieces(connection, pieces))),
    'GB/s',
  );
}

function attributesOf(connection: Connection): Promise<unknown> {
  return connection.call(
    getAttributes,
    getAttributes.requestType.create({ caller: { uid: 1, gid: 1, groups: [1] }, inode: 5 }),
    { deadlineMs: performance.now() + 30_000 },
  );
}

async function sequentialCalls(connection: Connection, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await attributesOf(connection);
}

async function inFlight(width: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let begun = 0;
  const lane = async () => {
    for (; begun < count; ) {
      begun += 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function pushPieces(connection: Connection, count: number): Promise<void> {
  const stream = connection.stream(push);
  const piece = [Buffer.alloc(256 * KiB, 3)];
  const message = push.requestType.create({ checksums: [1, 2, 3, 4] });
  for (let sent = 0; sent < count; sent += 1) await stream.send(message, piece);
  stream.end();
  await stream.finished();
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function report(transport: string, what: string, value: number, unit: string): void {
  const figure = unit === 'GB/s' ? value.toFixed(2) : Math.round(value).toLocaleString('en-US');
  process.stdout.write(`rpc ${transport.padEnd(7)} ${what.padEnd(28)} ${figure.padStart(10)} ${unit}\n`);
}

if (process.argv[1] === import.meta.filename) await benchRpc();
