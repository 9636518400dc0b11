import test from 'ava';
import {
  joinedRequestIds,
  REQUEST_ID_BYTES_MAX,
  RequestIds,
  requestIdOf,
} from '../../src/base/request-ids.ts';

test('names of one process begin alike, and no two are the same', (t) => {
  const ids = new RequestIds(() => 0.5);
  const names = Array.from({ length: 1000 }, () => ids.next());
  t.is(new Set(names).size, names.length);
  for (const name of names) t.true(name.startsWith('i00000-') && requestIdOf(name) === name);
});

test('what others call an operation is taken if it can stand in a line', (t) => {
  const longest = 'x'.repeat(REQUEST_ID_BYTES_MAX);
  for (const good of ['1', '0af7651916cd43dd8448eb211c80319c', 'a/b:c,d=1', longest])
    t.is(requestIdOf(good), good);
  for (const bad of [
    undefined,
    7,
    Buffer.from('x'),
    '',
    'two words',
    'a\nb',
    '\x1b[2J',
    'ä',
    `${longest}x`,
  ]) {
    t.is(requestIdOf(bad), undefined, String(bad));
  }
});

test('operations that go on together are all named, as far as there is room', (t) => {
  t.is(joinedRequestIds([]), '');
  t.is(joinedRequestIds(['a-1']), 'a-1');
  t.is(joinedRequestIds(['a-1', 'a-1', 'b-2']), 'a-1,b-2');
  const many = joinedRequestIds(Array.from({ length: 256 }, (_, index) => `process-${index}`));
  t.true(many.length <= REQUEST_ID_BYTES_MAX && many.length > REQUEST_ID_BYTES_MAX - 12);
  t.true(many.startsWith('process-0,process-1,'));
  t.is(requestIdOf(many), many);
});
