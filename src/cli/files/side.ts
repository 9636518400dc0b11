import type { AttributeChanges } from '../../client/api.ts';
import type { Time } from '../../rpc/messages.ts';

/** What is at one place of a tree, on this machine or in the cluster. */
export interface TreeNode {
  readonly name: Buffer;
  readonly path: Buffer;
  /** `other`: devices, sockets and the like, which are not copied. */
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  /** 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly length: number;
  readonly mtime: Time;
}

export type NodeChanges = Pick<AttributeChanges, 'mode' | 'uid' | 'gid'> & { readonly mtime?: Time };

/** Where trees are copied from or to. Names are bytes, and come in their order. */
export interface Side<N extends TreeNode> {
  /** What a path means; a symbolic link itself unless `follow`, which is the default. Failures name the path. */
  node(path: Buffer, options?: { follow?: boolean }): Promise<N>;
  nodeIfThere(path: Buffer, options?: { follow?: boolean }): Promise<N | undefined>;
  /** Where something is written that is given this path: behind symbolic links, which may lead to what is not there yet. */
  behindLinks(path: Buffer): Promise<Buffer>;
  children(directory: N): AsyncIterable<N>;
  /** What is there already is taken, if it is a directory. */
  makeDirectory(parent: N, name: Buffer, mode: number): Promise<N>;
  readLink(link: N): Promise<Buffer>;
  /** In the place of anything but a directory. */
  putLink(parent: N, name: Buffer, target: Buffer): Promise<void>;
  change(node: N, changes: NodeChanges): Promise<void>;
  /** With all that is below it. */
  remove(parent: N, node: N): Promise<void>;
}

/** What a copy has of its source. */
export interface Keeping {
  readonly times: boolean;
  /** The owner too, if this caller may set it, and then the set-id bits. */
  readonly owner: boolean;
  /** Taken off the mode. */
  readonly umask: number;
}

/** As it was: what goes between machines, whose users may be others. */
export const KEEPS_MODE_AND_TIMES: Keeping = { times: true, owner: false, umask: 0 };

export function modeToKeep({ mode }: Pick<TreeNode, 'mode'>, { owner }: Keeping): number {
  return mode & (owner ? 0o7777 : 0o777);
}

/** Times of files go through numbers of the local disk's calls that are exact to a quarter of a microsecond. */
export function isSameTime(one: Time, other: Time): boolean {
  return Math.abs((one.seconds - other.seconds) * 1e9 + one.nanos - other.nanos) <= 1000;
}
