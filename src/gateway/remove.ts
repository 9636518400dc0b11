import { Buffer } from 'node:buffer';
import { GfsError } from '../base/errors.ts';
import { callOf, type FilesHandlers, type FilesParts } from './files-parts.ts';
import { about, find, isDirectory, nameIn } from './paths.ts';

const SLASH = Buffer.from('/');

export function removeHandler(parts: FilesParts): FilesHandlers['remove'] {
  const { client } = parts;
  return async ({ message: { path, recursive } }, context) => {
    const call = callOf(parts, context);
    return await about(path, async () => {
      const found = await find(client, path, false, call);
      const { parent, name } = nameIn(found);
      if (recursive) {
        const { count } = await aboutBelow(path, () => client.removeTree(parent, name, call));
        return { message: { count: Math.max(1, count) } };
      }
      if (isDirectory(found.attributes)) await client.removeDirectory(parent, name, call);
      else await client.unlink(parent, name, call);
      return { message: { count: 1 } };
    });
  };
}

/** What may not be removed has a path of its own. */
async function aboutBelow<T>(path: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const below = error instanceof GfsError ? error.fields['below'] : undefined;
    if (below === undefined) throw error;
    const denied = Buffer.concat([
      path,
      ...(path.at(-1) === SLASH[0] ? [] : [SLASH]),
      Buffer.from(below, 'latin1'),
    ]);
    return await about(denied, () => {
      throw error;
    });
  }
}
