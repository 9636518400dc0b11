import { TaskGroup } from '../../base/task-group.ts';
import type { Files } from './files.ts';
import { named, reasonOf, refusal } from './named-error.ts';
import { joinPath } from './places.ts';
import { PlacesInFlight } from './places-in-flight.ts';
import type { Progress } from './progress.ts';
import { isSameTime, type Keeping, modeToKeep, type NodeChanges, type Side, type TreeNode } from './side.ts';

/** Files under way together: enough for many small ones. */
const IN_FLIGHT_COUNT_MAX = 32;
/** What a new directory's maker needs to fill it; it gets its own mode when it is full. */
const MODE_TO_FILL = 0o700;

/** How a copy becomes the same as its source, instead of being made anew. */
export interface Comparing<S, T> {
  /** Of two files of one length. */
  isSame(source: S, target: T): Promise<boolean>;
  /** What only the target has is removed, and what is in the way. */
  readonly deletes: boolean;
  /** Nothing is changed. */
  readonly onlyTells: boolean;
  /** Before it is done. */
  onChange(kind: 'copy' | 'remove', node: TreeNode): Promise<void>;
}

export interface TreeCopierOptions<S extends TreeNode, T extends TreeNode> {
  readonly files: Files;
  readonly source: Side<S>;
  readonly target: Side<T>;
  readonly keeping: Keeping;
  readonly progress: Progress;
  /** One regular file, in the place of what is there. */
  readonly copyFile: (source: S, parent: T, name: Buffer) => Promise<void>;
  readonly comparing?: Comparing<S, T>;
}

/** Copies trees from one side to another, several files at a time; what fails is told of, and the rest goes on. */
export class TreeCopier<S extends TreeNode, T extends TreeNode> {
  readonly #options: TreeCopierOptions<S, T>;
  readonly #places = new PlacesInFlight(IN_FLIGHT_COUNT_MAX);
  /** Directories whose time moved, as something in them was made or removed. */
  readonly #touched = new WeakSet<T>();

  constructor(options: TreeCopierOptions<S, T>) {
    this.#options = options;
  }

  /** Under that name; `existing` is what has it. */
  async copy(source: S, parent: T, name: Buffer, existing: T | undefined): Promise<void> {
    await this.#run(source, (tasks) => this.#begin(source, { parent, name, existing }, tasks));
  }

  /** What is in one directory becomes what is in the other one. */
  async copyContents(source: S, target: T): Promise<void> {
    await this.#run(source, (tasks) => this.#fill(source, { node: target, isNew: false }, tasks));
  }

