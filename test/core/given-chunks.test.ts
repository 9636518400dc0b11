import test from 'ava';
import { chunkHandle, sessionId } from '../../src/base/ids.ts';
import { GivenChunks } from '../../src/core/given-chunks.ts';

const CHUNK = chunkHandle(7);
const [A, B] = [sessionId(1), sessionId(2)];

test('P23: a chunk is only with the session that alone was told of it', (t) => {
  const given = new GivenChunks();
  given.given(CHUNK, A);
  t.false(given.isOnlyWith(CHUNK, A), 'a chunk of an earlier master: nobody knows');
  given.begun(CHUNK);
  t.false(given.isOnlyWith(CHUNK, A));
  given.given(CHUNK, A);
  given.given(CHUNK, A);
  t.true(given.isOnlyWith(CHUNK, A));
  t.false(given.isOnlyWith(CHUNK, B));
  given.given(CHUNK, B);
  t.false(given.isOnlyWith(CHUNK, A));
  t.false(given.isOnlyWith(CHUNK, B));
});

test('P23: who asks without a session may be anybody', (t) => {
  const given = new GivenChunks();
  given.begun(CHUNK);
  given.given(CHUNK, 0);
  given.given(CHUNK, A);
  t.false(given.isOnlyWith(CHUNK, A));
});
