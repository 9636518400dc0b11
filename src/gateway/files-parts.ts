import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { shared } from '../base/shared-abort.ts';
import type { Call, GfsClient } from '../client/api.ts';
import type { FilesDefinition } from '../rpc/messages.ts';
import type { Handlers, Incoming, ServerContext } from '../rpc/network.ts';
import { type Callers, callerOf } from './callers.ts';

export type FilesHandlers = Handlers<typeof FilesDefinition>;

export interface FilesParts {
  readonly env: Env;
  readonly client: GfsClient;
  readonly callers: Callers;
}

/** Deadline, cancellation and name of the call go on into the client library, and so does who asks. */
export function callOf({ callers }: FilesParts, context: ServerContext): Call {
  const { signal, deadlineMs, requestId } = context;
  return {
    caller: callerOf(callers, { metadata: (key) => context.metadata(key) }),
    // A call may become many.
    signal: shared(signal),
    deadlineMs,
    requestId,
  };
}

/** Of a call with a stream of answers: what was asked. */
export async function onlyRequest<T>(requests: AsyncIterable<Incoming<T>>): Promise<T> {
  for await (const { message } of requests) return message;
  throw new GfsError('INVALID_ARGUMENT', 'a call without a request');
}

/** Undefined: that was all. */
export async function nextOf<T>(incoming: AsyncIterator<T>): Promise<T | undefined> {
  const next = await incoming.next();
  return next.done === true ? undefined : next.value;
}
