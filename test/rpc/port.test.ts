// What strangers, and clients gone wrong, do to a port: it closes their connection with a line in the log, and serves on.
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import test from 'ava';
import { codeOf, GfsError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB } from '../../src/base/units.ts';
import { FRAME_PREFACE } from '../../src/rpc/frame-format.ts';
import { text } from '../../src/rpc/http.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { LogBook, type Pair, socketPair, TestServices } from './harness.ts';

const { status, lookup } = MasterDefinition.methods;
const { read } = ChunkserverDefinition.methods;

async function dial(address: string): Promise<Socket> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function closedOn(p: Pair, bytes: Buffer): Promise<void> {
  const socket = await dial(p.listener.address);
  const closed = once(socket, 'close');
  socket.resume();
  socket.write(bytes);
  await closed;
}

/** The port still does what it is for. */
async function serves(p: Pair): Promise<boolean> {
  await p.connection.call(lookup, lookup.requestType.create());
  return true;
}

function header(length: number, kind: number, messageBytes = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt8(kind, 4);
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt32LE(messageBytes, 12);
  return bytes;
}

for (const [what, bytes, reason] of [
  ['garbage', Buffer.from([0xff, 0x00, 0x12, 0x34]), 'neither frames nor HTTP'],
  ['text of no protocol', Buffer.from('HELO there\r\n'), 'neither frames nor HTTP'],
  ['a frame of 4 GiB', Buffer.concat([FRAME_PREFACE, header(0xffff_ffff, 1)]), 'a frame of 4294967295 bytes'],
  ['a frame of no known kind', Buffer.concat([FRAME_PREFACE, header(0, 99)]), 'unknown frame kind 99'],
  [
    'parts that exceed their frame',
    Buffer.concat([FRAME_PREFACE, header(10, 2, 11)]),
    'parts exceed the frame',
  ],
] as const) {
  test.serial(`${what}: the connection is closed with one line, the port lives`, async (t) => {
    await using p = await socketPair('frames');
    await closedOn(p, bytes);
    const lines = p.log.lines.filter(({ level }) => level === 'warn');
    t.is(lines.length, 1);
    t.regex(String(lines[0]?.fields.error), new RegExp(reason));
    t.true(await serves(p));
  });
}

test.serial('a malformed protobuf fails its own call alone', async (t) => {
  await using p = await socketPair('frames');
  const { encode } = lookup.requestType;
  lookup.requestType.encode = () => new BinaryWriter().raw(Buffer.from([0x1a, 0x7f]));
  try {
    const error = await t.throwsAsync(p.connection.call(lookup, lookup.requestType.create()), {
      instanceOf: GfsError,
    });
    t.is(error.code, 'INVALID_ARGUMENT');
  } finally {
    lookup.requestType.encode = encode;
  }
  t.is(p.log.at('warn').length, 0);
  t.true(await serves(p));
});

test.serial('one who connects and says nothing is sent away', async (t) => {
  await using p = await socketPair('frames', { limits: { greetingTimeoutMs: 50 } });
  const socket = await dial(p.listener.address);
  socket.resume();
  await once(socket, 'close');
  t.is(p.log.lines.find(({ level }) => level === 'warn')?.fields.error, 'said nothing');
  t.true(await serves(p));
});

test.serial('a greeting may come byte by byte', async (t) => {
  await using p = await socketPair('frames');
  const socket = await dial(p.listener.address);
  for (const byte of FRAME_PREFACE) {
    socket.write(Buffer.from([byte]));
    await delay(2);
  }
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.deepEqual(answer, FRAME_PREFACE);
  socket.destroy();
});

test.serial('a client that takes no answers costs bounded memory and holds nobody up', async (t) => {
  await using p = await socketPair('frames');
  const block = Buffer.alloc(256 * KiB);
  let answered = 0;
  p.services.onUnary('gfs.v1.Chunkserver/Read', async () => {
    answered += 1;
    return { message: read.responseType.create(), payload: [block] };
  });
  const slow = await p.throughWire();
  await slow.connection.call(lookup, lookup.requestType.create());
  slow.wire.freezeAnswers();
  const calls = Array.from({ length: 500 }, () =>
    slow.connection.call(read, read.requestType.create()).catch((error: unknown) => error),
  );
  await delay(300);
  // What is in sockets' buffers, the server's queue, and the answers of handlers that ran when it got full.
  t.true(answered < 300, `${answered} answers of 256 KiB were made for one who takes none`);
  for (let round = 0; round < 20; round += 1) t.true(await serves(p));
  slow.wire.cut();
  const outcomes = await Promise.all(calls);
  // Those on the wire are lost; those in line never left, and are carried out over a new connection.
  t.is(outcomes.filter((outcome) => outcome instanceof GfsError).length, 128);
  t.true(outcomes.every((outcome) => !(outcome instanceof GfsError) || outcome.code === 'UNAVAILABLE'));
});

test.serial('a server that falls silent in the middle of calls is given up', async (t) => {
  await using p = await socketPair('frames', { limits: { pingAfterMs: 50, silenceMsMax: 200 } });
  const { connection, wire } = await p.throughWire();
  p.services.onUnary('gfs.v1.Master/Status', async () => {
    await delay(400);
    return { message: status.responseType.create() };
  });
  // Slow alone is not silent: pings are answered.
  await connection.call(status, status.requestType.create());
  let lost = 0;
  connection.onLost(() => {
    lost += 1;
  });
  wire.freeze();
  const error = await t.throwsAsync(connection.call(status, status.requestType.create()), {
    instanceOf: GfsError,
  });
  t.is(error.code, 'UNAVAILABLE');
  t.regex(error.message, /nothing heard/);
  t.is(lost, 1);
});

