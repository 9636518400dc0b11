import type { CommandContext } from '../rpc/messages.ts';
import type { Incoming, Outgoing, ServerContext } from '../rpc/network.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type Command<Req, Res> = (request: Incoming<Req>, context: ServerContext) => Promise<Outgoing<Res>>;

/**
 * What changes names or attributes is answered when the sessions that believe them to be otherwise have heard of it: whoever
 * has the answer may rely on what another mount shows then.
 */
export function heardAnswers({ channels }: Pick<MasterParts, 'channels'>, handlers: MasterHandlers) {
  const whenHeard =
    <Req extends { context: CommandContext | undefined }, Res>(
      command: Command<Req, Res>,
    ): Command<Req, Res> =>
    async (request, context) => {
      const answer = await command(request, context);
      const { session, number } = request.message.context ?? NOBODY;
      await channels.heard(session, number);
      return answer;
    };
  return {
    createFile: whenHeard(handlers.createFile),
    open: whenHeard(handlers.open),
    close: whenHeard(handlers.close),
    commitLength: whenHeard(handlers.commitLength),
    allocate: whenHeard(handlers.allocate),
    shareRange: whenHeard(handlers.shareRange),
    setAttributes: whenHeard(handlers.setAttributes),
    makeNode: whenHeard(handlers.makeNode),
    makeLink: whenHeard(handlers.makeLink),
    unlink: whenHeard(handlers.unlink),
    removeDirectory: whenHeard(handlers.removeDirectory),
    removeTree: whenHeard(handlers.removeTree),
    rename: whenHeard(handlers.rename),
    setXattr: whenHeard(handlers.setXattr),
    removeXattr: whenHeard(handlers.removeXattr),
  };
}

const NOBODY = { session: 0, number: 0 };
