import { must } from '../../base/assert.ts';
import { type InodeId, ROOT_INODE } from '../../base/ids.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import { addWhiteout, idUsed, isUsed, searchable } from './apply-create.ts';
import { dropLink, isEmpty, removable, removeEmptyDirectory } from './apply-remove.ts';
import type { Caller, Command, CommandBodies, Renamed } from './commands.ts';
import { withLink, withoutLink } from './links.ts';
import { denied, MAY_WRITE, mayAccess, maySteal } from './permissions.ts';
import { type Prepare, type Prepared, ready } from './prepared.ts';
import { FileType, type Inode, type Time } from './rows.ts';
import type { MetadataState } from './state.ts';

type Body = CommandBodies['rename'];

export const prepareRename: Prepare<'rename'> = (state, body, command) => {
  const { caller } = command.context;
  const { noReplace, exchange: exchanges, whiteout } = body;
  if (exchanges && (noReplace || whiteout !== undefined))
    return refuse('INVALID_ARGUMENT', 'either exchange or no_replace and whiteout');
  if (whiteout !== undefined && isUsed(state, whiteout)) return idUsed(whiteout);
  const source = removable(state, caller, body.parent, body.name);
  if (!source.ok) return source;
  const target = targetOf(state, caller, body);
  if (!target.ok) return target;
  const moved = source.value.inode;
  const { directory: newDirectory, inode: other } = target.value;
  const entries: Entries = { body, directory: source.value.directory, moved, newDirectory, other };

  // Two names of one inode: POSIX wants both to stay.
  if (other?.inode === moved.inode) return ready(() => ({ moved, other: undefined }));
  const forbidden =
    forbiddenMove(state, caller, { moved, from: body.parent, to: body.newParent }) ??
    (exchanges ? forbiddenExchange(state, caller, entries) : forbiddenReplacement(state, caller, entries));
  if (forbidden) return forbidden;
  return exchanges ? exchange(state, entries, command) : move(state, entries, command);
};

interface Entries {
  readonly body: Body;
  readonly directory: Inode;
  readonly moved: Inode;
  readonly newDirectory: Inode;
  readonly other: Inode | undefined;
}

/** What the new name stands for now, if the caller may give it. As in Linux, EXISTS goes before the mode. */
export function targetOf(
  state: MetadataState,
  caller: Caller,
  { newParent, newName, noReplace, exchange }: Pick<Body, 'newParent' | 'newName' | 'noReplace' | 'exchange'>,
): Result<{ directory: Inode; inode: Inode | undefined }> {
  const directory = searchable(state, caller, newParent, newName);
  if (!directory.ok) return directory;
  const dirent = state.tables.dirent(newParent, newName);
  if (dirent === undefined && exchange) return refuse('NOT_FOUND', 'nothing to exchange with');
  if (dirent !== undefined && noReplace) return refuse('EXISTS', 'there is an entry of that name');
  if (!mayAccess(state, caller, directory.value, MAY_WRITE)) return denied(directory.value);
  return ok({ directory: directory.value, inode: dirent && state.inodeOf(dirent.inode) });
}

/** Rules for a directory that gets another parent: it is not put under itself, and its own ".." changes. */
function forbiddenMove(
  state: MetadataState,
  caller: Caller,
  { moved, from, to }: { moved: Inode; from: InodeId; to: InodeId },
): Result<never> | undefined {
  if (moved.type !== FileType.DIRECTORY || from === to) return undefined;
  if (isWithin(state, to, moved.inode))
    return refuse('INVALID_ARGUMENT', 'a directory cannot go under itself');
  return mayAccess(state, caller, moved, MAY_WRITE) ? undefined : denied(moved);
}

function forbiddenExchange(
  state: MetadataState,
  caller: Caller,
  entries: Entries,
): Result<never> | undefined {
  const { body, newDirectory } = entries;
  const other = must(entries.other, 'an exchange has two sides');
  if (!maySteal(caller, newDirectory, other)) return sticky();
  return forbiddenMove(state, caller, { moved: other, from: body.newParent, to: body.parent });
}

