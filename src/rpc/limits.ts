import { MiB, SECOND_MS } from '../base/units.ts';

/** What bounds memory and waiting of a `NodeNetwork`; the defaults suit daemons and mounts. */
export interface Limits {
  /** Until a connection is there, greeting included. A sooner deadline of a call ends only that call. */
  readonly dialTimeoutMs: number;
  /** A caller with calls in flight that hears nothing this long asks whether the other is alive ... */
  readonly pingAfterMs: number;
  /** ... and after this much silence gives the connection up. */
  readonly silenceMsMax: number;
  /** A gRPC caller that says nothing for so long is asked whether he is alive ... */
  readonly callerPingAfterMs: number;
  /** ... and given up, with all his calls, when he has not answered for so long. */
  readonly callerSilenceMsMax: number;
  /**
   * Calls with one request that one client has in flight on a connection; further ones wait in line. With the
   * size of their answers it bounds what a client that takes none of them costs the server.
   */
  readonly callsInFlightMax: number;
  /** Streams open on one connection. */
  readonly streamsMax: number;
  /** Calls in line for one connection; beyond it they fail with UNAVAILABLE. */
  readonly callsWaitingMax: number;
  /** Requests of one connection whose handlers run. Beyond it the server stops reading that connection. */
  readonly requestBytesMax: number;
  /** Answers of one connection that the client has not taken. Beyond it the server stops reading that connection. */
  readonly answerBytesMax: number;
  /** From accepting to knowing which protocol it is. */
  readonly greetingTimeoutMs: number;
  /** How long `close` lets calls in flight finish. */
  readonly closeGraceMs: number;
}

export const LIMITS_DEFAULT: Limits = {
  dialTimeoutMs: 3 * SECOND_MS,
  pingAfterMs: 5 * SECOND_MS,
  silenceMsMax: 15 * SECOND_MS,
  callerPingAfterMs: 30 * SECOND_MS,
  callerSilenceMsMax: 30 * SECOND_MS,
  callsInFlightMax: 128,
  streamsMax: 256,
  callsWaitingMax: 16_384,
  requestBytesMax: 64 * MiB,
  answerBytesMax: 8 * MiB,
  greetingTimeoutMs: 10 * SECOND_MS,
  closeGraceMs: 1 * SECOND_MS,
};
