import { boundedCache } from '../base/bounded.ts';
import type { InodeId } from '../base/ids.ts';
import type { Attributes } from '../rpc/messages.ts';

/** As many as of whose attributes is known. */
const INODE_COUNT_MAX = 30_000;
/** A kernel asks for a handful. */
const NAME_COUNT_MAX = 8;

/** Of an inode that has extended attributes: those whose values are known, and those that it is known not to have. */
type Answers = Map<string, Buffer | 'absent'>;

/** Is told what is known. */
export interface XattrsListener {
  /** It has no extended attributes, as long as the master is heard and `maybeSome` is not called. */
  none(inode: InodeId): void;
  /** It, or any, may have some. */
  maybeSome(inode?: InodeId): void;
}

/** A question to the master; what it answers is worth nothing once the attributes may have changed. */
interface Question {
  readonly inode: InodeId;
  isOvertaken: boolean;
}

/**
 * Which inodes have no extended attributes, and of others the answers that do not depend on who asks. A kernel asks for
 * `security.capability` before it writes, and for ACLs before it allows anything: those questions end here. A client's own
 * writes give no file an attribute, so that what is known stays good through them.
 */
export class KnownXattrs {
  readonly #inodes = boundedCache<InodeId, 'none' | Answers>(INODE_COUNT_MAX);
  readonly #questions = new Set<Question>();
  #listener: XattrsListener = { none: () => undefined, maybeSome: () => undefined };

  onKnown(listener: XattrsListener): void {
    this.#listener = listener;
  }

  get(inode: InodeId, name: Buffer): Buffer | 'absent' | undefined {
    const known = this.#inodes.get(inode);
    return known === 'none' ? 'absent' : known?.get(name.toString('latin1'));
  }

  hasNone(inode: InodeId): boolean {
    return this.#inodes.get(inode) === 'none';
  }

  /** Attributes that are up to date. */
  learn({ inode, hasXattrs }: Attributes): void {
    if (!hasXattrs) {
      this.#inodes.set(inode as InodeId, 'none');
      this.#listener.none(inode as InodeId);
      return;
    }
    if (this.hasNone(inode as InodeId)) this.#inodes.delete(inode as InodeId);
    this.#listener.maybeSome(inode as InodeId);
  }

  /** Asks by `ask` for an attribute that everybody may see; undefined: there is none. */
  async answer(
    inode: InodeId,
    name: Buffer,
    ask: () => Promise<Buffer | undefined>,
  ): Promise<Buffer | undefined> {
    const question: Question = { inode, isOvertaken: false };
    this.#questions.add(question);
    try {
      const value = await ask();
      if (!question.isOvertaken) this.#keep(inode, name, value);
      return value;
    } finally {
      this.#questions.delete(question);
    }
  }

  /** By this client: not by a write, nor by what else leaves an inode without attributes as it is. */
  mayHaveChanged(inode: InodeId): void {
    this.#overtake((question) => question.inode === inode);
    if (!this.hasNone(inode)) this.#inodes.delete(inode);
  }

  /** By others, or by a command on extended attributes. */
  changed(inode: InodeId): void {
    this.#overtake((question) => question.inode === inode);
    this.#inodes.delete(inode);
    this.#listener.maybeSome(inode);
  }

  everythingChanged(): void {
    this.#overtake(() => true);
    this.#inodes.clear();
    this.#listener.maybeSome();
  }

  #keep(inode: InodeId, name: Buffer, value: Buffer | undefined): void {
    const known = this.#inodes.get(inode);
    if (known === 'none') return;
    const answers: Answers = known ?? new Map();
    if (answers.size >= NAME_COUNT_MAX) answers.clear();
    answers.set(name.toString('latin1'), value === undefined ? 'absent' : Buffer.from(value));
    if (known === undefined) this.#inodes.set(inode, answers);
  }

  #overtake(isConcerned: (question: Question) => boolean): void {
    for (const question of this.#questions) if (isConcerned(question)) question.isOvertaken = true;
  }
}
