import { codeOf } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { type Attributes, type DirectoryEntry, FileType } from '../rpc/messages.ts';
import type {
  Call,
  DirectoryPage,
  EntriesOptions,
  GfsClient,
  WalkedEntry,
  WalkOptions,
  WalkStep,
} from './api.ts';

/** Asked of the master at a time; a directory is never here as a whole. */
const PAGE_ENTRIES = 1000;
const SLASH = 0x2f;

/** As much of a client as it takes to list directories. */
export type Lister = Pick<GfsClient, 'list' | 'attributes'>;

/** See `GfsClient.entries`. */
export async function* entriesOf(
  client: Lister,
  directory: InodeId,
  options: EntriesOptions,
  call: Call,
): AsyncGenerator<DirectoryEntry> {
  const pageAfter = (after: Buffer | undefined): Promise<DirectoryPage> => {
    const wanted = { limit: PAGE_ENTRIES, withAttributes: options.attributes !== undefined };
    const page = client.list(directory, after === undefined ? wanted : { ...wanted, after }, call);
    // Whoever stops listing waits for no page that is on its way.
    page.catch(() => undefined);
    return page;
  };
  let mayLook = options.attributes !== undefined;
  let next: Promise<DirectoryPage> | undefined = pageAfter(undefined);
  while (next !== undefined) {
    const { entries, end }: DirectoryPage = await next;
    const last = entries.at(-1);
    next = end || last === undefined ? undefined : pageAfter(last.name);
    for (const entry of entries) {
      if (entry.attributes !== undefined || !mayLook) {
        yield entry;
        continue;
      }
      const attributes = await attributesOf(client, entry, options, call);
      if (attributes === 'gone') continue;
      if (attributes === 'denied') mayLook = false;
      yield attributes === 'denied' ? entry : { ...entry, attributes };
    }
  }
}

/** The master leaves some to be asked for: of files that are being written, and all where the caller may not search. */
async function attributesOf(
  client: Lister,
  { inode }: DirectoryEntry,
  { attributes }: EntriesOptions,
  call: Call,
): Promise<Attributes | 'gone' | 'denied'> {
  try {
    return await client.attributes(inodeId(inode), call);
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return 'gone';
    if (codeOf(error) === 'PERMISSION_DENIED' && attributes === 'allowed') return 'denied';
    throw error;
  }
}

/** See `GfsClient.walk`. */
export async function* walk(
  client: Lister,
  root: WalkedEntry,
  { attributes, enters = () => true }: WalkOptions,
  call: Call,
): AsyncGenerator<WalkStep> {
  const levelOf = (entry: WalkedEntry) => ({
    entry,
    entries: entriesOf(client, inodeId(entry.inode), { attributes }, call),
  });
  const levels = [levelOf(root)];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const depth = levels.length;
    let next: IteratorResult<DirectoryEntry>;
    try {
      next = await level.entries.next();
    } catch (error) {
      // Others may have removed it since its name was told.
      if (depth === 1 || codeOf(error) !== 'NOT_FOUND') {
        yield { kind: 'failed', entry: level.entry, depth: depth - 1, error };
      }
      next = { done: true, value: undefined };
    }
    if (next.done) {
      levels.pop();
      yield { kind: 'left', entry: level.entry, depth: depth - 1 };
      continue;
    }
    const entry = { ...next.value, path: joined(level.entry.path, next.value.name) };
    yield { kind: 'entry', entry, depth };
    if (entry.type === FileType.FILE_TYPE_DIRECTORY && enters(entry)) levels.push(levelOf(entry));
  }
}

function joined(directory: Uint8Array, name: Buffer): Buffer {
  if (directory.length === 0) return name;
  return Buffer.concat(directory.at(-1) === SLASH ? [directory, name] : [directory, Buffer.of(SLASH), name]);
}
