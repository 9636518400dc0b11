// What programs of any language see: a gateway and daemons of their own processes, real gRPC, nothing of ours but the .proto files.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import test from 'ava';
import { errorOfStatus } from '../../src/rpc/grpc-wire.ts';
import { skips, TestCluster } from './cluster.ts';
import { type Attributes, GatewayCluster, Stranger } from './gateway-cluster.ts';

const ADMIN = { 'x-user': '0', 'x-groups': '0' };
const ALICE = { 'x-user': '1000', 'x-groups': '1000,50' };
const BOB = { 'x-user': '1001', 'x-groups': '1001' };
const HALF_WRITER = join(import.meta.dirname, 'half-writer.js');

let cluster: GatewayCluster;
test.before(async (t) => {
  t.timeout(60_000);
  cluster = await GatewayCluster.start();
});
test.after.always(async () => {
  await cluster?.close();
});

const at = (path: string) => ({ path: Buffer.from(path) });
const stranger = (metadata: Record<string, string>) => new Stranger(cluster.address, metadata);

/** Status and our own code of a failed call. */
async function failure(promise: Promise<unknown>): Promise<readonly [string | undefined, string]> {
  try {
    await promise;
  } catch (thrown) {
    const { code, details, metadata } = thrown as ServiceError;
    const { error, typed } = errorOfStatus({ code, details, metadata: metadata ?? new Metadata() });
    return [status[code], typed ? error.code : 'untyped'];
  }
  return ['OK', ''];
}

test.serial('metadata says who asks, and the master believes it', async (t) => {
  const admin = stranger(ADMIN);
  await admin.call('Mkdir', { ...at('/home'), mode: 0o1777 });
  const alice = stranger(ALICE);
  await alice.call('Mkdir', { ...at('/home/alice'), mode: 0o700 });
  const { attributes } = await alice.write({ ...at('/home/alice/secret'), mode: 0o666 }, [
    Buffer.from('hers'),
  ]);
  t.is((attributes as Attributes).uid, 1000);
  t.is((attributes as Attributes).gid, 1000);
  t.is((await alice.read('/home/alice/secret')).toString(), 'hers');
  const secret = at('/home/alice/secret');
  for (const other of [stranger(BOB), stranger({})]) {
    for (const call of [
      other.call('Stat', secret),
      other.answers('Read', secret),
      other.answers('List', at('/home/alice')),
      other.write(secret, [Buffer.from('his')]),
      other.write({ ...secret, kind: 'FILES_WRITE_KIND_IN_PLACE' }, [Buffer.from('his')]),
      other.call('Mkdir', at('/home/alice/his')),
      other.call('Remove', { ...secret, recursive: true }),
      other.call('Rename', { ...secret, newPath: Buffer.from('/home/his') }),
    ]) {
      t.deepEqual(await failure(call), ['PERMISSION_DENIED', 'PERMISSION_DENIED']);
    }
  }
  t.is((await alice.read('/home/alice/secret')).toString(), 'hers');
  const made = (await stranger({}).write(at('/home/nobodys'))).attributes as Attributes;
  t.deepEqual([made.uid, made.gid], [65_534, 65_534]);
  for (const metadata of [
    { 'x-user': 'root' },
    { 'x-user': '0', 'x-groups': 'wheel' },
    { 'x-groups': '0' },
  ]) {
    t.deepEqual(await failure(stranger(metadata).call('Stat', at('/'))), [
      'INVALID_ARGUMENT',
      'INVALID_ARGUMENT',
    ]);
  }
});

test.serial('records have their acks before the stream ends with the error of one that fails', async (t) => {
  const admin = stranger(ADMIN);
  const start = { ...at('/records'), clientId: Buffer.from('a'), create: true };
  const record = (sequence: number) => ({ sequence, payload: Buffer.from(`<${sequence}>`) });
  const whole = await admin.append(start, [record(1), record(2), record(3)]);
  t.is(whole.error, undefined);
  const broken = await admin.append(start, [record(3), record(4), record(6), record(7)]);
  t.deepEqual(
    broken.acks.map(({ sequence, offset }) => [sequence, offset]),
    [
      [3, 6],
      [4, 9],
    ],
  );
  t.deepEqual(await failure(Promise.reject(broken.error)), ['INVALID_ARGUMENT', 'INVALID_ARGUMENT']);
  t.like(await admin.call('Append', { start, ...record(2) }), { sequence: 2, offset: 3 });
  t.is((await admin.read('/records')).toString(), '<1><2><3><4>');
  const other = stranger(BOB);
  t.deepEqual(await failure(other.call('Append', { start, ...record(5) })), [
    'PERMISSION_DENIED',
    'PERMISSION_DENIED',
  ]);
});

