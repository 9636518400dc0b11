import type { InodeId, SessionId } from '../base/ids.ts';
import type { MetadataState } from './metadata/state.ts';
import type { NamedDirent } from './metadata/tables.ts';
import { TreeWalk } from './metadata/tree-walk.ts';
import type { SessionNews, Unheard } from './session-news.ts';

/**
 * Tells those who believe anything of a tree that was removed that it is gone: in steps, since it may be large, and before
 * anything of it is removed, since then nobody could say what it was. What is deepest is told first, so that a kernel takes
 * a directory for removed when its turn comes. Nobody learns anything of the tree meanwhile: it is detached.
 */
export class TreeNews {
  readonly #state: MetadataState;
  readonly #news: SessionNews;
  readonly #walk: TreeWalk<true>;
  readonly #unheard = new Map<SessionId, number>();
  #count = 1;

  constructor(state: MetadataState, news: SessionNews, top: InodeId) {
    this.#state = state;
    this.#news = news;
    this.#walk = new TreeWalk(state.tables, top, {
      enter: () => true,
      done: (parent, entry) => this.#tell(parent, entry),
    });
  }

  get isDone(): boolean {
    return this.#walk.isDone;
  }

  /** Names so far, the tree's own among them. */
  get count(): number {
    return this.#count;
  }

  /** Who has to hear, of all that was told so far. */
  get unheard(): Unheard[] {
    return [...this.#unheard].map(([session, number]) => ({ session, number }));
  }

  /** Tells of so many names at most. */
  step(count: number): void {
    this.#walk.step(count);
  }

  #tell(parent: InodeId, { name, inode }: NamedDirent): void {
    this.#count += 1;
    const news = this.#news;
    const place = { parent, name };
    if (!news.mayBeBelieved(inode, place)) return;
    const row = this.#state.attributes(inode);
    const isGone = !row.ok || row.value.linkCount === 0;
    // Who gave the command knows no more of this than the others.
    news.inodeChanged(inode, 0);
    news.inodeChanged(parent, 0);
    news.nameChanged({ ...place, removed: isGone ? inode : 0 }, 0);
    const changed = { inodes: [inode, parent], names: [place] };
    for (const { session, number } of news.unheard(changed, 0) ?? []) this.#unheard.set(session, number);
  }
}
