import { GfsError } from '../../src/base/errors.ts';
import type { Caller, FileSystem } from '../file-system.ts';
import type { DirectoryItem } from '../wire/directory.ts';
import { OPEN, TYPE } from '../wire/numbers.ts';
import type { FilesystemStatistics, NodeAttributes } from '../wire/replies.ts';
import type { SetAttributes } from '../wire/requests.ts';
import { isAllowed } from './access.ts';
import type { FreshFiles } from './fresh-files.ts';
import type { Handles } from './handles.ts';
import { checkedText, type PathWalker } from './path-walker.ts';

/** What a listing asks for at a time; the file system decides how much it is. */
const LISTING_BYTES = 1024 * 1024;

/** libfuse took the umask off the mode. */
const APPLIED = 0;

export interface PathContext {
  readonly fileSystem: FileSystem;
  /** Whoever mounted: nobody else gets in, and the package does not say who asks. */
  readonly caller: Caller;
  readonly walker: PathWalker;
  readonly handles: Handles;
  readonly fresh: FreshFiles;
}

/** What is changed of a node: all but who it is, and by which open file. */
export type Changes = Omit<SetAttributes, 'kind' | 'node' | 'openFile'>;

/** Names and attributes, asked for by path. */
export class PathNamespace {
  readonly #context: PathContext;

  constructor(context: PathContext) {
    this.#context = context;
  }

  async attributes(path: string): Promise<NodeAttributes> {
    const { fileSystem, caller, walker } = this.#context;
    if (path !== '/' && walker.hidden.get(path) === undefined) {
      const place = await walker.place(path);
      // A look-up tells the attributes, too.
      if (walker.dentries.get(place) === undefined) return (await walker.look(place)).attributes;
    }
    return walker.at(path, async (node) => {
      return (await fileSystem.getAttributes({ kind: 'getAttributes', node }, caller)).attributes;
    });
  }

  /** access(2), where the kernel leaves it to the file system. */
  async access(path: string, mask: number): Promise<void> {
    if (isAllowed(await this.attributes(path), mask)) return;
    throw new GfsError('PERMISSION_DENIED', path);
  }

  async setAttributes(path: string, changes: Changes, handle?: number): Promise<void> {
    const { fileSystem, caller, walker, handles } = this.#context;
    const change = (node: number, openFile?: number) =>
      fileSystem.setAttributes({ kind: 'setAttributes', node, openFile, ...changes }, caller);
    if (handle === undefined) await walker.at(path, (node) => change(node));
    else await change(handles.get(handle).node, handles.get(handle).openFile);
  }

  async readSymlink(path: string): Promise<string> {
    const { fileSystem, caller, walker } = this.#context;
    const target = await walker.at(path, (node) =>
      fileSystem.readSymlink({ kind: 'readSymlink', node }, caller),
    );
    return checkedText(Buffer.from(target).toString());
  }

  async makeSymlink(target: string, path: string): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    const bytes = Buffer.from(checkedText(target));
    const place = await walker.place(path);
    await walker.learn(place, () =>
      fileSystem.makeSymlink({ kind: 'makeSymlink', ...place, target: bytes }, caller),
    );
  }

  /** A regular file stays open for whoever opens it next. */
  async makeNode(path: string, mode: number, rdev: number): Promise<void> {
    const { fileSystem, caller, walker, fresh } = this.#context;
    const place = await walker.place(path);
    const type = mode & TYPE.MASK;
    if (type !== TYPE.REGULAR && type !== 0) {
      await walker.learn(place, () =>
        fileSystem.makeNode({ kind: 'makeNode', ...place, mode, umask: APPLIED, rdev }, caller),
      );
      return;
    }
    const flags = OPEN.READ_WRITE | OPEN.CREATE | OPEN.EXCLUSIVE;
    const { attributes, openFile } = await walker.learn(place, () =>
      fileSystem.create({ kind: 'create', ...place, mode, umask: APPLIED, flags }, caller),
    );
    fresh.add(attributes.node, openFile);
  }

  async makeDirectory(path: string, mode: number): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    const place = await walker.place(path);
    await walker.learn(place, () =>
      fileSystem.makeDirectory({ kind: 'makeDirectory', ...place, mode, umask: APPLIED }, caller),
    );
  }

  async makeLink(from: string, to: string): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    const place = await walker.place(to);
    const names = { newParent: place.parent, newName: place.name };
    await walker.at(from, (node) =>
      walker.learn(place, () => fileSystem.makeLink({ kind: 'makeLink', node, ...names }, caller)),
    );
  }

  async unlink(path: string): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    if (walker.hidden.remove(path)) return;
    const place = await walker.place(path);
    await walker.changing([place], () => fileSystem.unlink({ kind: 'unlink', ...place }, caller));
  }

  async removeDirectory(path: string): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    const place = await walker.place(path);
    await walker.changing([place], () =>
      fileSystem.removeDirectory({ kind: 'removeDirectory', ...place }, caller),
    );
  }

  async rename(from: string, to: string): Promise<void> {
    const { fileSystem, caller, walker, handles } = this.#context;
    if (walker.hidden.hides(to)) {
      const node = await walker.node(from);
      if (handles.of(node) !== undefined) {
        await this.unlink(from);
        walker.hidden.hide(to, node);
        return;
      }
    }
    const place = await walker.place(from);
    const { parent: newParent, name: newName } = await walker.place(to);
    await walker.changing([place, { parent: newParent, name: newName }], () =>
      fileSystem.rename({ kind: 'rename', ...place, newParent, newName, flags: 0 }, caller),
    );
  }

  /** All of it: libfuse keeps it for as long as the directory is open. */
  async list(path: string): Promise<string[]> {
    const { fileSystem, caller, walker } = this.#context;
    return walker.at(path, async (node) => {
      const { openFile } = await fileSystem.openDirectory({ kind: 'openDirectory', node }, caller);
      const names: string[] = [];
      try {
        for (let offset = 0; ; ) {
          const items: readonly DirectoryItem[] = await fileSystem.readDirectory({
            ...{ kind: 'readDirectory', node, openFile, offset, flags: 0 },
            ...{ size: LISTING_BYTES, withAttributes: false },
          });
          for (const { name } of items) names.push(Buffer.from(name).toString());
          const last = items.at(-1);
          if (last === undefined) return names;
          offset = last.nextOffset;
        }
      } finally {
        await fileSystem.releaseDirectory({ kind: 'releaseDirectory', node, openFile });
      }
    });
  }

  async syncDirectory(path: string): Promise<void> {
    const { fileSystem, walker } = this.#context;
    await walker.at(path, (node) => fileSystem.syncDirectory({ kind: 'syncDirectory', node }));
  }

  statFilesystem(): Promise<FilesystemStatistics> {
    return this.#context.fileSystem.statFilesystem();
  }
}
