import { codeOf, GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import type { Call, GfsClient } from '../client/api.ts';
import type { DirectoryEntry } from '../rpc/messages.ts';
import { callOf, type FilesHandlers, type FilesParts } from './files-parts.ts';
import { about, find, isDirectory, nameIn } from './paths.ts';

/** Names that are taken away at a time. */
const TOGETHER = 32;

export function removeHandler(parts: FilesParts): FilesHandlers['remove'] {
  const { client } = parts;
  return async ({ message: { path, recursive } }, context) => {
    const call = callOf(parts, context);
    return await about(path, async () => {
      const found = await find(client, path, false, call);
      const { parent, name } = nameIn(found);
      const removal = new Removal(client, call);
      const { inode, type } = found.attributes;
      await removal.remove(parent, { name: Buffer.from(name), inode, type }, recursive);
      return { message: { count: removal.count } };
    });
  };
}

type Entry = Pick<DirectoryEntry, 'name' | 'inode' | 'type'>;

class Removal {
  readonly #client: GfsClient;
  readonly #call: Call;
  count = 0;

  constructor(client: GfsClient, call: Call) {
    this.#client = client;
    this.#call = call;
  }

  async remove(parent: InodeId, entry: Entry, recursive: boolean): Promise<void> {
    if (!isDirectory(entry)) {
      await this.#client.unlink(parent, entry.name, this.#call);
    } else {
      if (recursive) await this.#empty(inodeId(entry.inode));
      await this.#client.removeDirectory(parent, entry.name, this.#call);
    }
    this.count += 1;
  }

  /** Directories one after the other, so that a tree of any shape takes little memory; of other names some together. */
  async #empty(directory: InodeId): Promise<void> {
    let after: Buffer = Buffer.alloc(0);
    for (;;) {
      const page = await this.#client.list(directory, { after, limit: TOGETHER }, this.#call);
      const others = page.entries.filter((entry) => !isDirectory(entry));
      const done = await Promise.allSettled(others.map((entry) => this.#removeListed(directory, entry)));
      for (const result of done) if (result.status === 'rejected') throw result.reason;
      for (const entry of page.entries) if (isDirectory(entry)) await this.#removeListed(directory, entry);
      const last = page.entries.at(-1);
      if (page.end || last === undefined) return;
      after = last.name;
    }
  }

  async #removeListed(directory: InodeId, entry: DirectoryEntry): Promise<void> {
    try {
      await this.remove(directory, entry, true);
    } catch (error) {
      // Somebody else was faster.
      if (codeOf(error) === 'NOT_FOUND') return;
      if (!(error instanceof GfsError)) throw error;
      const { code, message, fields } = error;
      throw new GfsError(code, `${entry.name.toString()}: ${message}`, { cause: error, fields });
    }
  }
}
