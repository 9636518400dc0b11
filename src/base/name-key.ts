import { type InodeId, inodeId } from './ids.ts';

/** A name in a directory, as the key of a map: names are bytes, which a string holds as they are. */
export type NameKey = `${number}/${string}`;

export function nameKey(parent: number, name: Uint8Array): NameKey {
  return `${parent}/${Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')}`;
}

/** What the key was made of. */
export function keyedName(key: NameKey): { parent: InodeId; name: Buffer } {
  const slash = key.indexOf('/');
  return { parent: inodeId(Number(key.slice(0, slash))), name: Buffer.from(key.slice(slash + 1), 'latin1') };
}
