import { type Bytes, lengthOf, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { checksumsMatch, checksumsOf } from '../base/crc.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Reservation } from '../core/push-buffer.ts';
import {
  ChunkserverDefinition,
  type PushHeader,
  type PushRequest,
  type PushResponse,
  type Replica,
} from '../rpc/messages.ts';
import type { ClientStream, Incoming, ServerContext } from '../rpc/network.ts';
import type { ChunkserverHandlers, ServerParts } from './server-parts.ts';

export function pushHandlers(parts: ServerParts): Pick<ChunkserverHandlers, 'push'> {
  return {
    /** Takes, verifies and passes on piece by piece (§3.2). A refused push has changed nothing, here or further on. */
    push: async (requests, context) => {
      let intake: Intake | undefined;
      try {
        for await (const piece of requests) {
          intake ??= await Intake.begin(parts, piece.message.header, context);
          await intake.take(piece);
        }
        if (intake === undefined) throw new GfsError('INVALID_ARGUMENT', 'a push without a piece');
        await intake.finish();
      } catch (error) {
        intake?.abandon(error);
        throw error;
      }
      return { message: {} };
    },
  };
}

/** One push on its way through this server. */
class Intake {
  readonly #parts: ServerParts;
  readonly #header: PushHeader;
  readonly #room: Reservation;
  readonly #next: NextInChain | undefined;
  /** As they came in: never joined, never copied. */
  readonly #buffers: Uint8Array[] = [];
  #checksums: number[] = [];
  #cutAtBlocks = true;
  #receivedBytes = 0;

  private constructor(
    parts: ServerParts,
    header: PushHeader,
    room: Reservation,
    next: NextInChain | undefined,
  ) {
    this.#parts = parts;
    this.#header = header;
    this.#room = room;
    this.#next = next;
  }

  static async begin(
    parts: ServerParts,
    header: PushHeader | undefined,
    context: ServerContext,
  ): Promise<Intake> {
    if (header?.pushId === undefined) throw new GfsError('INVALID_ARGUMENT', 'a push begins with its header');
    const { chunk, version, length } = header;
    const lengthMax = Math.min(parts.mutationBytesMax(), parts.pushes.limitBytes);
    if (length === 0 || length > lengthMax) {
      throw new GfsError('INVALID_ARGUMENT', `a push of ${length} bytes; at most ${lengthMax}`);
    }
    // A chunk that is not here begins with its first mutation.
    const held = parts.chunks.peek(chunk) ?? (await parts.chunks.hold(chunk));
    held?.checkVersion(version);
    const checked = parts.checkRoom(length);
    if (checked !== undefined) await checked;
    const room = parts.pushes.reserve(length);
    if (room === undefined) {
      throw new GfsError(
        'NOT_READY',
        `no room for ${length} pushed bytes now: ${parts.pushes.usedBytes} are held`,
      );
    }
    try {
      return new Intake(parts, header, room, NextInChain.open(parts, header, context));
    } catch (error) {
      room.release();
      throw error;
    }
  }

  async take({ message, payload }: Incoming<PushRequest>): Promise<void> {
    const { chunk, chunkOffset, length } = this.#header;
    const pieceOffset = chunkOffset + this.#receivedBytes;
    const pieceBytes = lengthOf(payload);
    if (this.#receivedBytes + pieceBytes > length) {
      throw new GfsError('INVALID_ARGUMENT', `more than the ${length} bytes that were announced`);
    }
    if (!checksumsMatch(payload, pieceOffset, message.checksums)) {
      throw new GfsError(
        'CHECKSUM_MISMATCH',
        `pushed data for chunk ${hex(chunk)} at ${pieceOffset} got damaged`,
      );
    }
    // A piece that begins inside a block: its checksums do not continue those of the piece before it.
    if (this.#receivedBytes > 0 && pieceOffset % CHECKSUM_BLOCK_BYTES !== 0) this.#cutAtBlocks = false;
    for (const checksum of message.checksums) this.#checksums.push(checksum);
    for (const buffer of payload) this.#buffers.push(buffer);
    this.#receivedBytes += pieceBytes;
    await this.#next?.send(message.checksums, payload);
  }

  /** Answers when all servers after this one have it. */
  async finish(): Promise<void> {
    const { chunk, chunkOffset, length, pushId } = this.#header;
    if (this.#receivedBytes !== length) {
      throw new GfsError('INVALID_ARGUMENT', `${this.#receivedBytes} of ${length} announced bytes came`);
    }
    await this.#next?.finish();
    if (!this.#cutAtBlocks) this.#checksums = checksumsOf(this.#buffers, chunkOffset);
    const data = { chunk, chunkOffset, bytes: this.#buffers, length, checksums: this.#checksums };
    this.#room.keep(pushId?.writer ?? 0, pushId?.number ?? 0, data, this.#parts.env.monotonicMs());
  }

  abandon(reason: unknown): void {
    this.#room.release();
    this.#next?.cancel(reason);
  }
}

/** The rest of the chain, as a stream to its first server. */
class NextInChain {
  readonly #stream: ClientStream<PushRequest, PushResponse>;
  readonly #server: Replica;
  readonly #answered: Promise<void>;
  #header: PushHeader | undefined;
  #failure: unknown;

  private constructor(stream: ClientStream<PushRequest, PushResponse>, server: Replica, header: PushHeader) {
    this.#stream = stream;
    this.#server = server;
    this.#header = header;
    this.#answered = stream.finished().then(
      () => undefined,
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }

  static open(parts: ServerParts, header: PushHeader, context: ServerContext): NextInChain | undefined {
    const [next, ...chain] = header.chain;
    if (next === undefined) return undefined;
    const { requestId, deadlineMs, signal } = context;
    const options = { requestId, deadlineMs, signal };
    const stream = parts.peers.at(next.address).stream(ChunkserverDefinition.methods.push, options);
    return new NextInChain(stream, next, { ...header, chain });
  }

  async send(checksums: number[], payload: Bytes): Promise<void> {
    if (this.#failure !== undefined) throw this.#told(this.#failure);
    const header = this.#header;
    this.#header = undefined;
    try {
      await this.#stream.send({ header, checksums, payload: NO_PAYLOAD }, payload);
    } catch (error) {
      // The answer says why it takes no more.
      await this.#answered;
      throw this.#told(this.#failure ?? error);
    }
  }

  async finish(): Promise<void> {
    this.#stream.end();
    await this.#answered;
    if (this.#failure !== undefined) throw this.#told(this.#failure);
  }

  cancel(reason: unknown): void {
    this.#stream.cancel(reason);
  }

  /** The client has to know which server of the chain it was. */
  #told(error: unknown): GfsError {
    if (error instanceof GfsError && error.fields.server !== undefined) return error;
    const { server, address } = this.#server;
    const fields = { ...(error instanceof GfsError ? error.fields : {}), server: String(server), address };
    return new GfsError(codeOf(error), `server ${server}: ${messageOf(error)}`, { cause: error, fields });
  }
}
