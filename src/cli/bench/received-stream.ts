import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { Done } from './arithmetic.ts';

/** A plain stream of bytes from another process to this one: what no server can surpass. */
export class ReceivedStream {
  readonly #source: ChildProcess;
  readonly #socket: Socket;
  readonly #count: { bytes: number };

  static async open(host: string): Promise<ReceivedStream> {
    const script = join(import.meta.dirname, 'stream-source.js');
    const source = fork(script, [host], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    try {
      const [address] = (await Promise.race([once(source, 'message'), ended(source)])) as [AddressInfo];
      const count = { bytes: 0 };
      const onread = {
        buffer: Buffer.alloc(MiB),
        callback: (bytes: number) => {
          count.bytes += bytes;
          return true;
        },
      };
      const socket = connect({ host, port: address.port, onread });
      await once(socket, 'connect');
      socket.pause();
      return new ReceivedStream(source, socket, count);
    } catch (error) {
      source.kill('SIGKILL');
      throw error;
    }
  }

  private constructor(source: ChildProcess, socket: Socket, count: { bytes: number }) {
    this.#source = source;
    this.#socket = socket;
    this.#count = count;
  }

  /** An operation is a megabyte here. */
  async receive(env: Env, timeMs: number, signal: AbortSignal): Promise<Done> {
    try {
      const startedAtMs = env.monotonicMs();
      const { bytes } = this.#count;
      this.#socket.resume();
      await env.sleep(timeMs, { signal });
      const operations = (this.#count.bytes - bytes) / 1e6;
      return { operations, ms: env.monotonicMs() - startedAtMs, latenciesMs: new Float64Array(0) };
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#socket.destroy();
    this.#source.kill('SIGKILL');
  }
}

async function ended(source: ChildProcess): Promise<never> {
  const [code, signal] = await once(source, 'exit');
  throw new GfsError('UNAVAILABLE', `the sender of the plain stream ended: ${code ?? signal}`);
}
