import test from 'ava';
import { serverId } from '../../src/base/ids.ts';
import { type Beat, type ServerIdentity, ServerTable } from '../../src/core/server-table.ts';

const A = serverId(1);
const table = () => new ServerTable<string>({ silenceMs: 5000, startedMs: 0, returnMs: 100 });

function identity(change: Partial<ServerIdentity> = {}): ServerIdentity {
  return {
    server: A,
    address: '127.0.0.1:1',
    rack: '',
    incarnation: 'first',
    bootId: 'boot',
    host: 'host',
    pid: 1,
    dataDirectory: '/data',
    ...change,
  };
}

function beat(change: Partial<Beat<string>> = {}): Beat<string> {
  return {
    space: { totalBytes: 100, freeBytes: 50, usedBytes: 50, reserveBytes: 0, chunkCount: 1, device: 1 },
    activeOperations: 0,
    load: 0,
    operations: [],
    corruptBlockCount: 0,
    report: undefined,
    ...change,
  };
}

test('another port is the same server', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  servers.disconnected(A, 'first');
  const again = servers.register(identity({ address: '127.0.0.1:2', incarnation: 'second' }), 20);
  t.deepEqual(again, { ok: true, value: 'restarted' });
  t.is(servers.get(A)?.identity.address, '127.0.0.1:2');
  t.is(servers.count, 1);
});

test('a copied directory is refused while the original lives, and taken once it is gone', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  servers.beat(A, 'first', beat(), 1000);
  const copy = identity({ incarnation: 'copy', dataDirectory: '/copy' });
  const refused = servers.register(copy, 2000);
  t.is(refused.ok ? undefined : refused.error.code, 'ALREADY_RUNNING');
  t.true(servers.register(copy, 6000).ok, 'silent for 5 s');
});

test('the same process that comes back is the same server, not a copy', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  t.deepEqual(servers.register(identity(), 1), { ok: true, value: 'reconnected' });
});

test('a broken connection is noticed at once, silence after a while', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  t.is(servers.livenessOf(A, 2499), 'alive');
  t.is(servers.livenessOf(A, 2500), 'suspect');
  t.is(servers.livenessOf(A, 5000), 'gone');
  servers.beat(A, 'first', beat(), 5001);
  t.is(servers.livenessOf(A, 5001), 'alive');
  servers.disconnected(A, 'first');
  t.is(servers.livenessOf(A, 5002), 'gone');
});

test('the end of an old connection does not touch the restarted server', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  servers.disconnected(A, 'first');
  servers.register(identity({ incarnation: 'second' }), 2);
  servers.disconnected(A, 'first');
  t.is(servers.livenessOf(A, 3), 'alive');
});

test('a heartbeat of a process that did not register is refused', (t) => {
  const servers = table();
  t.false(servers.beat(A, 'first', beat(), 0).ok);
  servers.register(identity(), 0);
  t.false(servers.beat(A, 'other', beat(), 0).ok);
});

test('a server that a restarted master never saw is awaited until it had the time to come', (t) => {
  const servers = table();
  t.true(servers.isAwaited(A, 99));
  t.false(servers.isAwaited(A, 100));
  servers.register(identity(), 0);
  servers.disconnected(A, 'first');
  t.false(servers.isAwaited(A, 1), 'it came, and went');
});

test('operations add up, the last report stays', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  const read = { operation: 'Read', errorCount: 1, bytes: 10, latencyUsSum: 5, latencyCounts: [1, 2] };
  servers.beat(A, 'first', beat({ report: 'r', operations: [{ ...read, count: 2, latencyUsMax: 4 }] }), 1);
  servers.beat(A, 'first', beat({ operations: [{ ...read, count: 3, latencyUsMax: 2 }] }), 2);
  t.is(servers.get(A)?.report, 'r');
  t.deepEqual(servers.get(A)?.operations.get('Read'), {
    operation: 'Read',
    count: 5,
    errorCount: 2,
    bytes: 20,
    latencyUsSum: 10,
    latencyUsMax: 4,
    latencyCounts: [2, 4],
  });
  servers.disconnected(A, 'first');
  servers.register(identity({ incarnation: 'second' }), 1000);
  t.is(servers.get(A)?.operations.size, 0);
  servers.beat(A, 'second', beat({ operations: [{ ...read, count: 1, latencyUsMax: 9 }] }), 1001);
  t.like([...servers.operationsOfAll()], [{ count: 6, latencyUsMax: 9, latencyCounts: [3, 6] }]);
});

test('a server that refused for want of room is full until its next heartbeat says how much it has', (t) => {
  const servers = table();
  servers.register(identity(), 0);
  t.false(servers.isFull(A), 'not known to be');
  servers.beat(A, 'first', beat(), 1);
  t.false(servers.isFull(A));
  servers.refusedForSpace(A);
  t.true(servers.isFull(A));
  servers.beat(A, 'first', beat({ space: undefined }), 2);
  t.true(servers.isFull(A));
  const space = { totalBytes: 100, freeBytes: 10, usedBytes: 90, reserveBytes: 10, chunkCount: 1, device: 1 };
  servers.beat(A, 'first', beat({ space }), 3);
  t.true(servers.isFull(A), 'only its reserve is left');
  servers.beat(A, 'first', beat({ space: { ...space, freeBytes: 11 } }), 4);
  t.false(servers.isFull(A));
});
