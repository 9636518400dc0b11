import { GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { type Attributes, FileType, type FileType as NodeType } from '../core/metadata/rows.ts';
import type { EntryResponse } from '../rpc/messages.ts';
import { callerOf, contextOf } from './command-context.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type NamespaceMethods =
  | 'lookup'
  | 'getAttributes'
  | 'readSymlink'
  | 'listDirectory'
  | 'makeNode'
  | 'makeLink'
  | 'unlink'
  | 'removeDirectory'
  | 'rename';

/** Entries in one answer: with the longest names and attributes it stays well below a message's bound. */
const LIST_ENTRIES_MAX = 4096;

/** The tree of names. Look-ups are answered from the state at once; commands wait for the log. */
export function namespaceHandlers(parts: MasterParts): Pick<MasterHandlers, NamespaceMethods> {
  const { env, metadata, sessions, reaper, entries } = parts;
  const { state } = metadata;
  const nowMs = () => env.monotonicMs();

  /** A regular file that lost its last name goes, unless somebody has it open. */
  const letGo = (attributes: Attributes | undefined) => {
    if (attributes?.type === FileType.REGULAR && attributes.linkCount === 0) {
      reaper.consider([attributes.inode]);
    }
  };

  return {
    lookup: async ({ message: { caller, parent, name, session } }) => {
      const asker = entries.asker(session);
      const place = { parent: inodeId(parent), name };
      const attributes = unwrap(state.lookup(callerOf(caller), place.parent, name));
      return { message: await entries.entry(asker, attributes, place) };
    },

    /** By inode, as fstat(2): whoever may know the number passed the directory that names it. */
    getAttributes: async ({ message: { caller, inode, session, lengthBefore, suspectVersion } }) => {
      callerOf(caller);
      const asker = entries.asker(session);
      const attributes = unwrap(state.attributes(inodeId(inode)));
      return { message: await entries.entry(asker, attributes, undefined, { lengthBefore, suspectVersion }) };
    },

    readSymlink: async ({ message: { caller, inode } }) => {
      callerOf(caller);
      return { message: { target: unwrap(state.readSymlink(inodeId(inode))) } };
    },

    listDirectory: async ({ message: { caller, inode, after, limit, withAttributes, session } }) => {
      if (limit < 1) throw new GfsError('INVALID_ARGUMENT', 'no entries are wanted');
      const asker = entries.asker(session);
      const directory = inodeId(inode);
      const wanted = { after, limit: Math.min(limit, LIST_ENTRIES_MAX), withAttributes };
      const page = unwrap(state.list(callerOf(caller), directory, wanted));
      if (!withAttributes) return { message: page };
      return {
        message: { ...page, entries: page.entries.map((entry) => entries.listed(asker, directory, entry)) },
      };
    },

    makeNode: async ({ message }) => {
      const { parent, name, mode, rdev, symlinkTarget } = message;
      const context = contextOf(message.context, sessions, nowMs());
      const attributes = await metadata.execute(context, 'makeNode', {
        parent: inodeId(parent),
        name,
        inode: metadata.dealInode(),
        type: nodeTypeOf(message.type),
        mode,
        rdev,
        symlinkTarget,
      });
      return { message: plain(unwrap(attributes)) };
    },

    makeLink: async ({ message }) => {
      const context = contextOf(message.context, sessions, nowMs());
      const body = { inode: inodeId(message.inode), parent: inodeId(message.parent), name: message.name };
      const attributes = unwrap(await metadata.execute(context, 'makeLink', body));
      return { message: await entries.entry(context.session, attributes) };
    },

    unlink: async ({ message }) => {
      const context = contextOf(message.context, sessions, nowMs());
      const body = { parent: inodeId(message.parent), name: message.name };
      letGo(unwrap(await metadata.execute(context, 'unlink', body)).inode);
      return { message: {} };
    },

    removeDirectory: async ({ message }) => {
      const context = contextOf(message.context, sessions, nowMs());
      const body = { parent: inodeId(message.parent), name: message.name };
      unwrap(await metadata.execute(context, 'removeDirectory', body));
      return { message: {} };
    },

    rename: async ({ message }) => {
      const { parent, name, newParent, newName, noReplace, exchange } = message;
      const context = contextOf(message.context, sessions, nowMs());
      const { other } = unwrap(
        await metadata.execute(context, 'rename', {
          parent: inodeId(parent),
          name,
          newParent: inodeId(newParent),
          newName,
          noReplace,
          exchange,
        }),
      );
      letGo(other);
      return { message: {} };
    },
  };
}

const NODE_TYPES: ReadonlySet<number> = new Set(Object.values(FileType));

function nodeTypeOf(type: number): NodeType {
  if (!NODE_TYPES.has(type)) throw new GfsError('INVALID_ARGUMENT', `${type} is no type of a node`);
  return type as NodeType;
}

/** Of what has no length that anybody could be adding to. */
function plain(attributes: Attributes): EntryResponse {
  return { attributes, beingWritten: false, tail: undefined };
}
