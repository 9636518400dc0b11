import test from 'ava';
import { inodeId } from '../../src/base/ids.ts';
import { nameKey } from '../../src/base/name-key.ts';
import { RecentChanges } from '../../src/client/recent-changes.ts';

test('a change counts for those who asked before it', (t) => {
  const changes = new RecentChanges();
  changes.see();
  const before = changes.now();
  changes.note(7);
  const after = changes.now();
  t.true(changes.changedSince(7, before));
  t.false(changes.changedSince(7, after));
  t.false(changes.changedSince(8, before));
});

test('when changes are forgotten, every node may have been among them', (t) => {
  const changes = new RecentChanges();
  changes.see();
  const before = changes.now();
  for (let node = 1; node <= 140_000; node += 1) changes.note(node);
  t.true(changes.changedSince(1, before));
  t.true(changes.changedSince(999_999, before));
  const after = changes.now();
  changes.note(5);
  t.false(changes.changedSince(999_999, after));
  t.true(changes.changedSince(5, after));
});

test('names are told apart from nodes, and by their directories', (t) => {
  const changes = new RecentChanges();
  changes.see();
  const before = changes.now();
  const name = Buffer.from('7');
  changes.note(nameKey(inodeId(1), name));
  t.true(changes.changedSince(nameKey(inodeId(1), name), before));
  t.false(changes.changedSince(nameKey(inodeId(2), name), before));
  t.false(changes.changedSince(7, before));
});

test('while nobody tells what others change, everything may have changed', (t) => {
  const changes = new RecentChanges();
  t.true(changes.changedSince(7, changes.now()));
  const blind = changes.now();
  changes.see();
  t.true(changes.changedSince(7, blind), 'it was asked before anybody watched');
  const seeing = changes.now();
  t.false(changes.changedSince(7, seeing));
  changes.goBlind();
  t.true(changes.changedSince(7, seeing));
  changes.see();
  t.true(changes.changedSince(7, seeing), 'nobody watched in between');
});
