import test from 'ava';
import { LocalChanges } from '../../../mount/gfs/local-changes.ts';

test('a change counts for those who asked before it', (t) => {
  const changes = new LocalChanges();
  const before = changes.now();
  changes.note(7);
  const after = changes.now();
  t.true(changes.changedSince(7, before));
  t.false(changes.changedSince(7, after));
  t.false(changes.changedSince(8, before));
});

test('when changes are forgotten, every node may have been among them', (t) => {
  const changes = new LocalChanges();
  const before = changes.now();
  for (let node = 1; node <= 20_000; node += 1) changes.note(node);
  t.true(changes.changedSince(1, before));
  t.true(changes.changedSince(999_999, before));
  const after = changes.now();
  changes.note(5);
  t.false(changes.changedSince(999_999, after));
  t.true(changes.changedSince(5, after));
});