export function forbiddenReplacement(
  state: MetadataState,
  caller: Caller,
  { moved, newDirectory, other }: Pick<Entries, 'moved' | 'newDirectory' | 'other'>,
): Result<never> | undefined {
  if (other === undefined) return undefined;
  if (!maySteal(caller, newDirectory, other)) return sticky();
  if (moved.type !== FileType.DIRECTORY) {
    return other.type === FileType.DIRECTORY
      ? refuse('IS_DIRECTORY', 'a file does not replace a directory')
      : undefined;
  }
  if (other.type !== FileType.DIRECTORY)
    return refuse('NOT_DIRECTORY', 'a directory does not replace a file');
  return isEmpty(state, other.inode)
    ? undefined
    : refuse('NOT_EMPTY', `directory ${other.inode} is not empty`);
}

function move(state: MetadataState, { body, moved, other }: Entries, command: Command): Prepared<Renamed> {
  const { time } = command;
  const { parent, name, whiteout } = body;
  return ready(() => {
    const lost = other && replace(state, { body, other, time });
    state.tables.removeDirent(parent, name);
    state.tables.putDirent(body.newParent, body.newName, { inode: moved.inode, type: moved.type });
    const placed = place(state, moved, { from: parent, to: body.newParent, time });
    touch(state, body, time);
    if (whiteout !== undefined) addWhiteout(state, { parent, name, inode: whiteout }, command);
    return { moved: placed, other: lost };
  });
}

function replace(
  state: MetadataState,
  { body, other, time }: { body: Body; other: Inode; time: Time },
): Inode {
  if (other.type !== FileType.DIRECTORY) return dropLink(state, other, { directory: body.newParent, time });
  addLinks(state, body.newParent, -1);
  return removeEmptyDirectory(state, other, time);
}

function exchange(state: MetadataState, entries: Entries, { time }: Command): Prepared<Renamed> {
  const { body, moved } = entries;
  const other = must(entries.other, 'an exchange has two sides');
  return ready(() => {
    state.tables.putDirent(body.newParent, body.newName, { inode: moved.inode, type: moved.type });
    state.tables.putDirent(body.parent, body.name, { inode: other.inode, type: other.type });
    const placed = place(state, moved, { from: body.parent, to: body.newParent, time });
    const placedOther = place(state, other, { from: body.newParent, to: body.parent, time });
    touch(state, body, time);
    return { moved: placed, other: placedOther };
  });
}

/**
 * The inode under its new parent. Rows are read again, here and below: the two directories may be one, and the entry
 * of one may be the other, so a row read before may have been written since.
 */
function place(
  state: MetadataState,
  inode: Inode,
  { from, to, time }: { from: InodeId; to: InodeId; time: Time },
): Inode {
  const isDirectory = inode.type === FileType.DIRECTORY;
  if (isDirectory && from !== to) {
    addLinks(state, from, -1);
    addLinks(state, to, 1);
  }
  const row = state.inodeOf(inode.inode);
  const there = isDirectory ? { ...row, parent: to } : withLink(state, withoutLink(state, row, from), to);
  const placed: Inode = { ...there, ctime: time };
  state.tables.putInode(placed);
  return placed;
}

function addLinks(state: MetadataState, directory: InodeId, count: number): void {
  const row = state.inodeOf(directory);
  state.tables.putInode({ ...row, linkCount: row.linkCount + count });
}

function touch(state: MetadataState, { parent, newParent }: Body, time: Time): void {
  for (const directory of parent === newParent ? [parent] : [parent, newParent]) {
    state.tables.putInode({ ...state.inodeOf(directory), mtime: time, ctime: time });
  }
}

/** Whether `directory` is `ancestor` or lies below it. */
function isWithin(state: MetadataState, directory: InodeId, ancestor: InodeId): boolean {
  for (let current = directory; ; ) {
    if (current === ancestor) return true;
    if (current === ROOT_INODE) return false;
    current = must(state.inodeOf(current).parent || undefined, 'a directory has a parent');
  }
}

function sticky(): Result<never> {
  return refuse('NOT_PERMITTED', 'in a sticky directory only the owner replaces an entry');
}
