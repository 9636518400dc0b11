// What a program in another language sees, that has nothing but gRPC and perhaps the .proto files.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import test from 'ava';
import { ERROR_CODES, GfsError } from '../../src/base/errors.ts';
import { errorOfStatus, fieldsOf } from '../../src/rpc/grpc-wire.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import { statusOf } from '../../src/rpc/status.ts';
import { pair } from './harness.ts';

const asItIs = (bytes: Buffer): Buffer => bytes;

function text(field: number, value: string): Buffer {
  return Buffer.from(new BinaryWriter().tag(field, WireType.LengthDelimited).string(value).finish());
}

function unary(client: Client, path: string, request: Buffer, metadata = new Metadata()): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asItIs, asItIs, request, metadata, {}, (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer ?? Buffer.alloc(0));
    });
  });
}

/** The first answer of a stream. */
function ask(client: Client, path: string, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest(path, asItIs, asItIs, new Metadata());
    call.on('data', (answer: Buffer) => {
      resolve(answer);
      call.end();
    });
    call.on('error', reject);
    call.write(request);
  });
}

test.serial('payload is an ordinary field, and the request id and others are ordinary headers', async (t) => {
  await using p = await pair('grpc');
  const { read } = ChunkserverDefinition.methods;
  let seen: readonly (string | undefined)[] = [];
  p.services.onUnary('gfs.v1.Chunkserver/Read', async (_, context) => {
    const { requestId } = context;
    seen = [requestId, context.metadata('x-user'), context.metadata('x-groups'), context.metadata('x-none')];
    return {
      message: read.responseType.create({ chunkLength: 9 }),
      payload: [Buffer.from('file '), Buffer.from('data')],
    };
  });
  const client = new Client(p.listener.address, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('x-request-id', 'from-python');
  metadata.set('x-user', '1000');
  metadata.add('x-groups', '1');
  metadata.add('x-groups', '2');
  const answer = await unary(client, '/gfs.v1.Chunkserver/Read', Buffer.alloc(0), metadata);
  const message = read.responseType.decode(answer);
  t.is(message.payload.toString(), 'file data');
  t.is(message.chunkLength, 9);
  t.deepEqual(seen, ['from-python', '1000', '1, 2', undefined]);
  client.close();
});

test.serial('a failure is a status with our detail in it', async (t) => {
  await using p = await pair('grpc');
  p.services.onUnary('gfs.v1.Master/Lookup', async () => {
    throw new GfsError('NOT_FOUND', 'no such name', { fields: { parent: '1' } });
  });
  const client = new Client(p.listener.address, credentials.createInsecure());
  const error = await t.throwsAsync<ServiceError>(unary(client, '/gfs.v1.Master/Lookup', Buffer.alloc(0)));
  t.is(error?.code, status.NOT_FOUND);
  t.is(error?.details, 'no such name');
  const found = errorOfStatus({
    code: status.NOT_FOUND,
    details: '',
    metadata: error?.metadata ?? new Metadata(),
  });
  t.true(found.typed);
  t.is(found.error.code, 'NOT_FOUND');
  t.deepEqual(found.error.fields, { parent: '1' });
  const malformed = await t.throwsAsync<ServiceError>(
    unary(client, '/gfs.v1.Master/Lookup', Buffer.from([0x1a, 0x7f])),
  );
  t.is(malformed?.code, status.INVALID_ARGUMENT);
  const unknown = await t.throwsAsync<ServiceError>(
    unary(client, '/gfs.v1.Master/Nonsense', Buffer.alloc(0)),
  );
  t.is(unknown?.code, status.UNIMPLEMENTED);
  client.close();
});

test.serial('reflection lists what is served here, and describes it', async (t) => {
  await using p = await pair('grpc', { services: [MasterDefinition] });
  const client = new Client(p.listener.address, credentials.createInsecure());
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  const [list] = fieldsOf(await ask(client, path, text(7, '')), 6);
  const names = fieldsOf(list ?? new Uint8Array(), 1).map((service) =>
    Buffer.from(fieldsOf(service, 1)[0] ?? []).toString(),
  );
  t.deepEqual(names, ['gfs.v1.Master']);
  const [file] = fieldsOf(await ask(client, path, text(4, 'gfs.v1.Master')), 4);
  const descriptors = fieldsOf(file ?? new Uint8Array(), 1).map((one) =>
    Buffer.from(fieldsOf(one, 1)[0] ?? []).toString(),
  );
  t.true(descriptors.includes('gfs/v1/master.proto'), descriptors.join());
  t.true(descriptors.includes('gfs/v1/common.proto'), descriptors.join());
  client.close();
});

test.serial('the health service says what is served', async (t) => {
  await using p = await pair('grpc', { services: [MasterDefinition] });
  const client = new Client(p.listener.address, credentials.createInsecure());
  const serving = Buffer.from([0x08, 0x01]);
  t.deepEqual(await unary(client, '/grpc.health.v1.Health/Check', text(1, '')), serving);
  t.deepEqual(await unary(client, '/grpc.health.v1.Health/Check', text(1, 'gfs.v1.Master')), serving);
  await t.throwsAsync(unary(client, '/grpc.health.v1.Health/Check', text(1, 'gfs.v1.Chunkserver')), {
    message: /NOT_FOUND/,
  });
  client.close();
});

test('every code of ours has a status that is no success', (t) => {
  for (const code of ERROR_CODES) t.not(statusOf(code), status.OK, code);
});
