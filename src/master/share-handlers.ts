import { GfsError } from '../base/errors.ts';
import { type InodeId, inodeId, type SessionId } from '../base/ids.ts';
import type { ExtentLocation, ShareRangeRequest } from '../rpc/messages.ts';
import { contextOf } from './command-context.ts';
import { checkFileAccess } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';
import { SHARED_EXTENTS_MAX, type ShareRange, shareRange } from './range-sharer.ts';

/** Copies that are made by sharing chunks. */
export function shareHandlers(parts: MasterParts): Pick<MasterHandlers, 'shareRange'> {
  const { env, metadata, entries, locator } = parts;

  return {
    shareRange: async ({ message }) => {
      const context = contextOf(parts, message.context);
      const { caller, session } = context;
      const range = rangeOf(message);
      const { source, target } = range;
      checkFileAccess(parts.access, {
        ...{ caller, session, inode: source },
        openId: message.sourceOpenId,
        write: false,
      });
      checkFileAccess(parts.access, { caller, session, openId: message.openId, inode: target, write: true });
      const shared = await shareRange(parts, context, range);
      if (shared === undefined) return { message: NOTHING_SHARED };
      const { attributes, length } = shared;
      const beingWritten = entries.isBeingWritten(session, attributes);
      const end = range.targetStart + length;
      return {
        message: { ...shared, beingWritten, extents: located(target, range.targetStart, end, session) },
      };
    },
  };

  function located(inode: InodeId, start: number, end: number, session: SessionId | 0): ExtentLocation[] {
    const nowMs = env.monotonicMs();
    return metadata.state
      .extents(inode, start, SHARED_EXTENTS_MAX)
      .filter((extent) => extent.start < end)
      .map((extent) => locator.locate(extent, nowMs, session));
  }
}

const NOTHING_SHARED = {
  ...{ length: 0, attributes: undefined, previousCtime: undefined, beingWritten: false },
  extents: [],
};

function rangeOf({ source, sourceStart, inode, start, length }: ShareRangeRequest): ShareRange {
  for (const number of [sourceStart, start, length, sourceStart + length, start + length]) {
    if (!Number.isSafeInteger(number)) throw new GfsError('INVALID_ARGUMENT', `${number} is no offset`);
  }
  return {
    ...{ source: inodeId(source), sourceStart },
    ...{ target: inodeId(inode), targetStart: start, length },
  };
}
