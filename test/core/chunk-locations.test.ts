import test from 'ava';
import { chunkHandle, serverId } from '../../src/base/ids.ts';
import { ChunkLocations, type ReplicaReport } from '../../src/core/chunk-locations.ts';
import { replicaReport } from './replica-report.ts';

const A = serverId(1);

const part = (reportId: number, last: boolean, ...replicas: ReplicaReport[]) => ({
  reportId,
  last,
  replicas,
});

test('a full report in parts replaces what was known, once it is complete', (t) => {
  const locations = new ChunkLocations();
  locations.reportPart(A, part(1, true, replicaReport(1), replicaReport(2)));
  locations.reportPart(A, part(2, false, replicaReport(3)));
  t.truthy(locations.replicaAt(A, chunkHandle(1)), 'the old one holds until the new one is complete');
  locations.reportPart(A, part(2, true, replicaReport(4)));
  t.deepEqual(
    [1, 2, 3, 4].map((chunk) => locations.replicaAt(A, chunkHandle(chunk))?.chunk),
    [undefined, undefined, chunkHandle(3), chunkHandle(4)],
  );
});

test('an abandoned report leaves nothing in the next', (t) => {
  const locations = new ChunkLocations();
  locations.reportPart(A, part(1, false, replicaReport(1)));
  locations.reportPart(A, part(2, true, replicaReport(2)));
  t.is(locations.replicaAt(A, chunkHandle(1)), undefined);
  t.is(locations.countAt(A), 1);
});

test('changes that come between the parts of a report are newer than the report', (t) => {
  const locations = new ChunkLocations();
  locations.reportPart(A, part(1, false, replicaReport(1), replicaReport(2)));
  locations.reportChanges(A, [{ chunk: chunkHandle(1), deleted: true }, replicaReport(2, { version: 9 })]);
  locations.reportPart(A, part(1, true));
  t.is(locations.replicaAt(A, chunkHandle(1)), undefined);
  t.is(locations.replicaAt(A, chunkHandle(2))?.version, 9);
});

test('a server is known after a full report only, and unknown once forgotten', (t) => {
  const locations = new ChunkLocations();
  locations.reportChanges(A, [replicaReport(1)]);
  t.false(locations.isKnown(A));
  locations.reportPart(A, part(1, false));
  t.true(locations.isReporting(A));
  locations.reportPart(A, part(1, true));
  t.true(locations.isKnown(A));
  locations.reportChanges(A, [replicaReport(1)]);
  t.is(locations.countAt(A), 1);
  locations.forget(A);
  t.false(locations.isKnown(A));
});
