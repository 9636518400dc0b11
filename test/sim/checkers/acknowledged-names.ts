// Names are as the master acknowledged (design, section 4): what was made is there, what was removed is not, a rename happened as a
// whole or not at all, and a command that was sent again got its first answer. One whose answer is not known happened or did not. A
// removal that power was lost upon before it was synced may be undone.
import { assert } from '../../../src/base/assert.ts';

/** A file or directory. */
export interface NamedNode {
  readonly isDirectory: boolean;
  /** Undefined: nobody was told. */
  inode: number | undefined;
  /** Of a file; several while the answer to a truncation is not known. */
  lengths: readonly number[];
  /** Nobody knows how many names it has. */
  linksUnknown: boolean;
}

/** What the directories hold: inodes and lengths by key of a name, as the master answers. */
export type FoundNames = ReadonlyMap<string, { inode: number; length: number; linkCount: number }>;

/** What a command makes of some names; undefined: absent. */
type Meanings = ReadonlyMap<string, NamedNode | undefined>;

interface Meaning {
  readonly node: NamedNode | undefined;
  /** The moments of the model's clock from which, and up to which, it may be seen. */
  readonly from: number;
  until: number;
}

/** A promise was broken. */
export class WrongName extends Error {
  override name = 'WrongName';
}

/** Each name has one owner, who changes it with one command at a time, and leaves it alone after an answer he did not get. */
export class NameModel {
  readonly #meanings = new Map<string, Meaning[]>();
  readonly #unknown: { before: Meanings; after: Meanings }[] = [];
  readonly #pending = new Set<Pending>();
  /** Their removal was undone, and whoever owned them did not know. */
  readonly #undone = new Set<string>();
  #clock = 0;
  #acknowledgedCount = 0;

  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /** What it means now, for its owner. */
  nodeOf(key: string): NamedNode | undefined {
    return this.#meanings.get(key)?.at(-1)?.node;
  }

  /** The command is sent. Until one of the answer's methods is called nobody knows whether it has happened. */
  begin(after: Meanings): Pending {
    const before = new Map([...after.keys()].map((key) => [key, this.nodeOf(key)]));
    this.#clock += 1;
    for (const [key, node] of after) {
      const meanings = this.#meanings.get(key) ?? [
        { node: undefined, from: 0, until: Number.POSITIVE_INFINITY },
      ];
      meanings.push({ node, from: this.#clock, until: Number.POSITIVE_INFINITY });
      this.#meanings.set(key, meanings);
    }
    const pending = { before, after };
    this.#pending.add(pending);
    return pending;
  }

  acknowledged(pending: Pending): void {
    this.#pending.delete(pending);
    this.#clock += 1;
    this.#acknowledgedCount += 1;
    for (const key of pending.after.keys()) {
      const [old] = this.#meanings.get(key)?.slice(-2) ?? [];
      if (old !== undefined) old.until = this.#clock;
    }
  }

  /** The answer will not come: it has happened, will happen, or not. */
  unknown(pending: Pending): void {
    this.#pending.delete(pending);
    this.#unknown.push(pending);
    for (const node of [...pending.before.values(), ...pending.after.values()]) {
      if (node !== undefined) node.linksUnknown = true;
    }
  }

  /** It was answered that nothing has happened. */
  refused(pending: Pending): void {
    this.#pending.delete(pending);
    for (const key of pending.after.keys()) this.#meanings.get(key)?.pop();
  }

  /** There is a command whose answer did not come. */
  isUnknown(key: string): boolean {
    return this.#unknown.some(({ after }) => after.has(key));
  }

  undone(key: string): void {
    this.#undone.add(key);
    for (const { node } of this.#meanings.get(key) ?? []) if (node !== undefined) node.linksUnknown = true;
  }

  isUndone(key: string): boolean {
    return this.#undone.has(key);
  }

  /** When a reader asks. */
  now(): number {
    return this.#clock;
  }

  /** What a reader was answered who asked at that moment, and is answered now: undefined is absent. */
  checkSeen(key: string, inode: number | undefined, askedAt: number): void {
    if (this.#undone.has(key)) return;
    const meanings = this.#meanings.get(key) ?? [];
    if (meanings.length === 0 && inode === undefined) return;
    if (meanings.some(({ node, until }) => until > askedAt && isNode(node, inode))) return;
    throw new WrongName(`${key} was answered as ${inode}, which it did not mean`);
  }

  /** Now that all is quiet. Whoever did not get an answer does not get it any more. */
  checkAll(found: FoundNames): void {
    for (const pending of this.#pending) this.unknown(pending);
    const uncertain = new Set([...this.#undone, ...this.#unknown.flatMap(({ after }) => [...after.keys()])]);
    for (const [key, { inode }] of found) {
      if (!this.#meanings.has(key))
        throw new WrongName(`${key} is there (inode ${inode}), and nobody made it`);
    }
    for (const key of this.#meanings.keys()) {
      if (!uncertain.has(key)) this.#checkName(key, found);
    }
    for (const { before, after } of this.#unknown) {
      if ([before, after].some((meanings) => this.#hold(meanings, found))) continue;
      throw new WrongName(`a command happened in part: ${[...after.keys()].join(', ')}`);
    }
  }

  #checkName(key: string, found: FoundNames): void {
    const node = this.nodeOf(key);
    const there = found.get(key);
    if (!isNode(node, there?.inode)) {
      throw new WrongName(
        `${key} is ${there?.inode ?? 'absent'}, and was acknowledged as ${node?.inode ?? 'absent'}`,
      );
    }
    if (node === undefined || there === undefined || node.isDirectory) return;
    assert(node.lengths.includes(there.length), `${key} is ${node.lengths} bytes long, not ${there.length}`);
    if (node.linksUnknown) return;
    const names = [...this.#meanings.keys()].filter((other) => this.nodeOf(other) === node);
    assert(there.linkCount === names.length, `${key} has the names ${names}, and says ${there.linkCount}`);
  }

  #hold(meanings: Meanings, found: FoundNames): boolean {
    return [...meanings].every(([key, node]) => this.#undone.has(key) || isNode(node, found.get(key)?.inode));
  }
}

export interface Pending {
  readonly before: Meanings;
  readonly after: Meanings;
}

function isNode(node: NamedNode | undefined, inode: number | undefined): boolean {
  if (node === undefined || inode === undefined) return node === undefined && inode === undefined;
  return node.inode === undefined || node.inode === inode;
}
