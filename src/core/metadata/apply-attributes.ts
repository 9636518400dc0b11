import { type Result, refuse } from '../../base/result.ts';
import { ACCESS_ACL, aclOf, withMode } from './acl.ts';
import {
  badCut,
  badNewChunk,
  chunkOf,
  dropExtentsFrom,
  putFirstChunk,
  raised,
  useChunkId,
} from './chunk-rows.ts';
import type { Caller, CommandBodies } from './commands.ts';
import { FILE_LENGTH_MAX } from './extents.ts';
import { dataBytesOf, holesAt } from './holes.ts';
import {
  denied,
  isInGroup,
  isOwner,
  MAY_WRITE,
  MODE_ALL,
  mayAccess,
  withoutForeignSetgid,
  withoutSetIds,
} from './permissions.ts';
import { type Prepare, ready } from './prepared.ts';
import { type Extent, FileType, type Inode, type Time } from './rows.ts';
import type { MetadataState } from './state.ts';
import { badTimes } from './times.ts';
import { CAPABILITY, withAcl, withoutXattr } from './xattrs.ts';

type Body = CommandBodies['setAttributes'];

/** chmod, chown, utimes and truncate, in any combination: all of it or nothing. */
export const prepareSetAttributes: Prepare<'setAttributes'> = (
  state,
  body,
  { context: { caller }, time },
) => {
  const found = state.row(body.inode);
  if (!found.ok) return found;
  const inode = found.value;
  const refusal =
    forbidden(state, inode, body, caller) ??
    badTimes([body.atime, body.mtime]) ??
    badTruncation(state, inode, body);
  if (refusal !== undefined) return refusal;
  return ready(() => {
    const changed = withItsXattrs(state, withAttributes(inode, { body, caller, time }), body);
    useChunkId(state, body.firstChunk);
    if (body.length !== undefined) truncate(state, changed, body);
    state.tables.putInode(changed);
    return changed;
  });
};

function forbidden(
  state: MetadataState,
  inode: Inode,
  body: Body,
  caller: Caller,
): Result<never> | undefined {
  const { mode, uid, gid } = body;
  const owner = isOwner(caller, inode);
  if (mode !== undefined && !owner) return refuse('NOT_PERMITTED', 'only the owner changes the mode');
  if (uid !== undefined && caller.uid !== 0 && !(owner && uid === inode.uid)) {
    return refuse('NOT_PERMITTED', 'only root gives files away');
  }
  if (gid !== undefined && caller.uid !== 0 && !(owner && (gid === inode.gid || isInGroup(caller, gid)))) {
    return refuse('NOT_PERMITTED', 'only the owner changes the group, and only to one of his own');
  }
  if ((body.atime !== undefined || body.mtime !== undefined) && !owner) {
    return refuse('NOT_PERMITTED', 'only the owner sets times');
  }
  // As in utimensat(2): who may write sets both to now, and one alone as little as any other time.
  if (body.atimeNow !== body.mtimeNow && body.length === undefined && !owner) {
    return refuse('NOT_PERMITTED', 'only the owner sets one time alone');
  }
  const touches = (body.atimeNow || body.mtimeNow) && !owner;
  const writes = (body.length !== undefined || body.dropSetIds) && !body.byOpenFile;
  return (touches || writes) && !mayAccess(state, caller, inode, MAY_WRITE) ? denied(inode) : undefined;
}

