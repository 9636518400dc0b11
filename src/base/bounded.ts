import { LRUCache } from 'lru-cache';

/** An LRU cache of so many entries. (lru-cache's own `max` takes the memory for all of them at once.) */
export function boundedCache<K extends {}, V extends {}>(countMax: number): LRUCache<K, V> {
  return new LRUCache({ maxSize: countMax, sizeCalculation: () => 1 });
}

/**
 * Of so many entries one goes at a time. The first one of a map is found behind the places that removed ones left, which may be
 * as many as there are entries: for a single one at a time, at 65,536, that took 100 µs each.
 */
const REMOVED_SHARE = 64;

/**
 * Puts an entry last. When there are more than `countMax` now, some of the first go; answers the last of those. Not for keys that
 * are put last again and again: a map finds one behind all the places that it had.
 */
export function putLast<K, V>(map: Map<K, V>, key: K, value: V, countMax: number): [K, V] | undefined {
  map.delete(key);
  map.set(key, value);
  if (map.size <= countMax) return undefined;
  const keptCount = countMax - Math.floor(countMax / REMOVED_SHARE);
  let removed: [K, V] | undefined;
  for (const first of map) {
    if (map.size <= keptCount) break;
    map.delete(first[0]);
    removed = first;
  }
  return removed;
}
