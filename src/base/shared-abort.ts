import { setMaxListeners } from 'node:events';

/** A controller whose signal any number of calls listen to at a time. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  shared(controller.signal);
  return controller;
}

/** The signal, for any number of listeners at a time; Node.js takes more than ten for a leak, and says so. */
export function shared(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}
