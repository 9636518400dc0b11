// Which chunks somebody may append to without asking where the file ends.
import test from 'ava';
import type { ChunkHandle } from '../../src/base/ids.ts';
import { AppendEnds } from '../../src/core/append-ends.ts';

const chunk = (number: number) => number as ChunkHandle;

test('who was told of a chunk may append to it until it is fenced, and whoever an earlier master told', (t) => {
  const ends = new AppendEnds(chunk(10));
  t.false(ends.mayBeAppendedTo(chunk(10)), 'nobody asked');
  ends.told(chunk(10));
  t.true(ends.mayBeAppendedTo(chunk(10)));
  ends.fenced(chunk(10));
  t.false(ends.mayBeAppendedTo(chunk(10)));
  ends.told(chunk(10));
  t.true(ends.mayBeAppendedTo(chunk(10)), 'it is the end again');
  t.true(ends.mayBeAppendedTo(chunk(9)), 'from before');
  ends.fenced(chunk(9));
  t.false(ends.mayBeAppendedTo(chunk(9)));
});

test('of what is forgotten the worst is thought', (t) => {
  const ends = new AppendEnds(chunk(1));
  for (let number = 1; number <= 65_536; number += 1) ends.fenced(chunk(number));
  t.false(ends.mayBeAppendedTo(chunk(70_000)));
  ends.told(chunk(65_537));
  t.true(ends.mayBeAppendedTo(chunk(1)));
  t.false(ends.mayBeAppendedTo(chunk(30_000)));
});
