import { Buffer } from 'node:buffer';
import { GfsError } from '../../base/errors.ts';
import type { RemovedTree } from '../../client/api.ts';
import type { Files } from './files.ts';
import { named } from './named-error.ts';
import { joinPath, type NamedPlace } from './places.ts';
import type { Progress } from './progress.ts';

/** How often a person is shown how far it is. */
const ASKED_EVERY_MS = 200;

/** Removes what has this name in the cluster, and all that is below: it is out of sight when this resolves, or nothing of it is. */
export async function removeTree(
  { client, call }: Files,
  { parent, name, path }: NamedPlace,
): Promise<RemovedTree> {
  try {
    return await client.removeTree(parent, name, call);
  } catch (error) {
    const below = error instanceof GfsError ? error.fields['below'] : undefined;
    throw named(below === undefined ? path : joinPath(path, Buffer.from(below, 'latin1')), error);
  }
}

/** Shows how what was removed goes, until all of it is gone. Nothing of that depends on whether somebody looks. */
export async function showRemovals(
  files: Files,
  removed: readonly RemovedTree[],
  progress: Progress,
): Promise<void> {
  for (const { count } of removed) progress.expect(count);
  for (const { count, longCommand } of removed) {
    let doneCount = 0;
    const show = (more: number) => {
      progress.add(more - doneCount);
      doneCount = more;
    };
    while (longCommand !== undefined) {
      const state = await files.client.longCommand(longCommand, files.call);
      if (state === undefined) break;
      show(state.doneCount);
      await files.env.sleep(ASKED_EVERY_MS, { signal: files.signal });
    }
    show(Math.max(count, doneCount));
  }
}
