// The other process of the rpc benchmark: serves until its standard input ends.

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { lengthOf } from '../../src/base/bytes.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Handlers, Incoming, Outgoing } from '../../src/rpc/network.ts';
import { bindService } from '../../src/rpc/network.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';

const data = Buffer.alloc(4 * MiB, 7);
const { getAttributes } = MasterDefinition.methods;
const { read, push, mutate } = ChunkserverDefinition.methods;
const attributes = { inode: 5, mode: 0o644, length: 4096, mtime: { seconds: 1_700_000_000, nanos: 1 } };

const master: Partial<Handlers<typeof MasterDefinition>> = {
  getAttributes: async () => ({ message: getAttributes.responseType.create({ attributes }) }),
};
const chunkserver: Partial<Handlers<typeof ChunkserverDefinition>> = {
  read: async ({ message }) => ({
    message: read.responseType.create({ chunkLength: message.length }),
    payload: [data.subarray(0, message.length)],
  }),
  mutate: async ({ payload }) => ({
    message: mutate.responseType.create({ chunkLength: lengthOf(payload) }),
  }),
  push: async (requests: AsyncIterable<Incoming<unknown>>): Promise<Outgoing<object>> => {
    let bytes = 0;
    for await (const { payload } of requests) bytes += lengthOf(payload);
    if (bytes === 0) throw new Error('nothing was pushed');
    return { message: push.responseType.create() };
  },
};

/** Only what the benchmark calls is there. */
function whole<D extends { methods: object }>(definition: D, some: Partial<Handlers<D>>): Handlers<D> {
  const missing = async () => {
    throw new Error('not part of the benchmark');
  };
  const none = Object.fromEntries(Object.keys(definition.methods).map((key) => [key, missing]));
  return { ...none, ...some } as Handlers<D>;
}

const network = new NodeNetwork({ env: new NodeEnv(silentLogger) });
const listener = await network.listen('127.0.0.1:0', [
  bindService(MasterDefinition, whole(MasterDefinition, master)),
  bindService(ChunkserverDefinition, whole(ChunkserverDefinition, chunkserver)),
]);
// What the machine gives at best: the same round trip with nothing but a socket.
const echo = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => undefined);
});
echo.listen(0, '127.0.0.1');
await once(echo, 'listening');
const echoAddress = echo.address() as AddressInfo;
process.stdout.write(`${listener.address} 127.0.0.1:${echoAddress.port}\n`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
