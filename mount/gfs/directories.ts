import { must } from '../../src/base/assert.ts';
import { inodeId } from '../../src/base/ids.ts';
import type { Asked, Caller, Directories } from '../file-system.ts';
import type { DirectoryItem } from '../wire/directory.ts';
import type { OpenReply } from '../wire/replies.ts';
import type * as requests from '../wire/requests.ts';
import type { GfsContext } from './context.ts';
import { DirectoryReader } from './directory-reader.ts';

const ROOT_IDENTITY = { uid: 0, gid: 0, groups: [] };

/** Open directories. */
export class GfsDirectories implements Directories {
  readonly #context: GfsContext;
  readonly #readers = new Map<number, DirectoryReader>();
  #lastNumber = 0;

  constructor(context: GfsContext) {
    this.#context = context;
  }

  async openDirectory({ node }: requests.OpenDirectory, caller: Caller): Promise<OpenReply> {
    const { client, callers, removed } = this.#context;
    const directory = inodeId(node);
    // If the kernel has not checked who opens it, the master does. Then it stays open whatever becomes of its mode.
    if (!client.kernelWalksPaths) {
      const looked = client.list(directory, { limit: 1 }, await callers.call(caller));
      await removed.entries(directory, looked, undefined);
    }
    this.#lastNumber += 1;
    const reader = new DirectoryReader(this.#context, directory, { caller: ROOT_IDENTITY });
    this.#readers.set(this.#lastNumber, reader);
    return { openFile: this.#lastNumber, flags: 0 };
  }

  async readDirectory(operation: requests.ReadDirectory, asked?: Asked): Promise<readonly DirectoryItem[]> {
    const { node, openFile, flags } = operation;
    const reader = must(this.#readers.get(openFile), `the kernel has open directory ${openFile} from us`);
    const items = await reader.read(operation, asked);
    if (this.#context.reads.directory(node, flags)) this.#context.ready.drop(inodeId(node));
    return items;
  }

  async syncDirectory(_operation: requests.SyncDirectory, asked?: Asked): Promise<void> {
    await this.#context.client.syncNames(asked);
  }

  async releaseDirectory({ openFile }: requests.ReleaseDirectory): Promise<void> {
    this.#readers.delete(openFile);
  }
}
