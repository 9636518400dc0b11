import { codeOf } from '../../base/errors.ts';
import { type InodeId, inodeId } from '../../base/ids.ts';
import type { DirectoryPage } from '../../client/api.ts';
import type { Attributes, DirectoryEntry } from '../../rpc/messages.ts';
import type { Files } from './files.ts';
import { isDirectory, joinPath } from './places.ts';

/** Entries asked for at a time; a directory is never here as a whole. */
const PAGE_ENTRIES = 1000;

export interface Entry {
  readonly name: Buffer;
  readonly path: Buffer;
  readonly attributes: Attributes;
}

/** A directory's entries in the order of their names' bytes; the next ones are on their way meanwhile. */
export async function* entriesOf(files: Files, directory: InodeId, path: Buffer): AsyncGenerator<Entry> {
  let next: Promise<DirectoryPage> | undefined = pageAfter(files, directory, undefined);
  while (next !== undefined) {
    const { entries, end }: DirectoryPage = await next;
    const last = entries.at(-1);
    next = end || last === undefined ? undefined : pageAfter(files, directory, last.name);
    for (const entry of entries) {
      const attributes = await attributesOf(files, entry);
      if (attributes !== undefined) yield { name: entry.name, path: joinPath(path, entry.name), attributes };
    }
  }
}

export type Step =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly depth: number }
  /** All below this directory has been told of. */
  | { readonly kind: 'left'; readonly entry: Entry; readonly depth: number };

/** All that is below a directory, each directory before what is in it. One that cannot be listed is told of, and passed over. */
export async function* walk(files: Files, root: Entry): AsyncGenerator<Step> {
  const open = [{ entry: root, entries: entriesOf(files, inodeId(root.attributes.inode), root.path) }];
  for (let current = open.at(-1); current !== undefined; current = open.at(-1)) {
    const entry = await nextOf(files, current);
    if (entry === undefined) {
      open.pop();
      yield { kind: 'left', entry: current.entry, depth: open.length };
    } else {
      yield { kind: 'entry', entry, depth: open.length };
      if (isDirectory(entry.attributes)) {
        open.push({ entry, entries: entriesOf(files, inodeId(entry.attributes.inode), entry.path) });
      }
    }
  }
}

async function nextOf(
  files: Files,
  { entry, entries }: { entry: Entry; entries: AsyncGenerator<Entry> },
): Promise<Entry | undefined> {
  try {
    const next = await entries.next();
    return next.done ? undefined : next.value;
  } catch (error) {
    // It was removed since its name was listed, by somebody else or by this command.
    if (codeOf(error) !== 'NOT_FOUND') files.failed(entry.path, error);
    files.check();
    return undefined;
  }
}

function pageAfter(files: Files, directory: InodeId, after: Buffer | undefined): Promise<DirectoryPage> {
  const options = { ...(after === undefined ? {} : { after }), limit: PAGE_ENTRIES, withAttributes: true };
  const page = files.client.list(directory, options, files.call);
  // Whoever stops listing waits for no page that is on its way.
  page.catch(() => undefined);
  return page;
}

/** Of a file that somebody is writing the master does not know the length. Undefined: it is gone. */
async function attributesOf(
  files: Files,
  { inode, attributes }: DirectoryEntry,
): Promise<Attributes | undefined> {
  if (attributes !== undefined) return attributes;
  try {
    return await files.client.attributes(inodeId(inode), files.call);
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return undefined;
    throw error;
  }
}
