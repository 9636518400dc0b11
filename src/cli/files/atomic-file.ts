import type { AtomicMode, GfsFile, Place } from '../../client/api.ts';
import { FileType } from '../../rpc/messages.ts';
import type { Files } from './files.ts';
import { named } from './named-error.ts';
import type { NamedPlace } from './places.ts';

/** How names begin that something has for a moment, before it takes the place of something else. */
const PASSING_NAME_PREFIX = '.gfs-';
/** Links have no modes of their own. */
const LINK_MODE = 0o777;
/** Digits enough that no two are alike. */
const PASSING_NAME_DIGITS = 16;

/** Makes a file that appears under its name when it is whole, or not at all; failures that are about it name it. */
export async function writeAtomically(
  files: Files,
  place: NamedPlace,
  how: AtomicMode,
  write: (file: GfsFile) => Promise<void>,
): Promise<void> {
  let isWriting = false;
  const writing = async (file: GfsFile) => {
    isWriting = true;
    await write(file);
    isWriting = false;
  };
  try {
    await files.client.writeAtomically(place, how, writing, files.call);
  } catch (error) {
    throw isWriting ? error : named(place.path, error);
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
