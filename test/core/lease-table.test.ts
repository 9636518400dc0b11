import test from 'ava';
import { chunkHandle, serverId } from '../../src/base/ids.ts';
import { LeaseTable } from '../../src/core/lease-table.ts';

const CHUNK = chunkHandle(7);
const A = serverId(1);
const B = serverId(2);
const leases = () => new LeaseTable({ durationMs: 60_000 });

test('a primary that misses its heartbeats keeps its lease until it expires', (t) => {
  const table = leases();
  table.grant(CHUNK, A, 1, 0);
  t.is(table.primaryOf(CHUNK, 1, 59_999), A);
  t.is(table.primaryOf(CHUNK, 1, 60_000), undefined);
});

test('use extends a lease, and a lease is of one version', (t) => {
  const table = leases();
  table.grant(CHUNK, A, 1, 0);
  t.true(table.extend({ chunk: CHUNK, server: A, version: 1 }, { version: 1, primary: A }, 50_000));
  t.is(table.primaryOf(CHUNK, 1, 109_999), A);
  t.is(table.primaryOf(CHUNK, 2, 50_000), undefined);
});

test('a claim that the log does not confirm is void', (t) => {
  const table = leases();
  t.false(table.extend({ chunk: CHUNK, server: A, version: 1 }, { version: 2, primary: A }, 0));
  t.false(table.extend({ chunk: CHUNK, server: A, version: 1 }, { version: 1, primary: B }, 0));
  t.false(table.extend({ chunk: CHUNK, server: A, version: 1 }, undefined, 0));
  t.is(table.size, 0);
});

test('a restarted master learns leases from those who use them', (t) => {
  const table = leases();
  t.true(table.extend({ chunk: CHUNK, server: A, version: 3 }, { version: 3, primary: A }, 10));
  t.is(table.primaryOf(CHUNK, 3, 11), A);
});

test('P5: a version is never granted twice', (t) => {
  const table = leases();
  table.grant(CHUNK, A, 2, 0);
  t.throws(() => table.grant(CHUNK, B, 2, 100_000), { message: /granted once/ });
  table.grant(CHUNK, B, 3, 1);
  t.is(table.primaryOf(CHUNK, 3, 2), B);
});

test('P5: a restarted server is primary of nothing', (t) => {
  const table = leases();
  table.grant(CHUNK, A, 1, 0);
  table.grant(chunkHandle(8), B, 1, 0);
  table.revokeAllOf(A);
  t.is(table.primaryOf(CHUNK, 1, 1), undefined);
  t.is(table.countOf(B, 1), 1);
  table.sweep(60_000);
  t.is(table.size, 0);
});
