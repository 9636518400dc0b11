import { TaskGroup } from '../../base/task-group.ts';
import type { Files } from './files.ts';
import { refusal } from './named-error.ts';
import { baseName, directoryName, endsInSlash, isEntryName, joinPath } from './places.ts';
import type { Progress } from './progress.ts';
import type { Side, TreeNode } from './side.ts';
import { countTree, type TreeCopier } from './tree-copier.ts';

export interface CopySources<S extends TreeNode, T extends TreeNode> {
  readonly files: Files;
  readonly source: Side<S>;
  readonly target: Side<T>;
  readonly copier: TreeCopier<S, T>;
  readonly progress: Progress;
  /** Directories too. */
  readonly recursive: boolean | undefined;
  /** Refuses what cannot be copied there. */
  readonly check?: (source: S, parent: T, existing: T | undefined) => Promise<void>;
}

/** As cp(1) does: into the target, if it is a directory; otherwise the one source gets its name. */
export async function copySources<S extends TreeNode, T extends TreeNode>(
  options: CopySources<S, T>,
  sources: readonly Buffer[],
  path: Buffer,
): Promise<void> {
  const { files, target } = options;
  const real = await target.behindLinks(path);
  const existing = await target.nodeIfThere(real, { follow: false });
  const isDirectory = existing?.kind === 'directory';
  if (!isDirectory && (sources.length > 1 || (endsInSlash(path) && existing !== undefined))) {
    throw refusal(path, 'NOT_DIRECTORY', 'not a directory');
  }
  const counting = new TaskGroup((error) => files.failed(path, error));
  for (const source of sources) {
    await files.attempt(source, async () => {
      const node = await options.source.node(source);
      if (node.kind === 'directory' && !options.recursive) {
        throw refusal(source, 'IS_DIRECTORY', 'is a directory; -r copies it with all that is below');
      }
      if (options.progress.isShown) {
        counting.run(() => countTree(files, options.source, node, options.progress));
      }
      if (isDirectory) await copyInto(options, node, existing);
      else await copyAs(options, node, { path: real, existing, mustBeDirectory: endsInSlash(path) });
    });
  }
  await counting.drain();
}

async function copyInto<S extends TreeNode, T extends TreeNode>(
  { target, copier, check }: CopySources<S, T>,
  source: S,
  directory: T,
): Promise<void> {
  const name = baseName(source.path);
  if (!isEntryName(name)) {
    await check?.(source, directory, directory);
    await copier.copyContents(source, directory);
    return;
  }
  const existing = await target.nodeIfThere(joinPath(directory.path, name), { follow: false });
  await check?.(source, directory, existing);
  await copier.copy(source, directory, name, existing);
}

async function copyAs<S extends TreeNode, T extends TreeNode>(
  { target, copier, check }: CopySources<S, T>,
  source: S,
  at: { readonly path: Buffer; readonly existing: T | undefined; readonly mustBeDirectory: boolean },
): Promise<void> {
  if (at.mustBeDirectory && source.kind !== 'directory') {
    throw refusal(at.path, 'NOT_FOUND', 'no such directory');
  }
  if (at.existing?.kind === 'other') throw refusal(at.path, 'INVALID_ARGUMENT', 'not a regular file');
  const name = baseName(at.path);
  const parent = await target.node(directoryName(at.path));
  if (parent.kind !== 'directory') throw refusal(parent.path, 'NOT_DIRECTORY', 'not a directory');
  await check?.(source, parent, at.existing);
  await copier.copy(source, parent, name, at.existing);
}
