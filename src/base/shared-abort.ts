import { setMaxListeners } from 'node:events';

/** A controller whose signal any number of calls listen to at a time; Node.js takes more than ten for a leak, and says so. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
