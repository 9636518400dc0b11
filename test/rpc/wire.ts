import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface CuttableWire {
  /** All connections break. */
  cut(): void;
  /** Nobody can be reached through it any more. */
  close(): Promise<void>;
  reopen(): Promise<void>;
}

/** A wire that a test can cut: every connection to it goes on to `target`. */
export class Wire implements CuttableWire {
  readonly #target: { host: string; port: number };
  readonly #sockets = new Set<Socket>();
  /** Those towards the target: what they receive are answers. */
  readonly #outgoing = new Set<Socket>();
  #server: Server;
  #port = 0;

  constructor(target: string) {
    const [host = '', port = ''] = target.split(':');
    this.#target = { host, port: Number(port) };
    this.#server = this.#create();
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async open(): Promise<this> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
    return this;
  }

  /** All connections break. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing passes in either direction any more, though the connections stand. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Requests pass; no answer does. */
  freezeAnswers(): void {
    for (const socket of this.#outgoing) {
      socket.unpipe();
      socket.pause();
    }
  }

  async close(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async reopen(): Promise<void> {
    this.#server = this.#create();
    await this.open();
  }

  #create(): Server {
    return createServer({ noDelay: true }, (incoming) => {
      const outgoing = connect({ ...this.#target, noDelay: true });
      this.#outgoing.add(outgoing);
      for (const socket of [incoming, outgoing]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          this.#outgoing.delete(socket);
          incoming.destroy();
          outgoing.destroy();
        });
      }
      incoming.pipe(outgoing).pipe(incoming);
    });
  }
}
