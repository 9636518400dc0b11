import { connect, type Socket } from 'node:net';
import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { parseAddress } from './address.ts';
import { silenceWords, unreachableError } from './failure.ts';
import { FRAME_PREFACE } from './frame-format.ts';

export interface Dialled {
  /** Paused; nothing of it was read past the greeting but `rest`. */
  readonly socket: Socket;
  readonly rest: Buffer;
}

/** Connects and greets. The name is resolved each time. Rejects with UNAVAILABLE or WRONG_SERVICE. */
export function dialFrames(
  env: Env,
  address: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...parseAddress(address), noDelay: true, keepAlive: true });
    const timer = env.setTimer(timeoutMs, () => socket.destroy(new Error(silenceWords(timeoutMs))));
    let received: Buffer = Buffer.alloc(0);
    const onAbort = () => socket.destroy(new Error('closed'));
    const settle = () => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      socket.pause();
    };
    const fail = (error: GfsError) => {
      settle();
      // A late error of a socket that nobody uses any more must not end the process.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    signal.addEventListener('abort', onAbort);
    socket.on('error', (error) => fail(unreachableError(address, error)));
    socket.on('close', () => fail(unreachableError(address, new Error('closed by the other side'))));
    socket.on('connect', () => socket.write(FRAME_PREFACE));
    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const compared = Math.min(received.length, FRAME_PREFACE.length);
      if (received.compare(FRAME_PREFACE, 0, compared, 0, compared) !== 0) {
        fail(new GfsError('WRONG_SERVICE', `what answers at ${address} is not a gfs daemon`));
      } else if (compared === FRAME_PREFACE.length) {
        settle();
        resolve({ socket, rest: received.subarray(compared) });
      }
    });
  });
}
