// The master's tables are what its log says (design, section 4): whoever replays the log, gets the same rows.
import { assert } from '../../../src/base/assert.ts';
import { MetadataEngine } from '../../../src/master/metadata-engine.ts';
import type { MetaStoreFile, OpenMetaStore } from '../../../src/storage/meta-store-files.ts';
import { memoryMetaStores } from '../../../src/storage/meta-store-memory.ts';
import type { Cluster } from '../cluster.ts';
import { rowsOf } from '../kept-stores.ts';
import { SimEnv } from '../sim-env.ts';

/** Ends the master for it. The store that it kept, brought up to date, and one made from the log alone are the same. */
export async function checkLogReplay({ simulation, master, stores }: Cluster): Promise<void> {
  master.kill();
  const recover = async (name: string, openerOf: (disk: ReturnType<typeof viewOf>) => OpenMetaStore) => {
    const env = new SimEnv(simulation, name);
    const disk = viewOf(env);
    let store: MetaStoreFile | undefined;
    const engine = await MetadataEngine.start({
      env,
      disk,
      directory: '/data',
      openStore: async (path, source) => {
        store = await openerOf(disk)(path, source);
        return store;
      },
      onFatal: (error) => simulation.fail(error),
    });
    assert(store !== undefined, 'an engine opens a store');
    const rows = new Map(rowsOf(store).map(([key, value]) => [key.toString('hex'), value.toString('hex')]));
    await engine.close();
    return rows;
  };
  const viewOf = (env: SimEnv) => master.disk.processView(env);
  const kept = await recover('kept tables', (disk) => stores.opener(disk));
  const replayed = await recover('replayed tables', memoryMetaStores);
  for (const [key, value] of kept) {
    assert(replayed.get(key) === value, `row ${key} is what the log says: ${value}, ${replayed.get(key)}`);
  }
  assert(replayed.size === kept.size, 'the log has no more rows than the tables');
}
