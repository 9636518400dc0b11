import test from 'ava';
import { chunkHandle } from '../../src/base/ids.ts';
import { Accusations, COMPLAINT_MS, Complaints } from '../../src/core/complaints.ts';

const CHUNK = chunkHandle(7);

test('P12: complaints of a primary count when they go on for a while, about one version', (t) => {
  const complaints = new Complaints();
  t.false(complaints.note(CHUNK, 1, 0));
  t.false(complaints.note(CHUNK, 1, COMPLAINT_MS - 1));
  t.true(complaints.note(CHUNK, 1, COMPLAINT_MS));
  t.false(complaints.note(CHUNK, 2, COMPLAINT_MS + 1), 'of the next version they begin anew');
  t.false(complaints.note(CHUNK, 2, COMPLAINT_MS + 20_000), 'after a pause, too');
  complaints.settled(CHUNK);
  t.false(complaints.note(CHUNK, 2, 2 * COMPLAINT_MS + 20_000));
});

test('P12: a member is accused again when another primary does so soon after', (t) => {
  const accusations = new Accusations();
  t.false(accusations.note(CHUNK, { by: 1, accused: 2 }, 0));
  t.false(accusations.note(CHUNK, { by: 1, accused: 2 }, 10), 'the same primary asks again');
  t.true(accusations.note(CHUNK, { by: 3, accused: 2 }, 20));
  t.false(accusations.note(CHUNK, { by: 3, accused: 1 }, 30));
  t.false(accusations.note(CHUNK, { by: 2, accused: 1 }, 100_000), 'that is long ago');
});

test('what is remembered of chunks is bounded', (t) => {
  const complaints = new Complaints();
  for (let chunk = 1; chunk <= 20_000; chunk += 1) complaints.note(chunkHandle(chunk), 1, 0);
  t.false(complaints.note(chunkHandle(1), 1, COMPLAINT_MS), 'the oldest is forgotten');
  t.true(complaints.note(chunkHandle(20_000), 1, COMPLAINT_MS));
});