test.serial('a program that is killed in the midst of an atomic write leaves nothing', async (t) => {
  t.timeout(60_000);
  const admin = stranger(ADMIN);
  await admin.call('Mkdir', at('/killed'));
  await admin.write(at('/killed/old'), [Buffer.from('old')]);
  for (const waitMs of [0, 20, 100, 300]) {
    for (const name of ['old', 'new']) {
      const writer = fork(HALF_WRITER, [cluster.address, `/killed/${name}`], {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
      await once(writer, 'message');
      // Any moment will do.
      await sleep(waitMs);
      const ended = once(writer, 'exit');
      writer.kill('SIGKILL');
      await ended;
    }
  }
  t.deepEqual(await admin.names('/killed'), ['old']);
  t.is((await admin.read('/killed/old')).toString(), 'old');
});

test.serial('an atomic write that is cancelled at any moment leaves nothing', async (t) => {
  const admin = stranger(ADMIN);
  await admin.call('Mkdir', at('/cancelled'));
  await admin.write(at('/cancelled/old'), [Buffer.from('old')]);
  for (let round = 0; round < 40; round += 1) {
    const stream = admin.openWrite(at(`/cancelled/${round % 2 === 0 ? 'old' : 'new'}`));
    for (let count = 0; count < round % 4; count += 1)
      stream.write({ payload: Buffer.alloc(300_000) } as never);
    // Any moment will do.
    await sleep(round);
    stream.cancel();
  }
  // What was sent before the last one came is over when it is answered.
  await admin.write(at('/cancelled/last'), [Buffer.alloc(1_000_000)]);
  t.deepEqual(await admin.names('/cancelled'), ['last', 'old']);
  t.is((await admin.read('/cancelled/old')).toString(), 'old');
});

test.serial('who takes a master for a gateway is told', async (t) => {
  const lost = new Stranger(cluster.master).call('Stat', at('/'));
  t.is((await t.throwsAsync<ServiceError>(lost))?.details, 'this is a gfs master, not a gfs gateway');
  t.deepEqual(await failure(lost), ['UNIMPLEMENTED', 'WRONG_SERVICE']);
});

test.serial('its figures and health are told by HTTP on the same port', async (t) => {
  await stranger(ADMIN).call('Stat', at('/'));
  const figures = await (await fetch(`http://${cluster.address}/metrics`)).text();
  t.regex(figures, /Files.*Stat/);
  t.is((await fetch(`http://${cluster.address}/readyz`)).status, 200);
});

test.serial('reflection tells of the service, and health that it is served', async (t) => {
  const { client } = stranger({});
  const asItIs = (bytes: Buffer) => bytes;
  const call = client.makeBidiStreamRequest(
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    asItIs,
    asItIs,
    new Metadata(),
  );
  // list_services = 7 is a string; file_containing_symbol = 4 too.
  const asked = (field: number, text: string) =>
    Buffer.from([(field << 3) | 2, text.length, ...Buffer.from(text)]);
  call.write(asked(7, ''));
  call.write(asked(4, 'gfs.v1.Files'));
  const [list, file] = [(await once(call, 'data'))[0] as Buffer, (await once(call, 'data'))[0] as Buffer];
  call.end();
  t.true(list.includes('gfs.v1.Files'));
  t.false(list.includes('gfs.v1.Master'));
  t.true(file.includes('gfs/v1/files.proto'));
  t.true(file.includes('FilesWriteStart'));
  const answer = await new Promise<Buffer>((resolve, reject) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      asItIs,
      asItIs,
      asked(1, 'gfs.v1.Files'),
      (error, value) => (error === null ? resolve(value ?? Buffer.alloc(0)) : reject(error)),
    );
  });
  t.deepEqual([...answer], [0x08, 0x01]);
});

test.serial('gfs up serves it, and says where; what is written there is on the mount', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using up = new TestCluster();
  const { gateway } = await up.start();
  t.regex(up.stdout, new RegExp(`gateway +${gateway.address} \\(pid ${gateway.pid}\\)`));
  const admin = new Stranger(gateway.address, ADMIN);
  await admin.write(at('/from-a-program'), [Buffer.from('hello')]);
  t.is(await up.shell('cat from-a-program'), 'hello');
  await up.shell('echo from the mount > file');
  t.is((await admin.read('/file')).toString(), 'from the mount\n');
  t.regex((await up.gfs('status')).stdout, /gateway 127\.0\.0\.1:/);
  admin.client.close();
  t.is(await up.stop(), 0);
});
