import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { MiB } from '../../src/base/units.ts';
import type { MetaStore, ScanRange } from '../../src/core/metadata/store.ts';
import type { MetaStoreFile, MetaStoreSource, OpenMetaStore } from '../../src/storage/meta-store-files.ts';

/** What every store of metadata promises. */
export function metaStoreCompliance(test: TestFn, openStore: OpenMetaStore): void {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-store-'));
  const opened: MetaStoreFile[] = [];
  let count = 0;
  test.after.always(async () => {
    for (const store of opened) await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const open = async (source: MetaStoreSource = { kind: 'empty' }) => {
    count += 1;
    const store = await openStore(join(directory, `store-${count}`), source);
    opened.push(store);
    return store;
  };

  test('a checkpoint has what was there when it was begun, and a store made from it goes its own way', async (t) => {
    const store = await open();
    store.transaction(() => {
      for (let index = 0; index < 30_000; index += 1)
        store.put(bytes(`row ${index}`), bytes('x'.repeat(index % 90)));
    });
    const path = join(directory, 'checkpoint');
    const copying = store.writeCheckpoint(path);
    store.transaction(() => store.remove(bytes('row 7')));
    await copying;
    store.transaction(() => store.remove(bytes('row 8')));
    const restored = await open({ kind: 'checkpoint', path });
    const all = new Set(rows(restored, {}));
    all.delete(`row 7=${'x'.repeat(7)}`);
    t.is(all.size, 29_999);
    t.true(all.has(`row 8=${'x'.repeat(8)}`));
    restored.transaction(() => restored.put(bytes('more'), bytes('1')));
    t.false(store.has(bytes('more')));
  });

  test('a checkpoint that cannot be written is a fault, and the store goes on', async (t) => {
    const store = await open();
    writeFileSync(join(directory, 'a file'), '');
    const error = await t.throwsAsync(store.writeCheckpoint(join(directory, 'a file', 'checkpoint')));
    t.true(error instanceof GfsError);
    store.transaction(() => store.put(bytes('a'), bytes('1')));
    t.is(get(store, 'a'), '1');
  });

  test('room is made and used, also for more than the store has taken so far', async (t) => {
    const store = await open();
    for (const roomBytes of [1, 3 * MiB, 1]) {
      await store.makeRoom(roomBytes, 'ordinary');
      store.transaction(() => store.put(bytes(`row ${roomBytes}`), Buffer.alloc(50_000, 1)));
      t.is(get(store, `row ${roomBytes}`)?.length, 50_000);
    }
    const path = join(directory, 'checkpoint with room');
    await store.writeCheckpoint(path);
    t.deepEqual(rows(await open({ kind: 'checkpoint', path }), {}), rows(store, {}));
  });

  test('a row is read back until it is removed', async (t) => {
    const store = await open();
    store.transaction(() => {
      store.put(bytes('a'), bytes('1'));
      t.is(get(store, 'a'), '1', 'its own transaction sees it');
      store.put(bytes('a'), bytes('22'));
      store.put(bytes('empty'), bytes(''));
    });
    t.is(get(store, 'a'), '22');
    t.is(get(store, 'empty'), '');
    t.true(store.has(bytes('empty')));
    t.is(get(store, 'b'), undefined);
    t.false(store.has(bytes('b')));
    store.transaction(() => {
      t.true(store.remove(bytes('a')));
      t.false(store.remove(bytes('a')));
      t.is(get(store, 'a'), undefined);
    });
    t.is(get(store, 'a'), undefined);
    t.false(store.has(bytes('a')));
  });

  test('keys and values are copied when they are put', async (t) => {
    const store = await open();
    const key = bytes('key');
    const value = bytes('value');
    store.transaction(() => {
      store.put(key, value);
      key.fill(0x78);
      value.fill(0x78);
      store.put(bytes('other'), bytes('OTHER'));
    });
    t.deepEqual(rows(store, {}), ['key=value', 'other=OTHER']);
  });

  test('rows are shown in the order of their bytes, within the range, either way', async (t) => {
    const store = await open();
    const keys = [[0], [0, 0], [1], [1, 0xff], [2], [2, 0], [0xff], [0xff, 0xff]].map((key) =>
      Buffer.from(key),
    );
    store.transaction(() => {
      for (const key of [...keys].reverse()) store.put(key, key);
    });
    const shown = (range: ScanRange, limit = Number.POSITIVE_INFINITY) => {
      const found: string[] = [];
      store.scan(range, (key, value) => {
        t.deepEqual(copy(key), copy(value));
        found.push(copy(key).toString('hex'));
        return found.length < limit;
      });
      return found;
    };
    const range = { from: Buffer.from([1]), end: Buffer.from([2, 0]) };
    t.deepEqual(shown(range), ['01', '01ff', '02']);
    t.deepEqual(shown({ ...range, reverse: true }), ['02', '01ff', '01']);
    t.deepEqual(shown({ ...range, reverse: true }, 1), ['02']);
    t.deepEqual(shown(range, 2), ['01', '01ff']);
    const between = { from: Buffer.from([0, 1]), end: Buffer.from([1, 5]) };
    t.deepEqual(shown(between), ['01']);
    t.deepEqual(shown({ ...between, reverse: true }), ['01']);
    t.deepEqual(shown({ from: Buffer.from([3]), end: Buffer.from([4]) }), []);
    t.deepEqual(shown({ from: Buffer.from([3]), end: Buffer.from([4]), reverse: true }), []);
    t.deepEqual(shown({ from: Buffer.from([0xff]), end: Buffer.from([0xff, 0xff, 0]), reverse: true }), [
      'ffff',
      'ff',
    ]);
  });

  test('a scan sees what its own transaction wrote', async (t) => {
    const store = await open();
    store.transaction(() => {
      store.put(bytes('a'), bytes('1'));
      store.put(bytes('b'), bytes('2'));
    });
    store.transaction(() => {
      store.remove(bytes('a'));
      store.put(bytes('c'), bytes('3'));
      t.deepEqual(rows(store, {}), ['b=2', 'c=3']);
      t.deepEqual(rows(store, { reverse: true }), ['c=3', 'b=2']);
    });
  });

  test('a transaction that throws leaves nothing', async (t) => {
    const store = await open();
    store.transaction(() => store.put(bytes('a'), bytes('1')));
    const failed = t.throws(() =>
      store.transaction(() => {
        store.put(bytes('a'), bytes('2'));
        store.put(bytes('b'), bytes('2'));
        throw new Error('no');
      }),
    );
    t.is(failed?.message, 'no');
    t.deepEqual(rows(store, {}), ['a=1']);
    t.is(
      store.transaction(() => 7),
      7,
      'and the next one works',
    );
  });

  test('writing outside a transaction is a bug', async (t) => {
    const store = await open();
    t.throws(() => store.put(bytes('a'), bytes('1')), { name: 'AssertionError' });
    t.throws(() => store.remove(bytes('a')), { name: 'AssertionError' });
    t.throws(() => store.transaction(() => store.transaction(() => 1)), { name: 'AssertionError' });
  });

  test('values larger than a page come back whole', async (t) => {
    const store = await open();
    const large = Buffer.alloc(300_000, 'large');
    store.transaction(() => {
      store.put(bytes('a'), large);
      store.put(bytes('b'), bytes('small'));
    });
    const row = store.get(bytes('a'));
    t.true(row !== undefined && copy(row).equals(large));
    t.is(get(store, 'b'), 'small');
  });
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function copy({ bytes: from, length }: { bytes: Uint8Array; length: number }): Buffer {
  const result = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1) result[index] = from[index] ?? 0;
  return result;
}

function get(store: MetaStore, key: string): string | undefined {
  const row = store.get(bytes(key));
  return row && copy(row).toString('latin1');
}

function rows(store: MetaStore, { reverse = false }: { reverse?: boolean }): string[] {
  const found: string[] = [];
  store.scan({ from: Buffer.from([0]), end: Buffer.from([0xff]), reverse }, (key, value) => {
    found.push(`${copy(key).toString('latin1')}=${copy(value).toString('latin1')}`);
    return true;
  });
  return found;
}
