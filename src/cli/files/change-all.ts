import { TaskGroup } from '../../base/task-group.ts';
import type { Files } from './files.ts';
import { type Entry, walk } from './listing.ts';
import { baseName, found, isDirectory } from './places.ts';
import { PlacesInFlight } from './places-in-flight.ts';

/** Changes under way together. */
const IN_FLIGHT_COUNT_MAX = 32;

/**
 * Does something to each path, with `recursive` also to all that is below, several at a time. Symbolic links that are named
 * are followed, unless `follow` says otherwise; those below are `change`'s matter.
 */
export async function changeAll(
  files: Files,
  paths: readonly Buffer[],
  { recursive = false, follow = true }: { recursive?: boolean | undefined; follow?: boolean },
  change: (entry: Entry) => Promise<unknown>,
): Promise<void> {
  const places = new PlacesInFlight(IN_FLIGHT_COUNT_MAX);
  for (const path of paths) {
    const tasks = new TaskGroup((error) => files.failed(path, error));
    const apply = (entry: Entry) =>
      files.attempt(entry.path, async () => {
        await change(entry);
      });
    await files.attempt(path, async () => {
      const root = { name: baseName(path), path, attributes: await found(files, path, { follow }) };
      await apply(root);
      if (!recursive || !isDirectory(root.attributes)) return;
      for await (const { kind, entry } of walk(files, root)) {
        files.signal.throwIfAborted();
        if (kind !== 'entry') continue;
        // It may be what lets the caller list it.
        if (isDirectory(entry.attributes)) {
          await apply(entry);
          continue;
        }
        const giveBack = await places.take();
        tasks.run(() => apply(entry).finally(giveBack));
      }
    });
    await tasks.drain();
  }
}
