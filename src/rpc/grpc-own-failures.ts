import type { ServerInterceptingCall, ServerInterceptor } from '@grpc/grpc-js';
import { MESSAGE_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import { statusOfError } from './grpc-wire.ts';
import { codeOfStatus } from './status.ts';

/**
 * Has our detail in what grpc-js itself refuses, too, before any handler hears of it: a message over the limit, or one that it
 * cannot unpack. It tells that by the call's own `sendStatus`, past all interceptors, and so that is what is replaced.
 */
export const withOwnFailures: ServerInterceptor = (_method, call) => {
  const sendStatus = call.sendStatus.bind(call);
  call.sendStatus = (told) => {
    // What we tell has metadata, and success needs none.
    if (told.code === undefined || told.code === 0 || told.metadata) return sendStatus(told);
    const code = codeOfStatus(told.code);
    const text =
      code === 'MESSAGE_TOO_LARGE'
        ? `a message is longer than the ${MESSAGE_BYTES_MAX} bytes that are allowed`
        : (told.details ?? '');
    sendStatus(statusOfError(new GfsError(code, text)));
  };
  // One wrapped around it would have nothing to do.
  return call as ServerInterceptingCall;
};
