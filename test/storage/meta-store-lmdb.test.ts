import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { LmdbMetaStore } from '../../src/storage/meta-store-lmdb.ts';
import { metaStoreCompliance } from './meta-store-compliance.ts';

const directory = mkdtempSync(join(tmpdir(), 'gfs-lmdb-'));
const opened: LmdbMetaStore[] = [];
test.after.always(async () => {
  for (const store of opened) await store.close();
  rmSync(directory, { recursive: true, force: true });
});

function open(name: string): LmdbMetaStore {
  const store = LmdbMetaStore.open(join(directory, name));
  opened.push(store);
  return store;
}

metaStoreCompliance(test, async () => open(`${opened.length}.mdb`));

test('rows are there after closing and opening again, and in a copy', async (t) => {
  const path = 'again.mdb';
  const store = open(path);
  store.transaction(() => store.put(Buffer.from('a'), Buffer.from('1')));
  const copied = store.copyTo(join(directory, 'copy.mdb'));
  store.transaction(() => store.put(Buffer.from('b'), Buffer.from('2')));
  await copied;
  await store.close();
  const again = open(path);
  t.true(again.has(Buffer.from('a')));
  t.true(again.has(Buffer.from('b')));
  t.true(open('copy.mdb').has(Buffer.from('a')));
});
