import test from 'ava';
import { messageOf } from '../../src/base/errors.ts';
import type { SyncCall } from './sim-disk.ts';
import { metadataCrashes } from './workloads/metadata-crashes.ts';

const SEEDS = 40;
/** A missing sync is found sooner than this; most by the first few seeds. */
const SEEDS_CANARY = 400;

/** Syncs that nothing which was answered depends on. */
const SPARED = [
  // The mark that follows is written to the same directory, before anybody is answered.
  'recoverInto directory',
  // A torn mark is a mark that nobody believes.
  'StoreMark.#write data',
  // Space only: segments that come back are older than the checkpoints.
  'Oplog.removeBefore directory',
];

for (let seed = 0; seed < SEEDS; seed += 1) {
  test(`what the master answered is there after kills and power cuts, seed ${seed}`, async (t) => {
    t.is(await metadataCrashes(seed), await metadataCrashes(seed));
  });
}

test('every sync of the metadata is needed: without it some seed fails', async (t) => {
  const found = new Set<string>();
  const record = (call: SyncCall) => {
    found.add(siteOf(call));
    return false;
  };
  for (let seed = 0; seed < 20; seed += 1) await metadataCrashes(seed, { ignoreSync: record });
  t.true(found.size >= 10, [...found].join('\n'));
  for (const site of found) {
    if (SPARED.some((spared) => site.startsWith(spared))) continue;
    t.true(await isMissed(site), `nobody misses the sync ${site}`);
  }
});

async function isMissed(site: string): Promise<boolean> {
  for (let seed = 0; seed < SEEDS_CANARY; seed += 1) {
    try {
      await metadataCrashes(seed, { ignoreSync: (call) => siteOf(call) === site });
    } catch (error) {
      if (messageOf(error).length > 0) return true;
    }
  }
  return false;
}

/** "Oplog.#write data oplog.ts:153". */
function siteOf({ site, kind }: SyncCall): string {
  const [name, place] = site.split(' ');
  return `${name} ${kind} ${place}`;
}
