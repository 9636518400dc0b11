// What the log says of calls: in the same way over both transports, and on both sides.
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import type { LogFields } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { REQUEST_ID_BYTES_MAX } from '../../src/base/request-ids.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import { NodeNetwork, TRANSPORTS } from '../../src/rpc/node-network.ts';
import { LogBook, TestServices } from './harness.ts';

const { status, lookup } = MasterDefinition.methods;
const { read, push } = ChunkserverDefinition.methods;
const STATUS = 'gfs.v1.Master/Status';
const LOOKUP = 'gfs.v1.Master/Lookup';
const READ = 'gfs.v1.Chunkserver/Read';
const PUSH = 'gfs.v1.Chunkserver/Push';
const SECRET = 'what nobody else should read';

/** What a log says of calls that have ended. */
function callLines({ lines }: LogBook): LogFields[] {
  return lines.filter(({ message }) => message === 'a call ended').map(({ fields }) => fields);
}

for (const transport of TRANSPORTS) {
  test(`${transport}: both sides tell of each call once, with its sizes, and without its data`, async (t) => {
    const logs = { server: new LogBook(), client: new LogBook() };
    const services = new TestServices();
    const payload = [Buffer.alloc(4 * KiB, SECRET)];
    services.onUnary(READ, async () => ({ message: read.responseType.create(), payload }));
    services.onUnary(LOOKUP, () => Promise.reject(new GfsError('NOT_FOUND', 'no such name')));
    const server = new NodeNetwork({ env: new NodeEnv(logs.server) });
    const listener = await server.listen('127.0.0.1:0', services.bindings());
    const connection = new NodeNetwork({ env: new NodeEnv(logs.client), transport }).connect(
      listener.address,
    );
    try {
      await connection.call(read, read.requestType.create(), { requestId: 'one' });
      await t.throwsAsync(connection.call(lookup, lookup.requestType.create(), { requestId: 'two' }));
      const upload = connection.stream(push, { requestId: 'three' });
      for (let count = 0; count < 3; count += 1) {
        await upload.send(push.requestType.create(), [Buffer.alloc(KiB, SECRET)]);
      }
      upload.end();
      await upload.finished();
    } finally {
      await connection.close();
      await listener.close();
    }
    for (const [side, component, end, down, up] of [
      ['server', 'rpc', 'peer', 'sentBytes', 'receivedBytes'],
      ['client', 'calls', 'server', 'receivedBytes', 'sentBytes'],
    ] as const) {
      const lines = callLines(logs[side]);
      t.is(lines.length, 3, side);
      const [one, two, three] = lines;
      t.like(one, { component, requestId: 'one', method: READ, code: 'OK' });
      t.true(Number(one?.[down]) >= 4 * KiB && Number(one?.[down]) < 5 * KiB, side);
      t.like(two, { component, requestId: 'two', method: LOOKUP, code: 'NOT_FOUND', error: 'no such name' });
      t.like(three, { component, requestId: 'three', method: PUSH, code: 'OK' });
      t.true(Number(three?.[up]) >= 3 * KiB && Number(three?.[up]) < 4 * KiB, side);
      for (const line of lines) {
        t.true(Number(line.durationMs) >= 0, side);
        t.regex(String(line[end]), /:\d+$/, side);
      }
      t.false(JSON.stringify(logs[side].lines).includes(SECRET), side);
    }
  });
}

test('who calls by gRPC names his request, unless that is no name for the lines of a log', async (t) => {
  const services = new TestServices();
  const network = new NodeNetwork({ env: new NodeEnv(new LogBook()), transport: 'grpc' });
  const listener = await network.listen('127.0.0.1:0', services.bindings());
  const connection = network.connect(listener.address);
  const longest = 'x'.repeat(REQUEST_ID_BYTES_MAX);
  try {
    for (const requestId of [longest, `${longest}x`, 'with space', '']) {
      await connection.call(status, status.requestType.create(), { requestId });
    }
  } finally {
    await connection.close();
    await listener.close();
  }
  const [first, ...others] = services.received.map(({ method, context }) => [method, context.requestId]);
  t.deepEqual(first, [STATUS, longest]);
  const made = others.map(([, requestId]) => requestId);
  for (const requestId of made) t.regex(requestId ?? '', /^[0-9a-z]{6}-[0-9a-z]+$/);
  t.is(new Set(made).size, 3);
});
