import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { lmdbMetaStores } from '../../src/storage/meta-store-lmdb.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { metaStoreCompliance } from './meta-store-compliance.ts';

const openStore = lmdbMetaStores(new NodeDisk());
metaStoreCompliance(test, openStore);

test('rows are there after closing and opening again', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-lmdb-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'store.mdb');
  const store = await openStore(path, { kind: 'left' });
  store.transaction(() => store.put(Buffer.from('a'), Buffer.from('1')));
  await store.sync();
  await store.close();
  const again = await openStore(path, { kind: 'left' });
  t.true(again.has(Buffer.from('a')));
  await again.close();
});
