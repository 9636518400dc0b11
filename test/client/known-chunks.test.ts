import test from 'ava';
import { KnownChunks } from '../../src/client/known-chunks.ts';
import type { ExtentLocation } from '../../src/rpc/messages.ts';
import { codeFrom } from './world.ts';

const nowhere = { members: [], primary: 0, sealed: false, sealedLength: 0, frozen: false };

function extent(chunk: number, start: number, firstVersion = 1): ExtentLocation {
  return { ...nowhere, chunk, start, version: firstVersion, firstVersion };
}

test('a chunk has given its place to another one that begins there, and to none else (P23)', (t) => {
  const given = extent(5, 1000);
  const check = (there: ExtentLocation | undefined, expected: boolean) => {
    const known = new KnownChunks();
    known.noteReplaced(given, there);
    t.is(known.wasReplaced(given), expected);
  };
  check(extent(6, 1000), true);
  check(undefined, false);
  check(given, false);
  check(extent(6, 1000, 2), false); // A clone: the chunk is another file's.
  check(extent(6, 1010), false); // The chunk was sealed, and another extent added behind it.
});

test('what a chunk acknowledged before it gave its place is lost, and its writer is told', async (t) => {
  const known = new KnownChunks();
  known.took(extent(5, 1000));
  const replacedBy = async (there: ExtentLocation) => known.noteReplaced(extent(5, 1000), there);
  t.is(await codeFrom(replacedBy(extent(6, 1010))), 'none');
  t.is(await codeFrom(replacedBy(extent(6, 1000, 2))), 'none');
  t.is(await codeFrom(replacedBy(extent(6, 1000))), 'WRITES_LOST');
});
