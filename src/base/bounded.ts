import { LRUCache } from 'lru-cache';

/** An LRU cache of so many entries. (lru-cache's own `max` takes the memory for all of them at once.) */
export function boundedCache<K extends {}, V extends {}>(countMax: number): LRUCache<K, V> {
  return new LRUCache({ maxSize: countMax, sizeCalculation: () => 1 });
}

/** Puts an entry last; answers the first one, removed, when there are more than `countMax` now. */
export function putLast<K, V>(map: Map<K, V>, key: K, value: V, countMax: number): [K, V] | undefined {
  map.delete(key);
  map.set(key, value);
  if (map.size <= countMax) return undefined;
  for (const first of map) {
    map.delete(first[0]);
    return first;
  }
  return undefined;
}
