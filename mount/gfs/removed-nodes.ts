import { boundedCache } from '../../src/base/bounded.ts';
import { codeOf, GfsError, messageOf } from '../../src/base/errors.ts';
import type { AttributeChanges, GfsClient, Identity } from '../../src/client/api.ts';
import { type Attributes, FileType, type Time } from '../../src/rpc/messages.ts';
import { ErrnoError, ESTALE } from '../errno.ts';

/** Beyond it, who is in what was removed first is told that it is stale. */
const NODE_COUNT_MAX = 32 * 1024;

/**
 * What is left of nodes that lost their last name, while a process may be in them or have them open: directories, FIFOs, all
 * that the master does not keep as it keeps files. They have attributes, which can be read and changed on this mount, and
 * nothing in them; nobody finds the way there.
 *
 * What others removed is kept as soon as the news of it come, for the kernel then does not find it by its name any more.
 * Before that it has to be told ESTALE, so that it looks the name up anew.
 */
export class RemovedNodes {
  readonly #nodes = boundedCache<number, Attributes>(NODE_COUNT_MAX);

  /** From now on also what others remove is kept. */
  attach(client: GfsClient): void {
    client.onChange({
      inodeChanged: () => undefined,
      // It may have another name: then the master knows it, and is asked.
      nameChanged: ({ meant }) => this.add(meant),
      everythingChanged: () => undefined,
    });
  }

  add(attributes: Attributes | undefined): void {
    if (attributes === undefined || attributes.type === FileType.FILE_TYPE_REGULAR) return;
    this.#nodes.set(attributes.inode, { ...attributes, linkCount: 0 });
  }

  /** The kernel knows it no more: nobody is in it. */
  forgotten(node: number): void {
    this.#nodes.delete(node);
  }

  /** What the master says of a node, or what is left of it. */
  async attributes(node: number, answer: Promise<Attributes>): Promise<Attributes> {
    return await this.#orLeft(node, answer, (left) => left);
  }

  /** A change that the master was asked for, or one of what is left. */
  async changed(
    node: number,
    answer: Promise<Attributes>,
    how: { readonly changes: AttributeChanges; readonly caller: Identity; readonly now: Time },
  ): Promise<Attributes> {
    return await this.#orLeft(node, answer, (left) => {
      const { changes, caller, now } = how;
      if (caller.uid !== 0 && caller.uid !== left.uid) {
        throw new GfsError('NOT_PERMITTED', `node ${node} is another user's`);
      }
      const time = (given: Time | 'now' | undefined, old: Time | undefined) =>
        given === 'now' ? now : (given ?? old);
      const { mode = left.mode, uid = left.uid, gid = left.gid } = changes;
      const atime = time(changes.atime, left.atime);
      const mtime = time(changes.mtime, left.mtime);
      const changed = { ...left, mode, uid, gid, atime, mtime, ctime: now };
      this.#nodes.set(node, changed);
      return changed;
    });
  }

  /** The entries that the master lists of a directory; of what is left of one, none. */
  async entries<T, None>(node: number, answer: Promise<T>, none: None): Promise<T | None> {
    return await this.#orLeft(node, answer, () => none);
  }

  async #orLeft<T, L>(node: number, answer: Promise<T>, work: (left: Attributes) => L): Promise<T | L> {
    try {
      return await answer;
    } catch (error) {
      if (codeOf(error) !== 'NOT_FOUND') throw error;
      const left = this.#nodes.get(node);
      if (left === undefined) throw new ErrnoError(ESTALE, messageOf(error));
      return work(left);
    }
  }
}