function badTruncation(state: MetadataState, inode: Inode, body: Body): Result<never> | undefined {
  const { length, cut, firstChunk } = body;
  if (length === undefined) {
    return cut || firstChunk ? refuse('INVALID_ARGUMENT', 'chunks change with the length only') : undefined;
  }
  if (inode.type === FileType.DIRECTORY) return refuse('IS_DIRECTORY', `inode ${inode.inode} is a directory`);
  if (inode.type !== FileType.REGULAR) return refuse('INVALID_ARGUMENT', `inode ${inode.inode} is no file`);
  if (length > FILE_LENGTH_MAX) return refuse('FILE_TOO_LARGE', `a length of ${length} bytes`);
  if (firstChunk !== undefined && length > 0)
    return refuse('INVALID_ARGUMENT', 'a first chunk is for an empty file');
  const straddled = straddledExtent(state, inode, length);
  if (cut === undefined) {
    // Bytes behind the new end would show up again when the file grows.
    const needed = straddled !== undefined && length < inode.length;
    if (needed) return refuse('VERSION_MISMATCH', `chunk ${straddled.chunk} has to be cut`);
    return badNewChunk(state, firstChunk);
  }
  if (straddled?.chunk !== cut.chunk)
    return refuse('VERSION_MISMATCH', `chunk ${cut.chunk} is not the one to cut`);
  if (chunkOf(state, straddled).referenceCount > 1)
    return refuse('VERSION_MISMATCH', `chunk ${cut.chunk} is shared, and has to be cloned first`);
  return badCut(state, cut);
}

/** The extent that the new end lies inside of: it stays, and its chunk is cut. */
function straddledExtent(state: MetadataState, inode: Inode, length: number): Extent | undefined {
  const extent = length === 0 ? undefined : state.extentAt(inode.inode, length);
  return extent !== undefined && extent.start < length ? extent : undefined;
}

function withAttributes(
  inode: Inode,
  { body, caller, time }: { body: Body; caller: Caller; time: Time },
): Inode {
  let mode = body.mode === undefined ? inode.mode : newMode(inode, body, caller);
  const chowned = body.uid !== undefined || body.gid !== undefined;
  const cutByUser = body.length !== undefined && caller.uid !== 0;
  const keepsRights = inode.type === FileType.DIRECTORY || body.mode !== undefined;
  if ((chowned || cutByUser || body.dropSetIds) && !keepsRights) mode = withoutSetIds(inode, caller);
  const length = body.length ?? inode.length;
  const contentsTime = body.length === undefined ? inode.mtime : time;
  return {
    ...inode,
    mode,
    uid: body.uid ?? inode.uid,
    gid: body.gid ?? inode.gid,
    length,
    holeBytes: holesAt(length, dataBytesOf(inode)),
    truncations: inode.truncations + (body.length === undefined ? 0 : 1),
    atime: body.atimeNow ? time : (body.atime ?? inode.atime),
    mtime: body.mtimeNow ? time : (body.mtime ?? contentsTime),
    ctime: time,
  };
}

function newMode(inode: Inode, { mode = 0, gid = inode.gid }: Body, caller: Caller): number {
  return withoutForeignSetgid(mode & MODE_ALL, caller, gid);
}

/** An ACL follows the mode; a file with other contents or another owner has no capabilities, while a directory keeps what it has. */
function withItsXattrs(state: MetadataState, inode: Inode, { mode, uid, gid, length }: Body): Inode {
  const acl = mode === undefined ? undefined : aclOf(state, inode, ACCESS_ACL);
  if (acl !== undefined) withAcl(state, inode, ACCESS_ACL, withMode(acl, inode.mode));
  const changesHands = uid !== undefined || gid !== undefined || length !== undefined;
  return changesHands && inode.type !== FileType.DIRECTORY ? withoutXattr(state, inode, CAPABILITY) : inode;
}

/** `inode` is as it will be. Extents behind the new end go, the one it lies in is cut, and a sealed one is shorter then. */
function truncate(state: MetadataState, inode: Inode, { length = 0, cut, firstChunk }: Body): void {
  const straddled = straddledExtent(state, inode, length);
  dropExtentsFrom(state, inode.inode, length);
  if (straddled !== undefined && cut !== undefined) {
    const cutLength = length - straddled.start;
    raised(state, cut, cutLength);
    if (straddled.sealedLength !== undefined) {
      state.tables.putExtent(inode.inode, { ...straddled, sealedLength: cutLength });
    }
  }
  putFirstChunk(state, inode, firstChunk);
}
