import { createServer, type Server, type Socket } from 'node:net';
import { formatAddress } from './address.ts';
import { bind } from './bind.ts';
import { FRAME_PREFACE } from './frame-format.ts';
import { FrameSession } from './frame-session.ts';
import type { GrpcSide } from './grpc-server.ts';
import { createHttpServer, type HttpRoutes } from './http.ts';
import type { Listener } from './network.ts';
import type { Serving } from './serving.ts';

/** HTTP/2's connection preface starts like this; no HTTP/1.1 method does. */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0', 'latin1');
const HTTP1_METHODS = ['GET ', 'HEAD ', 'POST ', 'PUT ', 'DELETE ', 'OPTIONS ', 'PATCH '];
/** The longest of all prefaces: with these many bytes the protocol is known or unknown for good. */
const GREETING_BYTES = 14;

type Protocol = 'frames' | 'grpc' | 'http';

/** One listening port with three protocols on it, told apart by the first bytes of each connection. */
export class Port implements Listener {
  readonly address: string;
  readonly #server: Server;
  readonly #serving: Serving;
  /** Made for the first gRPC connection: its packages take longer to load than all the rest of a daemon. */
  #grpc: Promise<GrpcSide> | undefined;
  readonly #http: ReturnType<typeof createHttpServer>;
  readonly #sockets = new Set<Socket>();
  readonly #adopted = new WeakSet<Socket>();
  readonly #sessions = new Set<FrameSession>();
  #closing: Promise<void> | undefined;

  static async open(address: string, serving: Serving, http: HttpRoutes | undefined): Promise<Port> {
    const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: false });
    return new Port(await bind(server, address), server, serving, http);
  }

  private constructor(address: string, server: Server, serving: Serving, http: HttpRoutes | undefined) {
    this.address = address;
    this.#server = server;
    this.#serving = serving;
    this.#http = createHttpServer(serving.log, http);
    server.on('error', (error) => serving.log.error({ address, error }, 'no more connections are taken'));
    server.on('connection', (socket) => this.#greet(socket));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const quiet = this.#serving.quiet();
    for (const session of this.#sessions) session.endOpenStreams();
    const grpc = await this.#grpc;
    const grpcDrained = grpc?.drain();
    await quiet;
    // Last answers leave before the end of file does; a client that does not take them is cut off.
    for (const session of this.#sessions) session.end();
    this.#http.closeAllConnections();
    const { env, limits } = this.#serving;
    for (const socket of this.#sockets) {
      // Sockets of gRPC are closed by their sessions, when the last answer has left.
      if (this.#adopted.has(socket)) continue;
      if (socket.writableLength > 0) socket.destroySoon();
      else socket.destroy();
    }
    const timer = env.setTimer(limits.closeGraceMs, () => {
      for (const socket of this.#sockets) socket.destroy();
      grpc?.destroy();
    });
    await Promise.all([closed, grpcDrained]);
    timer.cancel();
    grpc?.destroy();
  }

  #greet(socket: Socket): void {
    const peer = formatAddress({ host: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 });
    const { env, deadlines, limits, log } = this.#serving;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // What it means is told by 'close', which follows.
    socket.on('error', () => undefined);
    let received: Buffer = Buffer.alloc(0);
    const patience = { expire: () => refuse('said nothing') };
    const deadlineMs = env.monotonicMs() + limits.greetingTimeoutMs;
    deadlines.add(deadlineMs, patience);
    const settle = () => {
      deadlines.remove(deadlineMs, patience);
      socket.off('data', onData);
      socket.off('close', settle);
    };
    const refuse = (why: string) => {
      settle();
      log.warn({ peer, error: why }, 'a connection is closed');
      socket.destroy();
    };
    const onData = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const protocol = protocolOf(received);
      if (protocol === 'undecided') return;
      if (protocol === 'unknown') {
        refuse('neither frames nor HTTP');
        return;
      }
      settle();
      this.#hand(protocol, socket, received, peer);
    };
    socket.on('data', onData);
    socket.on('close', settle);
  }

  #hand(protocol: Protocol, socket: Socket, received: Buffer, peer: string): void {
    if (protocol === 'frames') {
      const session = new FrameSession(socket, received, peer, this.#serving);
      this.#sessions.add(session);
      socket.on('close', () => this.#sessions.delete(session));
      return;
    }
    // Their parsers read the socket themselves: what we took for a look goes back first, in one piece.
    socket.pause();
    socket.unshift(received);
    if (protocol === 'grpc') {
      this.#handToGrpc(socket, peer);
      return;
    }
    this.#http.emit('connection', socket);
    socket.resume();
  }

  #handToGrpc(socket: Socket, peer: string): void {
    this.#adopted.add(socket);
    this.#grpc ??= import('./grpc-server.ts').then((module) => new module.GrpcSide(this.#serving));
    this.#grpc.then(
      (grpc) => grpc.adopt(socket),
      (error: unknown) => {
        this.#serving.log.error({ peer, error }, 'gRPC cannot be served');
        socket.destroy();
      },
    );
  }
}

export function protocolOf(received: Buffer): Protocol | 'undecided' | 'unknown' {
  if (beginsLike(received, FRAME_PREFACE)) {
    return received.length >= FRAME_PREFACE.length ? 'frames' : 'undecided';
  }
  if (beginsLike(received, HTTP2_PREFACE)) {
    return received.length >= HTTP2_PREFACE.length ? 'grpc' : 'undecided';
  }
  const start = received.toString('latin1', 0, GREETING_BYTES);
  if (HTTP1_METHODS.some((method) => start.startsWith(method))) return 'http';
  return HTTP1_METHODS.some((method) => method.startsWith(start)) ? 'undecided' : 'unknown';
}

/** As far as both go. */
function beginsLike(received: Buffer, preface: Buffer): boolean {
  const length = Math.min(received.length, preface.length);
  return received.compare(preface, 0, length, 0, length) === 0;
}
