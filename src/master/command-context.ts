import { GfsError } from '../base/errors.ts';
import { type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { CommandContext } from '../core/metadata/commands.ts';
import type { Caller, CommandContext as ContextMessage } from '../rpc/messages.ts';
import { type ClosingParts, closeFile } from './closed-files.ts';
import type { MasterParts } from './master-parts.ts';

/** Who asks. A request that does not say is refused: nobody is root by leaving a field out. */
export function callerOf(caller: Caller | undefined): Caller {
  if (caller === undefined) throw new GfsError('INVALID_ARGUMENT', 'the request does not say who asks');
  return caller;
}

/**
 * A command's context, from a session that lives (or from none). Any command proves that its session does, and what it says to be
 * closed is.
 */
export function contextOf(
  parts: Pick<MasterParts, 'env' | 'sessions'> & ClosingParts,
  context: ContextMessage | undefined,
): CommandContext {
  if (context === undefined) throw new GfsError('INVALID_ARGUMENT', 'the command has no context');
  const caller = callerOf(context.caller);
  const { number, acknowledged, closed } = context;
  if (context.session === 0) return { caller, session: 0, number: 0, acknowledged: 0 };
  const session = sessionId(context.session);
  unwrap(parts.sessions.touch(session, parts.env.monotonicMs()));
  if (number < 1) throw new GfsError('INVALID_ARGUMENT', `${number} is not a number of a session's command`);
  if (acknowledged >= number) {
    throw new GfsError('INVALID_ARGUMENT', `command ${number} says that it was answered before`);
  }
  for (const openId of closed) closeFile(parts, session, openId);
  return { caller, session, number, acknowledged };
}

/** The context of what is done for an open file: there has to be a session that has it open. */
export function sessionOf(context: CommandContext): SessionId {
  if (context.session === 0) throw new GfsError('INVALID_ARGUMENT', 'only a session opens files');
  return context.session;
}
