import { GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { CommandContext } from '../core/metadata/commands.ts';
import { type Attributes, FileType, type FileType as NodeType } from '../core/metadata/rows.ts';
import type { Caller, EntryResponse } from '../rpc/messages.ts';
import { callerOf, contextOf } from './command-context.ts';
import { checkReach, unreachable } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';
import { removeTree } from './remove-tree.ts';

type NamespaceMethods =
  | 'lookup'
  | 'getAttributes'
  | 'readSymlink'
  | 'listDirectory'
  | 'makeNode'
  | 'makeLink'
  | 'unlink'
  | 'removeDirectory'
  | 'removeTree'
  | 'syncNames'
  | 'rename';

/** Entries in one answer: with the longest names and attributes it stays well below a message's bound. */
const LIST_ENTRIES_MAX = 4096;

/** The tree of names. Look-ups are answered from the state at once; commands wait for the log. */
export function namespaceHandlers(parts: MasterParts): Pick<MasterHandlers, NamespaceMethods> {
  const { metadata, reaper, entries, longCommands } = parts;
  const { state } = metadata;
  /** Who looks, if he may come to what he names. */
  const lookerAt = (message: { caller: Caller | undefined; session: number }, inode: InodeId) => {
    const caller = callerOf(message.caller);
    const asker = entries.asker(message.session);
    checkReach(parts.access, { caller, session: asker }, inode);
    return { caller, asker };
  };
  /** Inodes that a command names by number: the caller must be able to come there. */
  const reaching =
    (context: CommandContext, ...inodes: InodeId[]) =>
    () =>
      unreachable(parts.access, context, inodes);

  /** A regular file that lost its last name goes, unless somebody has it open. */
  const letGo = (attributes: Attributes | undefined) => {
    if (attributes?.type === FileType.REGULAR && attributes.linkCount === 0) {
      reaper.consider([attributes.inode]);
    }
  };

  const removedAnswer = (context: CommandContext, parent: InodeId, lost: Attributes) => ({
    parent: entries.parent(context.session, parent),
    removed: gone(lost),
    inode: lost.inode,
  });

  return {
    lookup: async ({ message }) => {
      const place = { parent: inodeId(message.parent), name: message.name };
      const { caller, asker } = lookerAt(message, place.parent);
      const attributes = unwrap(state.lookup(caller, place.parent, place.name));
      return { message: await entries.entry(asker, attributes, place) };
    },

    getAttributes: async ({ message }) => {
      const { lengthBefore, suspectVersion, ownWrites } = message;
      const inode = inodeId(message.inode);
      const { asker } = lookerAt(message, inode);
      const attributes = unwrap(state.attributes(inode));
      const question = { lengthBefore, suspectVersion, ownWrites };
      return { message: await entries.entry(asker, attributes, undefined, question) };
    },

    readSymlink: async ({ message }) => {
      const inode = inodeId(message.inode);
      lookerAt(message, inode);
      return { message: { target: unwrap(state.readSymlink(inode)) } };
    },

    listDirectory: async ({ message }) => {
      const { after, limit, withAttributes } = message;
      if (limit < 1) throw new GfsError('INVALID_ARGUMENT', 'no entries are wanted');
      const directory = inodeId(message.inode);
      const { caller, asker } = lookerAt(message, directory);
      const wanted = { after, limit: Math.min(limit, LIST_ENTRIES_MAX), withAttributes };
      const page = unwrap(state.list(caller, directory, wanted));
      if (!withAttributes) return { message: page };
      return {
        message: { ...page, entries: page.entries.map((entry) => entries.listed(asker, directory, entry)) },
      };
    },

    makeNode: async ({ message }) => {
      const { name, mode, umask, rdev, symlinkTarget } = message;
      const context = contextOf(parts, message.context);
      const parent = inodeId(message.parent);
      const type = nodeTypeOf(message.type);
      const body = { parent, name, inode: metadata.dealInode(), type, mode, umask, rdev, symlinkTarget };
      const made = await metadata.execute(context, 'makeNode', body, reaching(context, parent));
      return { message: { ...plain(unwrap(made)), parent: entries.parent(context.session, parent) } };
    },

    makeLink: async ({ message }) => {
      const context = contextOf(parts, message.context);
      const { name, replace } = message;
      const body = { inode: inodeId(message.inode), parent: inodeId(message.parent), name, replace };
      const reach = reaching(context, body.parent, body.inode);
      const { linked, replaced } = unwrap(await metadata.execute(context, 'makeLink', body, reach));
      letGo(replaced);
      const parent = entries.parent(context.session, body.parent);
      const entry = await entries.entry(context.session, linked);
      return { message: { ...entry, parent, replaced: replaced?.inode ?? 0 } };
    },

    unlink: async ({ message }) => {
      const context = contextOf(parts, message.context);
      const body = { parent: inodeId(message.parent), name: message.name };
      const reach = reaching(context, body.parent);
      const { inode } = unwrap(await metadata.execute(context, 'unlink', body, reach));
      letGo(inode);
      return { message: removedAnswer(context, body.parent, inode) };
    },

    removeDirectory: async ({ message }) => {
      const context = contextOf(parts, message.context);
      const body = { parent: inodeId(message.parent), name: message.name };
      const reach = reaching(context, body.parent);
      const { inode } = unwrap(await metadata.execute(context, 'removeDirectory', body, reach));
      return { message: removedAnswer(context, body.parent, inode) };
    },

    removeTree: async ({ message }, { signal }) => {
      const context = contextOf(parts, message.context);
      const body = { parent: inodeId(message.parent), name: message.name };
      const { inode } = await removeTree(parts, { context, ...body, signal });
      letGo(inode);
      const longCommand = state.longCommand(inode.inode)?.id ?? 0;
      const { count } = (await longCommands.told(inode.inode)) ?? { count: longCommand === 0 ? 1 : 0 };
      return { message: { ...removedAnswer(context, body.parent, inode), longCommand, count } };
    },

    syncNames: async () => {
      await metadata.synced();
      return { message: {} };
    },

    rename: async ({ message }) => {
      const { name, newName, noReplace, exchange } = message;
      const context = contextOf(parts, message.context);
      const parent = inodeId(message.parent);
      const newParent = inodeId(message.newParent);
      const whiteout = message.whiteout ? metadata.dealInode() : undefined;
      const body = { parent, name, newParent, newName, noReplace, exchange, whiteout };
      const reach = reaching(context, parent, newParent);
      const { moved, other } = unwrap(await metadata.execute(context, 'rename', body, reach));
      letGo(other);
      return {
        message: {
          parent: entries.parent(context.session, parent),
          newParent: entries.parent(context.session, newParent),
          removed: gone(other),
          moved: moved.inode,
          other: other?.inode ?? 0,
        },
      };
    },
  };
}

const NODE_TYPES: ReadonlySet<number> = new Set(Object.values(FileType));

function nodeTypeOf(type: number): NodeType {
  if (!NODE_TYPES.has(type)) throw new GfsError('INVALID_ARGUMENT', `${type} is no type of a node`);
  return type as NodeType;
}

/** What lost its last name, unless it is kept for those who have it open. */
function gone(attributes: Attributes | undefined): Attributes | undefined {
  return attributes?.linkCount === 0 && attributes.type !== FileType.REGULAR ? attributes : undefined;
}

/** Of what has no length that anybody could be adding to. */
function plain(attributes: Attributes): EntryResponse {
  return { attributes, beingWritten: false, tail: undefined, parent: undefined };
}