test.serial('a caller by gRPC whose machine is gone is given up, with what he asked for', async (t) => {
  await using p = await socketPair('grpc', { limits: { callerPingAfterMs: 50, callerSilenceMsMax: 200 } });
  const { connection, wire } = await p.throughWire();
  p.services.onUnary('gfs.v1.Master/Status', async () => {
    await delay(400);
    return { message: status.responseType.create() };
  });
  // Who waits alone is not gone: pings are answered.
  await connection.call(status, status.requestType.create());
  let asked: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const aborted = new Promise<unknown>((resolve) => {
    p.services.onUnary('gfs.v1.Master/Status', async (_, { signal }) => {
      asked();
      await new Promise((end) => signal.addEventListener('abort', end));
      resolve(signal.reason);
      return { message: status.responseType.create() };
    });
  });
  const lost = connection.call(status, status.requestType.create());
  lost.catch(() => undefined);
  await arrived;
  wire.freeze();
  t.is(codeOf(await aborted), 'CANCELLED');
});

/** Somebody else's server, and what a caller of ours learns. */
async function askStranger(
  transport: 'frames' | 'grpc',
  behave: (socket: Socket) => void,
): Promise<GfsError> {
  const sockets = new Set<Socket>();
  const stranger = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  stranger.listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const { port } = stranger.address() as AddressInfo;
  const limits = { dialTimeoutMs: 200 };
  const network = new NodeNetwork({ env: new NodeEnv(silentLogger), transport, limits });
  const connection = network.connect(`127.0.0.1:${port}`);
  try {
    await connection.call(status, status.requestType.create());
    throw new Error('a stranger has answered');
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    return new GfsError(error.code, error.message.replace(String(port), 'PORT'));
  } finally {
    await connection.close();
    for (const socket of sockets) socket.destroy();
    stranger.close();
  }
}

for (const transport of ['frames', 'grpc'] as const) {
  test.serial(`${transport}: what answers in another protocol is not a gfs daemon`, async (t) => {
    const error = await askStranger(transport, (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    t.is(error.code, 'WRONG_SERVICE');
    t.is(error.message, 'what answers at 127.0.0.1:PORT is not a gfs daemon');
  });

  test.serial(`${transport}: one who takes the connection and says nothing is not waited for`, async (t) => {
    const error = await askStranger(transport, () => undefined);
    t.is(error.code, 'UNAVAILABLE');
    t.is(error.message, 'cannot reach 127.0.0.1:PORT: no answer within 0.2 s');
  });
}

test.serial('a name that nobody has, an address that is none', async (t) => {
  const network = new NodeNetwork({ env: new NodeEnv(silentLogger) });
  const nobody = network.connect('no-such-host.invalid:7400');
  const error = await t.throwsAsync(nobody.call(status, status.requestType.create()), {
    instanceOf: GfsError,
  });
  t.is(error.code, 'UNAVAILABLE');
  t.regex(error.message, /^cannot reach no-such-host\.invalid:7400: /);
  t.throws(() => network.connect('7400'), { instanceOf: GfsError, code: 'INVALID_ARGUMENT' });
});

test.serial('a port that is in use is refused in words', async (t) => {
  await using p = await socketPair('frames');
  const network = new NodeNetwork({ env: new NodeEnv(silentLogger) });
  const error = await t.throwsAsync(network.listen(p.listener.address, []), { instanceOf: GfsError });
  t.is(error.message, `cannot listen on ${p.listener.address}: the port is in use`);
});

test.serial('a failed assertion in a handler is told to the owner of the process', async (t) => {
  const { AssertionError } = await import('../../src/base/assert.ts');
  const bugs: unknown[] = [];
  await using p = await socketPair('frames', { onBug: (error) => bugs.push(error) });
  p.services.onUnary('gfs.v1.Master/Status', async () => {
    throw new AssertionError('one and one is two');
  });
  await t.throwsAsync(p.connection.call(status, status.requestType.create()), { code: 'INTERNAL' });
  t.is(bugs.length, 1);
});

test.serial('HTTP/1.1 on the same port', async (t) => {
  const network = new NodeNetwork({
    env: new NodeEnv(new LogBook()),
    http: { '/metrics': () => text(200, 'up 1\n'), '/bad': () => Promise.reject(new Error('no')) },
  });
  const listener = await network.listen('127.0.0.1:0', new TestServices().bindings());
  const get = (path: string, method = 'GET') =>
    new Promise<string>((resolve, reject) => {
      const sent = request(`http://${listener.address}${path}`, { method, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => resolve(`${response.statusCode} ${body}`));
      });
      sent.on('error', reject);
      sent.end();
    });
  t.is(await get('/healthz'), '200 ok\n');
  t.is(await get('/healthz?x=1', 'HEAD'), '200 ');
  t.is(await get('/metrics'), '200 up 1\n');
  t.is(await get('/nothing'), '404 not found\n');
  t.is(await get('/metrics', 'POST'), '405 only GET\n');
  t.is(await get('/bad'), '500 ');
  await listener.close();
});
