import type { Caller } from '../../../src/core/metadata/commands.ts';

/**
 * What POSIX says of a tree of names, as directly as it can be written down: maps, no counts kept, no rows. Each
 * operation returns "OK" or the code of its refusal; what is refused changes nothing.
 */
export interface ModelNode {
  readonly id: number;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'whiteout';
  mode: number;
  uid: number;
  gid: number;
  readonly entries: Map<string, number>;
  mtime: number;
  ctime: number;
}

export class Model {
  readonly nodes = new Map<number, ModelNode>();
  now = 0;

  constructor(rootMode: number, now: number) {
    this.now = now;
    this.#add(1, { type: 'directory', mode: rootMode, uid: 0, gid: 0 });
  }

  /** How many names lead to it: for a directory also its own "." and the ".." of those in it. */
  linkCount(id: number): number {
    let count = 0;
    for (const node of this.nodes.values()) {
      for (const entry of node.entries.values()) if (entry === id) count += 1;
    }
    const node = this.node(id);
    if (node.type !== 'directory') return count;
    const inner = [...node.entries.values()].filter((entry) => this.node(entry).type === 'directory');
    return (id === 1 ? 1 : count) + 1 + inner.length;
  }

  parentOf(id: number): number {
    for (const node of this.nodes.values()) {
      for (const entry of node.entries.values()) if (entry === id) return node.id;
    }
    return 1;
  }

