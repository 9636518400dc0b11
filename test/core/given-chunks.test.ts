import test from 'ava';
import { chunkHandle, serverId, sessionId } from '../../src/base/ids.ts';
import { GivenChunks } from '../../src/core/given-chunks.ts';

const CHUNK = chunkHandle(7);
const [A, B] = [sessionId(1), sessionId(2)];

test('P23: a chunk is only with the session that alone was told of it', (t) => {
  const given = new GivenChunks();
  given.given(CHUNK, A);
  t.false(given.isOnlyWith(CHUNK, A), 'a chunk of an earlier master: nobody knows');
  given.begun(CHUNK, new Map());
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
  given.begun(CHUNK, new Map());
  given.given(CHUNK, 0);
  given.given(CHUNK, A);
  t.false(given.isOnlyWith(CHUNK, A));
});

test('P5: the processes that may begin a chunk are those of the time when it was placed', (t) => {
  const given = new GivenChunks();
  t.is(given.incarnationOf(CHUNK, serverId(1)), undefined, 'a chunk of an earlier master: nobody may');
  given.begun(CHUNK, new Map([[serverId(1), 'one']]));
  t.is(given.incarnationOf(CHUNK, serverId(1)), 'one');
  t.is(given.incarnationOf(CHUNK, serverId(2)), undefined);
});
