import { codeOf } from '../../base/errors.ts';
import type { AttributeChanges, GfsFile, Place } from '../../client/api.ts';
import { FileType } from '../../rpc/messages.ts';
import type { Files } from './files.ts';
import { named } from './named-error.ts';
import type { NamedPlace } from './places.ts';

/** How names begin that files have for a moment, before they take the place of others. */
export const PASSING_NAME_PREFIX = '.gfs-';
/** Links have no modes of their own. */
const LINK_MODE = 0o777;
/** Digits enough that no two are alike. */
const PASSING_NAME_DIGITS = 16;

export interface NewFile {
  /** Permission bits. */
  readonly mode: number;
  /** Taken off the mode, unless the directory has a default ACL. */
  readonly umask: number;
  /** To be set once it is written. */
  readonly changes: AttributeChanges;
}

/**
 * Makes a file that appears under its name when it is whole, or not at all. Until then it has no name and goes with this
 * program's session. What has the name by then is replaced in one step: by way of a second name, which the file has for as
 * long as the master takes for one command.
 */
export async function writeAtomically(
  files: Files,
  place: NamedPlace,
  { mode, umask, changes }: NewFile,
  write: (file: GfsFile) => Promise<void>,
): Promise<void> {
  const { client } = files;
  const how = { read: true, write: true, mode, umask, linkable: true };
  const naming = <R>(promise: Promise<R>) =>
    promise.catch((error: unknown) => {
      throw named(place.path, error);
    });
  const { file } = await naming(client.createUnnamed(place.parent, how, files.call));
  try {
    await write(file);
    await naming(file.flush(files.call));
    if (Object.keys(changes).length > 0) await client.setAttributes(file.inode, changes, files.call);
    await naming(giveName(files, place, file));
  } finally {
    // All that could fail has been told by the flush.
    await file.close(files.lastCall).catch(() => undefined);
  }
}

/** A name nobody else has. */
export function passingName(files: Pick<Files, 'env'>): Buffer {
  return Buffer.from(PASSING_NAME_PREFIX + files.env.uniqueId().slice(0, PASSING_NAME_DIGITS));
}

/** Has `make` make something under a name of its own, and puts it in the place of what is there. */
export async function replaceWith(
  files: Files,
  place: Place,
  make: (passing: Place) => Promise<unknown>,
): Promise<void> {
  const { client } = files;
  const passing = { parent: place.parent, name: passingName(files) };
  try {
    await make(passing);
    await client.rename(passing, place, {}, files.call);
  } catch (error) {
    await client.unlink(passing.parent, passing.name, files.lastCall).catch(() => undefined);
    throw error;
  }
}

export async function makeSymbolicLink(
  { client, call }: Files,
  { parent, name }: Place,
  target: Buffer,
): Promise<void> {
  const node = { type: FileType.FILE_TYPE_SYMLINK, mode: LINK_MODE, symlinkTarget: target };
  await client.makeNode(parent, name, node, call);
}

async function giveName(files: Files, place: Place, { inode }: GfsFile): Promise<void> {
  const { client } = files;
  try {
    await client.makeLink(inode, place.parent, place.name, files.call);
  } catch (error) {
    if (codeOf(error) !== 'EXISTS') throw error;
    await replaceWith(files, place, (passing) =>
      client.makeLink(inode, passing.parent, passing.name, files.call),
    );
  }
}
