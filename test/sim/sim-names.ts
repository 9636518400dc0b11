import { GfsError } from '../../src/base/errors.ts';
import type { Random } from './random.ts';
import { SimFile } from './sim-file.ts';

export class SimDirectory {
  readonly kind = 'directory';
  readonly entries = new Map<string, SimNode>();
  /** What is certain to be there after a power cut. */
  readonly durable = new Map<string, SimNode>();
}

export type SimNode = SimFile | SimDirectory;

/** One entry that appears, changes or (undefined) goes. */
interface EntryChange {
  readonly directory: SimDirectory;
  readonly name: string;
  readonly node: SimNode | undefined;
}

/** What happens to names at once or not at all: a rename is two entries. */
type NameChange = readonly EntryChange[];

/**
 * The names on one disk. A change is seen at once; on the disk it is for certain only when one of its directories was
 * synced. Before, any of the changes may be there and any not, in no order but that of each single name.
 */
export class SimNames {
  readonly #root = new SimDirectory();
  /** In order, not certain to be on the disk yet. */
  #pending: NameChange[] = [];

  find(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (node?.kind !== 'directory') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  directory(path: string): SimDirectory {
    const node = this.find(path);
    if (node === undefined) throw new GfsError('NOT_FOUND', `${path}: no such directory`);
    if (node.kind !== 'directory') throw new GfsError('IO_ERROR', `${path}: not a directory`);
    return node;
  }

  file(path: string): SimFile {
    const node = this.find(path);
    if (node === undefined) throw new GfsError('NOT_FOUND', `${path}: no such file`);
    if (node.kind !== 'file') throw new GfsError('IO_ERROR', `${path}: is a directory`);
    return node;
  }

  createFile(path: string): SimFile {
    const { directory, name } = this.#placeOf(path);
    const node = new SimFile();
    this.#change([{ directory, name, node }]);
    return node;
  }

  makeDirectory(path: string): void {
    let directory = this.#root;
    for (const name of partsOf(path)) {
      const there = directory.entries.get(name);
      if (there?.kind === 'file') throw new GfsError('IO_ERROR', `${path}: not a directory`);
      const node = there ?? new SimDirectory();
      if (there === undefined) this.#change([{ directory, name, node }]);
      directory = node;
    }
  }

  remove(path: string): void {
    const node = this.find(path);
    if (node === undefined) return;
    if (node.kind === 'directory') throw new GfsError('IO_ERROR', `${path}: is a directory`);
    this.#change([{ ...this.#placeOf(path), node: undefined }]);
  }

  removeDirectory(path: string): void {
    if (this.directory(path).entries.size > 0) throw new GfsError('IO_ERROR', `${path}: not empty`);
    this.#change([{ ...this.#placeOf(path), node: undefined }]);
  }

  rename(from: string, to: string): void {
    const node = this.find(from);
    if (node === undefined) throw new GfsError('NOT_FOUND', `${from}: no such file`);
    const there = this.find(to);
    if (there === node) return;
    if (there?.kind === 'directory' && (node.kind === 'file' || there.entries.size > 0)) {
      throw new GfsError('IO_ERROR', `${to}: is a directory`);
    }
    if (there?.kind === 'file' && node.kind === 'directory') {
      throw new GfsError('IO_ERROR', `${to}: is not a directory`);
    }
    this.#change([
      { ...this.#placeOf(from), node: undefined },
      { ...this.#placeOf(to), node },
    ]);
  }

  /** What a sync of the directory that starts now has to make durable. */
  syncPoint(directory: SimDirectory): ReadonlySet<NameChange> {
    const touches = (change: NameChange) => change.some((entry) => entry.directory === directory);
    return this.#withEarlier(touches);
  }

  sync(changes: ReadonlySet<NameChange>): void {
    for (const change of this.#pending) {
      if (changes.has(change)) for (const entry of change) set(entry.directory.durable, entry);
    }
    this.#pending = this.#pending.filter((change) => !changes.has(change));
  }

  /** Names that were not synced are there or not; then every file that is left loses what it may lose. */
  losePower(dice: Random, onFile: (outcome: { lost: boolean; torn: boolean }) => void): void {
    const survival = dice.pick([0, 1, dice.next()]);
    this.sync(this.#withEarlier(() => dice.chance(survival)));
    this.#pending = [];
    for (const node of nodesBelow(this.#root, (directory) => directory.durable)) {
      if (node.kind === 'file') {
        onFile(node.losePower(dice));
      } else {
        node.entries.clear();
        for (const [name, child] of node.durable) node.entries.set(name, child);
      }
    }
  }

  usedBytes(): number {
    let used = 0;
    for (const node of nodesBelow(this.#root, (directory) => directory.entries)) {
      if (node.kind === 'file') used += node.length;
    }
    return used;
  }

  /** Paths of all files, in no order that means anything but always the same. */
  filePaths(): string[] {
    const paths: string[] = [];
    const walk = (directory: SimDirectory, at: string) => {
      for (const [name, node] of directory.entries) {
        if (node.kind === 'file') paths.push(`${at}/${name}`);
        else walk(node, `${at}/${name}`);
      }
    };
    walk(this.#root, '');
    return paths;
  }

  #placeOf(path: string): { directory: SimDirectory; name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw new GfsError('IO_ERROR', `${path}: the root stays as it is`);
    return { directory: this.directory(parts.join('/')), name };
  }

  #change(change: NameChange): void {
    for (const entry of change) set(entry.directory.entries, entry);
    this.#pending.push(change);
  }

  /** The pending changes that are wanted, and with each the earlier ones of the same names. */
  #withEarlier(wanted: (change: NameChange) => boolean): Set<NameChange> {
    const chosen = new Set<NameChange>();
    const names = new Map<SimDirectory, Set<string>>();
    for (const change of [...this.#pending].reverse()) {
      const sharesName = change.some(({ directory, name }) => names.get(directory)?.has(name));
      if (!wanted(change) && !sharesName) continue;
      chosen.add(change);
      for (const { directory, name } of change) {
        const known = names.get(directory);
        if (known === undefined) names.set(directory, new Set([name]));
        else known.add(name);
      }
    }
    return chosen;
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function set(entries: Map<string, SimNode>, { name, node }: EntryChange): void {
  if (node === undefined) entries.delete(name);
  else entries.set(name, node);
}

function nodesBelow(
  root: SimDirectory,
  entriesOf: (directory: SimDirectory) => ReadonlyMap<string, SimNode>,
): Set<SimNode> {
  const found = new Set<SimNode>([root]);
  // The set grows while it is walked.
  for (const node of found) {
    if (node.kind === 'directory') for (const child of entriesOf(node).values()) found.add(child);
  }
  return found;
}
