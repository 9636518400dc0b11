import test from 'ava';
import { LookupCount } from '../../mount/lookup-count.ts';
import { AssertionError } from '../../src/base/assert.ts';

test('a node is known until it was forgotten as often as it was looked up', (t) => {
  const lookups = new LookupCount();
  lookups.add(7);
  lookups.add(7);
  lookups.add(7);
  t.false(lookups.forget(7, 2));
  t.true(lookups.has(7));
  t.true(lookups.forget(7, 1));
  t.false(lookups.has(7));
  t.is(lookups.size, 0);
});

test('forgetting more than was looked up is a bug', (t) => {
  const lookups = new LookupCount();
  lookups.add(7);
  t.throws(() => lookups.forget(7, 2), { instanceOf: AssertionError });
  t.throws(() => lookups.forget(8, 1), { instanceOf: AssertionError });
});

test('the root is known without being looked up, and never forgotten', (t) => {
  const lookups = new LookupCount();
  lookups.add(1);
  t.false(lookups.forget(1, 5));
  t.true(lookups.has(1));
});