  node(id: number): ModelNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id} in the model`);
    return node;
  }

  make(
    caller: Caller,
    where: { parent: number; name: string },
    made: { id: number; type: ModelNode['type']; mode: number; exclusive: boolean; write: boolean },
  ): string {
    const problem = this.#search(caller, where);
    if (problem) return problem;
    const parent = this.node(where.parent);
    const there = parent.entries.get(where.name);
    if (there !== undefined) {
      const node = this.node(there);
      if (made.exclusive) return 'EXISTS';
      if (node.type === 'directory') return 'IS_DIRECTORY';
      if (node.type !== 'file') return 'EXISTS';
      return !made.write || may(caller, node, 2) ? 'OK' : 'PERMISSION_DENIED';
    }
    if (!may(caller, parent, 2)) return 'PERMISSION_DENIED';
    const setgid = (parent.mode & 0o2000) !== 0;
    const gid = setgid ? parent.gid : caller.gid;
    let { mode } = made;
    if (made.type === 'symlink') mode = 0o777;
    if (made.type === 'directory' && setgid) mode |= 0o2000;
    const stranger = caller.uid !== 0 && !member(caller, gid);
    if (made.type !== 'directory' && (mode & 0o2010) === 0o2010 && stranger) mode &= ~0o2000;
    this.#add(made.id, { type: made.type, mode, uid: caller.uid, gid });
    parent.entries.set(where.name, made.id);
    this.#touch(parent);
    return 'OK';
  }

  link(caller: Caller, id: number, where: { parent: number; name: string }, replace: boolean): string {
    const problem = this.#search(caller, where);
    if (problem) return problem;
    const parent = this.node(where.parent);
    const otherId = parent.entries.get(where.name);
    if (otherId !== undefined && !replace) return 'EXISTS';
    if (!may(caller, parent, 2)) return 'PERMISSION_DENIED';
    const node = this.nodes.get(id);
    if (node === undefined) return 'NOT_FOUND';
    if (node.type === 'directory') return 'NOT_PERMITTED';
    if (otherId === id) return 'OK';
    const other = otherId === undefined ? undefined : this.node(otherId);
    if (other && sticky(caller, parent, other)) return 'NOT_PERMITTED';
    if (other?.type === 'directory') return 'IS_DIRECTORY';
    if (other) other.ctime = this.now;
    parent.entries.set(where.name, id);
    node.ctime = this.now;
    this.#touch(parent);
    return 'OK';
  }

  unlink(caller: Caller, where: { parent: number; name: string }): string {
    const node = this.#removable(caller, where);
    if (typeof node === 'string') return node;
    if (node.type === 'directory') return 'IS_DIRECTORY';
    this.#take(where);
    node.ctime = this.now;
    return 'OK';
  }

  removeDirectory(caller: Caller, where: { parent: number; name: string }): string {
    const node = this.#removable(caller, where);
    if (typeof node === 'string') return node;
    if (node.type !== 'directory') return 'NOT_DIRECTORY';
    if (node.entries.size > 0) return 'NOT_EMPTY';
    this.#take(where);
    return 'OK';
  }

  rename(
    caller: Caller,
    from: { parent: number; name: string },
    to: { parent: number; name: string },
    {
      noReplace,
      exchange,
      whiteout,
    }: { noReplace: boolean; exchange: boolean; whiteout?: number | undefined },
  ): string {
    if (exchange && (noReplace || whiteout !== undefined)) return 'INVALID_ARGUMENT';
    const moved = this.#removable(caller, from);
    if (typeof moved === 'string') return moved;
    const problem = this.#search(caller, to);
    if (problem) return problem;
    const parent = this.node(to.parent);
    const otherId = parent.entries.get(to.name);
    if (exchange && otherId === undefined) return 'NOT_FOUND';
    if (noReplace && otherId !== undefined) return 'EXISTS';
    if (!may(caller, parent, 2)) return 'PERMISSION_DENIED';
    if (otherId === moved.id) return 'OK';
    const other = otherId === undefined ? undefined : this.node(otherId);
    const stuck = this.#cannotMove(caller, moved, from.parent, to.parent);
    if (stuck) return stuck;
    if (other) {
      const stolen = sticky(caller, parent, other) ? 'NOT_PERMITTED' : undefined;
      const refusal =
        stolen ?? (exchange ? this.#cannotMove(caller, other, to.parent, from.parent) : misfit(moved, other));
      if (refusal) return refusal;
    }
    this.#take(from);
    if (other) this.#take(to);
    parent.entries.set(to.name, moved.id);
    if (other && exchange) this.node(from.parent).entries.set(from.name, other.id);
    if (whiteout !== undefined) {
      const made = { id: whiteout, type: 'whiteout', mode: 0, exclusive: true, write: true } as const;
      this.make(caller, from, made);
    }
    for (const node of [this.node(from.parent), parent]) this.#touch(node);
    moved.ctime = this.now;
    if (other) other.ctime = this.now;
    return 'OK';
  }

  chmod(caller: Caller, id: number, mode: number): string {
    const node = this.nodes.get(id);
    if (node === undefined) return 'NOT_FOUND';
    if (caller.uid !== 0 && caller.uid !== node.uid) return 'NOT_PERMITTED';
    node.mode = caller.uid === 0 || member(caller, node.gid) ? mode : mode & ~0o2000;
    node.ctime = this.now;
    return 'OK';
  }

  chown(caller: Caller, id: number, { uid, gid }: { uid: number; gid: number }): string {
    const node = this.nodes.get(id);
    if (node === undefined) return 'NOT_FOUND';
    const owner = caller.uid === node.uid;
    const allowed = owner && uid === node.uid && (gid === node.gid || member(caller, gid));
    if (caller.uid !== 0 && !allowed) return 'NOT_PERMITTED';
    const dropsSetgid = (node.mode & 0o010) !== 0 || (caller.uid !== 0 && !member(caller, node.gid));
    if (node.type !== 'directory') node.mode &= dropsSetgid ? ~0o6000 : ~0o4000;
    node.uid = uid;
    node.gid = gid;
    node.ctime = this.now;
    return 'OK';
  }

  lookup(caller: Caller, where: { parent: number; name: string }): string {
    const problem = this.#search(caller, where);
    if (problem) return problem;
    return this.node(where.parent).entries.has(where.name) ? 'OK' : 'NOT_FOUND';
  }

  list(caller: Caller, id: number): string {
    const node = this.nodes.get(id);
    if (node === undefined) return 'NOT_FOUND';
    if (node.type !== 'directory') return 'NOT_DIRECTORY';
    return may(caller, node, 4) ? 'OK' : 'PERMISSION_DENIED';
  }

  /** All nodes that a walk from the root meets, through directories that the caller may search. */
  reachable(caller: Caller): Set<number> {
    const found = new Set([1]);
    for (const id of found) {
      const node = this.node(id);
      if (node.type !== 'directory' || !may(caller, node, 1)) continue;
      for (const entry of node.entries.values()) found.add(entry);
    }
    return found;
  }

  /** Nodes that no name leads to are forgotten; files may still be open, but that is not the tree's business. */
  forgetNameless(): void {
    const named = new Set([1]);
    for (const node of this.nodes.values()) for (const id of node.entries.values()) named.add(id);
    for (const id of this.nodes.keys()) if (!named.has(id)) this.nodes.delete(id);
  }

  #add(id: number, made: Pick<ModelNode, 'type' | 'mode' | 'uid' | 'gid'>): void {
    this.nodes.set(id, { id, ...made, entries: new Map(), mtime: this.now, ctime: this.now });
  }

  #search(caller: Caller, { parent }: { parent: number }): string | undefined {
    const node = this.nodes.get(parent);
    if (node === undefined) return 'NOT_FOUND';
    if (node.type !== 'directory') return 'NOT_DIRECTORY';
    return may(caller, node, 1) ? undefined : 'PERMISSION_DENIED';
  }

  #removable(caller: Caller, where: { parent: number; name: string }): ModelNode | string {
    const problem = this.#search(caller, where);
    if (problem) return problem;
    const parent = this.node(where.parent);
    const id = parent.entries.get(where.name);
    if (id === undefined) return 'NOT_FOUND';
    if (!may(caller, parent, 2)) return 'PERMISSION_DENIED';
    return sticky(caller, parent, this.node(id)) ? 'NOT_PERMITTED' : this.node(id);
  }

  #cannotMove(caller: Caller, node: ModelNode, from: number, to: number): string | undefined {
    if (node.type !== 'directory' || from === to) return undefined;
    for (let at = to; ; at = this.parentOf(at)) {
      if (at === node.id) return 'INVALID_ARGUMENT';
      if (at === 1) break;
    }
    return may(caller, node, 2) ? undefined : 'PERMISSION_DENIED';
  }

  #take({ parent, name }: { parent: number; name: string }): void {
    this.node(parent).entries.delete(name);
    this.#touch(this.node(parent));
  }

  #touch(node: ModelNode): void {
    node.mtime = this.now;
    node.ctime = this.now;
  }
}

function misfit(moved: ModelNode, other: ModelNode): string | undefined {
  if (moved.type !== 'directory') return other.type === 'directory' ? 'IS_DIRECTORY' : undefined;
  if (other.type !== 'directory') return 'NOT_DIRECTORY';
  return other.entries.size > 0 ? 'NOT_EMPTY' : undefined;
}

function may(caller: Caller, node: ModelNode, bit: number): boolean {
  if (caller.uid === 0) return true;
  const triple =
    caller.uid === node.uid ? node.mode >> 6 : member(caller, node.gid) ? node.mode >> 3 : node.mode;
  return (triple & bit) !== 0;
}

function member(caller: Caller, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

function sticky(caller: Caller, directory: ModelNode, entry: ModelNode): boolean {
  return (directory.mode & 0o1000) !== 0 && ![0, directory.uid, entry.uid].includes(caller.uid);
}