  async #run({ path }: S, begin: (tasks: TaskGroup) => Promise<void>): Promise<void> {
    const { files } = this.#options;
    const tasks = new TaskGroup((error) => files.failed(path, error));
    await files.attempt(path, () => begin(tasks));
    await tasks.drain();
    files.check();
  }

  async #begin(source: S, at: At<T>, tasks: TaskGroup): Promise<void> {
    const { files } = this.#options;
    files.signal.throwIfAborted();
    if (source.kind === 'other') {
      throw refusal(source.path, 'INVALID_ARGUMENT', 'not a file, a directory or a symbolic link');
    }
    if (source.kind === 'directory') {
      await this.#directory(source, at, tasks);
      return;
    }
    const giveBack = await this.#places.take();
    tasks.run(async () => {
      await files.attempt(source.path, () => this.#leaf(source, at));
      giveBack();
    });
  }

  async #directory(source: S, at: At<T>, tasks: TaskGroup): Promise<void> {
    const { target, comparing } = this.#options;
    let existing = at.existing;
    if (existing !== undefined && existing.kind !== 'directory') {
      if (!comparing?.deletes) throw refusal(existing.path, 'NOT_DIRECTORY', 'not a directory');
      await this.#remove(at.parent, existing);
      existing = undefined;
    }
    if (existing === undefined) {
      await comparing?.onChange('copy', source);
      this.#touched.add(at.parent);
      if (comparing?.onlyTells) {
        await this.#tellAll(source);
        return;
      }
    }
    const mode = this.#modeOf(source);
    const make = () => target.makeDirectory(at.parent, at.name, mode | MODE_TO_FILL);
    const node = existing ?? (await about(joinPath(at.parent.path, at.name), make));
    await this.#fill(source, { node, isNew: existing === undefined }, tasks);
  }

  async #fill(source: S, { node, isNew }: { node: T; isNew: boolean }, tasks: TaskGroup): Promise<void> {
    const { files } = this.#options;
    const below = new TaskGroup((error) => files.failed(source.path, error));
    let isFull = false;
    try {
      for await (const pair of this.#pairs(source, node, isNew)) {
        const { source: child, target: existing } = pair;
        if (child === undefined) {
          if (existing !== undefined) await this.#removeExtra(node, existing);
          continue;
        }
        await files.attempt(child.path, () =>
          this.#begin(child, { parent: node, name: child.name, existing }, below),
        );
      }
      isFull = true;
    } finally {
      // Also when the rest could not be listed, what was begun is waited for.
      tasks.run(async () => {
        await below.drain();
        if (isFull) await files.attempt(source.path, () => this.#finishDirectory(source, node, isNew));
      });
    }
  }

  /** Now that nothing more is made in it, which would change its time again. */
  async #finishDirectory(source: S, node: T, isNew: boolean): Promise<void> {
    const { target, keeping, comparing } = this.#options;
    const mode = this.#modeOf(source);
    if (comparing?.onlyTells || (!isNew && comparing === undefined)) return;
    const changesMode = isNew
      ? mode !== (mode | MODE_TO_FILL) || keeping.owner
      : mode !== (node.mode & 0o777);
    const changesTime = isNew || this.#touched.has(node) || !isSameTime(source.mtime, node.mtime);
    const changes: NodeChanges = {
      ...(keeping.owner ? { uid: source.uid, gid: source.gid } : {}),
      ...(changesMode ? { mode } : {}),
      ...(keeping.times && changesTime ? { mtime: source.mtime } : {}),
    };
    if (Object.keys(changes).length > 0) await about(node.path, () => target.change(node, changes));
  }

  async #leaf(source: S, { parent, name, existing }: At<T>): Promise<void> {
    const { target, copyFile, comparing, progress } = this.#options;
    if (existing?.kind === 'directory') {
      if (!comparing?.deletes) throw refusal(existing.path, 'IS_DIRECTORY', 'is a directory');
      await this.#remove(parent, existing);
    } else if (
      existing !== undefined &&
      comparing !== undefined &&
      (await this.#isUpToDate(source, existing))
    ) {
      progress.skipped(source.length);
      progress.skippedCount += 1;
      return;
    }
    await comparing?.onChange('copy', source);
    this.#touched.add(parent);
    if (comparing?.onlyTells) return;
    if (source.kind === 'file') await copyFile(source, parent, name);
    else {
      const leadsTo = await this.#options.source.readLink(source);
      await about(joinPath(parent.path, name), () => target.putLink(parent, name, leadsTo));
    }
    progress.fileDone();
  }

  /** After its mode has become the same, which needs no copy. */
  async #isUpToDate(source: S, existing: T): Promise<boolean> {
    const { source: from, target, comparing } = this.#options;
    if (source.kind !== existing.kind || comparing === undefined) return false;
    if (source.kind === 'link') return (await from.readLink(source)).equals(await target.readLink(existing));
    if (source.length !== existing.length || !(await comparing.isSame(source, existing))) return false;
    const mode = this.#modeOf(source);
    const changes: NodeChanges = {
      ...(mode === (existing.mode & 0o777) ? {} : { mode }),
      ...(isSameTime(source.mtime, existing.mtime) ? {} : { mtime: source.mtime }),
    };
    if (Object.keys(changes).length > 0 && !comparing.onlyTells)
      await about(existing.path, () => target.change(existing, changes));
    return true;
  }

  async #removeExtra(parent: T, node: T): Promise<void> {
    const { files, comparing } = this.#options;
    if (comparing?.deletes) await files.attempt(node.path, () => this.#remove(parent, node));
  }

  async #remove(parent: T, node: T): Promise<void> {
    const { target, comparing } = this.#options;
    await comparing?.onChange('remove', node);
    this.#touched.add(parent);
    if (!comparing?.onlyTells) await target.remove(parent, node);
  }

  /** What would be copied with a directory that is not there. */
  async #tellAll(directory: S): Promise<void> {
    const { source, comparing, files } = this.#options;
    for await (const child of source.children(directory)) {
      files.signal.throwIfAborted();
      await comparing?.onChange('copy', child);
      if (child.kind === 'directory') await this.#tellAll(child);
    }
  }

  /** Both sides' children by their names, which both tell in one order. */
  async *#pairs(source: S, target: T, isNew: boolean): AsyncGenerator<Pair<S, T>> {
    const sources = this.#options.source.children(source)[Symbol.asyncIterator]();
    const targets = isNew ? undefined : this.#options.target.children(target)[Symbol.asyncIterator]();
    let left = await nextOf(sources);
    const nextOfTarget = () => about(target.path, () => nextOf(targets));
    let right = await nextOfTarget();
    while (left !== undefined || right !== undefined) {
      const order = orderOf(left, right);
      yield { source: order <= 0 ? left : undefined, target: order >= 0 ? right : undefined };
      if (order <= 0) left = await nextOf(sources);
      if (order >= 0) right = await nextOfTarget();
    }
  }

  #modeOf(source: S): number {
    const { keeping } = this.#options;
    return modeToKeep(source, keeping) & ~keeping.umask;
  }
}

/** What goes wrong at the target is told with the path there: a copy is otherwise called by its source. */
async function about<R>(path: Buffer, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw named(path, error);
  }
}

/** Where something goes, and what is there. */
interface At<T> {
  readonly parent: T;
  readonly name: Buffer;
  readonly existing: T | undefined;
}

interface Pair<S, T> {
  readonly source: S | undefined;
  readonly target: T | undefined;
}

async function nextOf<N>(iterator: AsyncIterator<N> | undefined): Promise<N | undefined> {
  const next = await iterator?.next();
  return next === undefined || next.done ? undefined : next.value;
}

/** Below 0: the left one's turn. */
function orderOf(left: TreeNode | undefined, right: TreeNode | undefined): number {
  if (left === undefined) return 1;
  if (right === undefined) return -1;
  return Buffer.compare(left.name, right.name);
}

/** Tells a bar how much there is to do; failures are told of by who does it. */
export async function countTree<N extends TreeNode>(
  files: Files,
  side: Side<N>,
  node: N,
  progress: Progress,
  countOf: (node: N) => number = bytesOf,
): Promise<void> {
  progress.expect(countOf(node));
  if (node.kind !== 'directory') return;
  try {
    for await (const child of side.children(node)) {
      files.signal.throwIfAborted();
      await countTree(files, side, child, progress, countOf);
    }
  } catch (error) {
    if (reasonOf(error) === undefined) throw error;
  }
}

function bytesOf({ kind, length }: TreeNode): number {
  return kind === 'file' ? length : 0;
}
