import { assert } from '../../../src/base/assert.ts';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType, type Inode } from '../../../src/core/metadata/rows.ts';
import type { MetadataState } from '../../../src/core/metadata/state.ts';
import { bytes, ROOT } from './world.ts';

/** What holds between the tables after every command. Walks everything. */
export function checkInvariants(state: MetadataState): void {
  const linkCounts = new Map<number, number>();
  const references = new Map<number, number>();
  const directoriesOf = new Map<number, number[]>();
  const add = (counts: Map<number, number>, id: number, count: number) =>
    counts.set(id, (counts.get(id) ?? 0) + count);
  const inodes = new Map<number, Inode>();
  const visit = (id: Inode['inode']) => {
    const inode = state.inodeOf(id);
    inodes.set(id, inode);
    if (inode.type === FileType.DIRECTORY) add(linkCounts, id, 2);
  };
  visit(ROOT);
  const removals = state.longCommands();
  for (const { id } of removals) visit(id);
  const seen = namesOf(state);
  for (const { inode: id } of inodes.values()) {
    if (inodes.get(id)?.type !== FileType.DIRECTORY) continue;
    const { entries } = state.tables.dirents(id, bytes(''), 1e9);
    if (!seen.has(id)) checkHidden(state, id);
    for (const entry of entries) {
      if (entry.type === FileType.DIRECTORY) {
        assert(!inodes.has(entry.inode), `directory ${entry.inode} has one name`);
        add(linkCounts, id, 1);
        assert(state.inodeOf(entry.inode).parent === id, `".." of ${entry.inode}`);
      } else {
        add(linkCounts, entry.inode, 1);
        directoriesOf.set(entry.inode, [...(directoriesOf.get(entry.inode) ?? []), id]);
      }
      if (!inodes.has(entry.inode)) visit(entry.inode);
      assert(state.inodeOf(entry.inode).type === entry.type, `the dirent of ${entry.inode} knows its type`);
    }
  }
  for (const id of state.orphans(0, 1e9)) {
    assert(!inodes.has(id), `orphan ${id} has no name`);
    inodes.set(id, state.inodeOf(id));
  }
  for (const { id, at } of removals) {
    assert(inodes.get(id)?.parent === 0, `the removed tree ${id} has no parent`);
    assert(inodes.has(at), `the removal of ${id} goes on somewhere`);
  }
  for (const [id, inode] of inodes) {
    // What nobody sees is not kept up.
    const isHidden = inode.type === FileType.DIRECTORY && !seen.has(id);
    assert(isHidden || inode.linkCount === (linkCounts.get(id) ?? 0), `link count of ${id}`);
    const named = (directoriesOf.get(id) ?? []).filter((directory) => seen.has(directory)).length;
    if (inode.type === FileType.REGULAR)
      assert(unwrap(state.attributes(inode.inode)).linkCount === named, `names of ${id} that are seen`);
    checkDirectories(state, inode, directoriesOf.get(id) ?? []);
    let end = 0;
    for (const extent of state.tables.extentsFrom(inode.inode, 0, 1e9)) {
      assert(inode.type === FileType.REGULAR, `inode ${id} may have extents`);
      assert(extent.start >= end, `extents of ${id} do not overlap`);
      end = extent.start + (extent.sealedLength ?? state.chunkSizeBytes);
      add(references, extent.chunk, 1);
      assert(extent.chunk < state.progress.nextChunk, 'a handle in use is not dealt again');
    }
    assert(id < state.progress.nextInode, 'an inode in use is not dealt again');
  }
  checkXattrs(state, inodes);
  assert(state.inodeCount === inodes.size, `${state.inodeCount} inodes counted, ${inodes.size} there`);
  const chunks = state.chunks(0, 1e9);
  assert(state.chunkCount === chunks.length, `${state.chunkCount} chunks counted, ${chunks.length} there`);
  assert(chunks.length === references.size, 'every chunk is referred to');
  for (const { chunk, row } of chunks) {
    assert(row.referenceCount === references.get(chunk), `reference count of ${chunk}`);
    assert(row.frozen || row.referenceCount === 1, `nobody orders mutations of shared chunk ${chunk}`);
    assert(!state.isGarbage(chunk), `chunk ${chunk} in use is no garbage`);
  }
}

/** Directories that can be come to by their names. */
function namesOf(state: MetadataState): ReadonlySet<number> {
  const seen = new Set<InodeId>([ROOT]);
  for (const id of seen) {
    const page = state.list(ROOT_CALLER, id, { after: bytes(''), limit: 1e9, withAttributes: true });
    for (const { inode, type } of unwrap(page).entries) if (type === FileType.DIRECTORY) seen.add(inode);
  }
  return seen;
}

/** A directory of a tree that was removed. */
function checkHidden(state: MetadataState, id: InodeId): void {
  const page = { after: bytes(''), limit: 1, withAttributes: false };
  for (const answer of [
    state.attributes(id),
    state.list(ROOT_CALLER, id, page),
    state.lookup(ROOT_CALLER, id, bytes('.')),
  ]) {
    assert(!answer.ok && answer.error.code === 'NOT_FOUND', `nobody sees directory ${id}`);
  }
}

/** Each inode knows whether it has any, and none is left of an inode that is gone. */
function checkXattrs(state: MetadataState, inodes: ReadonlyMap<number, Inode>): void {
  for (let id = 1; id < state.progress.nextInode; id += 1) {
    const there = state.tables.xattrs(id as InodeId);
    assert(there.length > 0 === (inodes.get(id)?.hasXattrs ?? false), `attributes of inode ${id}`);
  }
}

/** The inode's row and the table of links name the directories of its names, each as often as it holds one. */
function checkDirectories(state: MetadataState, inode: Inode, directories: readonly number[]): void {
  const further = state.tables.linkDirectories(inode.inode, 0, 1e9);
  if (inode.type === FileType.DIRECTORY) {
    assert(further.length === 0, `directory ${inode.inode} has one name`);
    return;
  }
  const counted = further.flatMap((directory) =>
    Array.from({ length: state.tables.linksIn(inode.inode, directory) }, () => directory as number),
  );
  if (inode.parent !== 0) counted.push(inode.parent);
  const sorted = (ids: readonly number[]) => [...ids].sort((one, other) => one - other).join();
  assert(sorted(counted) === sorted(directories), `directories of the names of ${inode.inode}`);
}
