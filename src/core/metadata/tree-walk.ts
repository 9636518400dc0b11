import { Buffer } from 'node:buffer';
import type { InodeId } from '../../base/ids.ts';
import { FileType } from './rows.ts';
import type { NamedDirent, Tables } from './tables.ts';

/** Entries that are read at once. */
const PAGE_SIZE = 64;
const SLASH = Buffer.from('/');

/** What a walk comes by. Directories are entered before what is below them, and left behind it. */
export interface TreeVisitor<Found> {
  /** What is known of the directory while the walk is in it; undefined: it does not go in. */
  enter(directory: InodeId, walk: TreeWalk<Found>): Found | undefined;
  /** An entry of it, before a directory is entered. */
  entry?(parent: InodeId, entry: NamedDirent, found: Found, walk: TreeWalk<Found>): void;
  /** An entry with all that is below it. */
  done?(parent: InodeId, entry: NamedDirent): void;
}

/**
 * Goes through a tree in steps. Between two of them it may change: what comes behind the place where the walk is, it finds; what
 * comes before, not. It keeps a place in each directory that it is in.
 */
export class TreeWalk<Found> {
  readonly #tables: Tables;
  readonly #visitor: TreeVisitor<Found>;
  readonly #levels: Level<Found>[] = [];

  constructor(tables: Tables, top: InodeId, visitor: TreeVisitor<Found>) {
    this.#tables = tables;
    this.#visitor = visitor;
    this.#enter(top, undefined);
  }

  get isDone(): boolean {
    return this.#levels.length === 0;
  }

  /** Where it is, from the top of the tree on; with an entry of there. */
  path(entry?: NamedDirent): Buffer {
    const names = this.#levels.slice(1).map(({ name }) => name?.name ?? Buffer.alloc(0));
    if (entry !== undefined) names.push(entry.name);
    return Buffer.concat(names.flatMap((name, index) => (index === 0 ? [name] : [SLASH, name])));
  }

  /** Passes so many entries at most. Answers how many it may still. */
  step(count: number): number {
    let left = count;
    while (left > 0) {
      const level = this.#levels.at(-1);
      if (level === undefined) break;
      left -= 1;
      const entry = this.#next(level);
      if (entry === undefined) this.#leave(level);
      else this.#pass(level, entry);
    }
    return left;
  }

  #next(level: Level<Found>): NamedDirent | undefined {
    const listed = level.entries.pop();
    if (listed !== undefined || level.isListed) return listed;
    const { entries, end } = this.#tables.dirents(level.directory, level.after, PAGE_SIZE);
    level.isListed = end;
    level.after = entries.at(-1)?.name ?? level.after;
    level.entries = entries.reverse();
    return level.entries.pop();
  }

  #pass({ directory, found }: Level<Found>, entry: NamedDirent): void {
    this.#visitor.entry?.(directory, entry, found, this);
    const isBelow = entry.type === FileType.DIRECTORY && this.#enter(entry.inode, entry);
    if (!isBelow) this.#visitor.done?.(directory, entry);
  }

  #enter(directory: InodeId, name: NamedDirent | undefined): boolean {
    const level = { directory, name, after: Buffer.alloc(0), entries: [], isListed: false };
    // In it already, so that the visitor knows where.
    this.#levels.push({ ...level, found: undefined as Found });
    const found = this.#visitor.enter(directory, this);
    this.#levels.pop();
    if (found === undefined) return false;
    this.#levels.push({ ...level, found });
    return true;
  }

  #leave({ name }: Level<Found>): void {
    this.#levels.pop();
    const parent = this.#levels.at(-1);
    if (parent !== undefined && name !== undefined) this.#visitor.done?.(parent.directory, name);
  }
}

interface Level<Found> {
  readonly directory: InodeId;
  /** Undefined: the top. */
  readonly name: NamedDirent | undefined;
  readonly found: Found;
  /** What comes behind this name is not read yet. */
  after: Buffer;
  /** Read, and not passed; the next one last. */
  entries: NamedDirent[];
  isListed: boolean;
}
