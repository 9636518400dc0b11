// What bare sockets do here, which no server can surpass.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';

/** Sends so many bytes and waits for an answer, one after the other, `count` times on one connection. */
export function roundTrips(address: string, count: number, bytes = 60): Promise<void> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port), noDelay: true });
  const ping = Buffer.alloc(bytes);
  let done = 0;
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('connect', () => socket.write(ping));
    socket.on('data', () => {
      done += 1;
      if (done < count) {
        socket.write(ping);
        return;
      }
      socket.destroy();
      resolve();
    });
  });
}

/**
 * Records per second from this process through one other to two more and back, with so many on their way, and nothing done with
 * them: the hops of a record from a mount to its primary and the other two replicas.
 */
export class BareHops {
  readonly #children: ChildProcess[] = [];
  #first = '';

  async start(): Promise<void> {
    const ends = [await this.#relay([]), await this.#relay([])];
    this.#first = await this.#relay(ends);
    await this.rate({ inFlight: 1, records: 2_000, bytes: 100 });
  }

  async rate({
    inFlight,
    records,
    bytes,
  }: {
    inFlight: number;
    records: number;
    bytes: number;
  }): Promise<number> {
    const began = process.hrtime.bigint();
    const lanes = Array.from({ length: inFlight }, () => roundTrips(this.#first, records / inFlight, bytes));
    await Promise.all(lanes);
    return records / (Number(process.hrtime.bigint() - began) / 1e9);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.stdin?.end();
    await Promise.all(this.#children.map((child) => child.exitCode ?? once(child, 'exit')));
  }

  async #relay(others: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'relay.js'), ...others], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return line.toString().trim();
  }
}
