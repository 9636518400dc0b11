import { type InodeId, inodeId } from '../base/ids.ts';
import { type Result, unwrap } from '../base/result.ts';
import type { CommandContext } from '../core/metadata/commands.ts';
import type { Attributes } from '../core/metadata/rows.ts';
import type { EntryResponse } from '../rpc/messages.ts';
import { callerOf, contextOf } from './command-context.ts';
import { checkReach, unreachable } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type XattrMethods = 'getXattr' | 'listXattrs' | 'setXattr' | 'removeXattr';

/** Extended attributes, ACLs among them: look-ups from the state, changes by way of the log. */
export function xattrHandlers(parts: MasterParts): Pick<MasterHandlers, XattrMethods> {
  const { metadata, sessions, entries } = parts;
  const { state } = metadata;

  /** Who looks, if he may come there. He is told when the inode changes. */
  const looker = (message: Parameters<typeof callerOf>[0], session: number, inode: InodeId) => {
    const caller = callerOf(message);
    const asker = entries.asker(session);
    checkReach(parts.access, { caller, session: asker }, inode);
    entries.learn(asker, inode);
    return caller;
  };
  const reaching = (context: CommandContext, inode: InodeId) => () =>
    unreachable(parts.access, context, [inode]);
  const changed = async (
    context: CommandContext,
    result: Result<Attributes>,
  ): Promise<{ message: EntryResponse }> => ({
    message: await entries.entry(context.session, unwrap(result)),
  });

  return {
    getXattr: async ({ message }) => {
      const inode = inodeId(message.inode);
      const caller = looker(message.caller, message.session, inode);
      return { message: { value: unwrap(state.xattr(caller, inode, message.name)) } };
    },

    listXattrs: async ({ message }) => {
      const inode = inodeId(message.inode);
      const caller = looker(message.caller, message.session, inode);
      return { message: { names: unwrap(state.xattrNames(caller, inode)) } };
    },

    setXattr: async ({ message }) => {
      const { name, value, create, replace } = message;
      const context = contextOf(parts, message.context);
      const body = { inode: inodeId(message.inode), name, value, create, replace };
      const reach = reaching(context, body.inode);
      return await changed(context, await metadata.execute(context, 'setXattr', body, reach));
    },

    removeXattr: async ({ message }) => {
      const context = contextOf(parts, message.context);
      const inode = inodeId(message.inode);
      const byOpenFile = context.session !== 0 && sessions.writersOf(inode).includes(context.session);
      const body = { inode, name: message.name, byOpenFile };
      const reach = reaching(context, inode);
      return await changed(context, await metadata.execute(context, 'removeXattr', body, reach));
    },
  };
}
