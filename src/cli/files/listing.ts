import { must } from '../../base/assert.ts';
import type { InodeId } from '../../base/ids.ts';
import type { WalkedEntry } from '../../client/api.ts';
import type { Attributes } from '../../rpc/messages.ts';
import type { Files } from './files.ts';
import { joinPath } from './places.ts';

/** Commands show attributes, or go by them. */
const WITH_ATTRIBUTES = { attributes: 'all' } as const;

export interface Entry {
  readonly name: Buffer;
  readonly path: Buffer;
  readonly attributes: Attributes;
}

/** A directory's entries in the order of their names' bytes. */
export async function* entriesOf(files: Files, directory: InodeId, path: Buffer): AsyncGenerator<Entry> {
  for await (const entry of files.client.entries(directory, WITH_ATTRIBUTES, files.call)) {
    yield known({ ...entry, path: joinPath(path, entry.name) });
  }
}

export interface Step {
  /** `left`: all below this directory has been told of. */
  readonly kind: 'entry' | 'left';
  readonly entry: Entry;
  readonly depth: number;
}

/** All that is below a directory, each directory before what is in it. One that cannot be listed is told of, and passed over. */
export async function* walk(files: Files, root: Entry): AsyncGenerator<Step> {
  const { inode, type } = root.attributes;
  for await (const step of files.client.walk({ ...root, inode, type }, WITH_ATTRIBUTES, files.call)) {
    const { kind, entry, depth } = step;
    if (kind === 'failed') files.failed(entry.path, step.error);
    else yield { kind, entry: known(entry), depth };
    files.check();
  }
}

function known({ name, path, attributes }: WalkedEntry): Entry {
  return { name, path, attributes: must(attributes, 'attributes were asked for') };
}
