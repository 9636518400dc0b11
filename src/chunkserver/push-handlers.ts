import { must } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { checksumsMatch, checksumsOf } from '../base/crc.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { pushPieces } from '../base/pieces.ts';
import type { Reservation } from '../core/push-buffer.ts';
import {
  ChunkserverDefinition,
  type PushHeader,
  type PushRequest,
  type PushResponse,
  type Replica,
} from '../rpc/messages.ts';
import type { ClientStream, ServerContext } from '../rpc/network.ts';
import { readVisible } from './read-handlers.ts';
import type { ChunkserverHandlers, ServerParts } from './server-parts.ts';

export function pushHandlers(parts: ServerParts): Pick<ChunkserverHandlers, 'push' | 'pushRange'> {
  return {
    /** Takes, verifies and passes on piece by piece (§3.2). A refused push has changed nothing, here or further on. */
    push: async (requests, context) => {
      let intake: Intake | undefined;
      try {
        for await (const { message, payload } of requests) {
          intake ??= await Intake.begin(parts, message.header, context);
          await intake.take(message.checksums, payload);
        }
        if (intake === undefined) throw new GfsError('INVALID_ARGUMENT', 'a push without a piece');
        await intake.finish();
      } catch (error) {
        intake?.abandon(error);
        throw error;
      }
      return { message: {} };
    },

    /** As a read here whose reader pushes what he got. */
    pushRange: async ({ message: { chunk, version, chunkOffset, header } }, context) => {
      const checked = checkedHeader(parts, header);
      const { length } = checked;
      const range = { chunk, version, chunkOffset, length };
      const { payload } = await readVisible(parts, range, context.requestId);
      if (lengthOf(payload) < length) {
        const end = chunkOffset + lengthOf(payload);
        throw new GfsError('INVALID_ARGUMENT', `what may be seen of chunk ${hex(chunk)} ends at ${end}`);
      }
      return { message: { checksums: await pushAlong(parts, checked, payload, context) } };
    },
  };
}

/** Brings these bytes to the servers of the chain, of which this one may be the first. Resolves to their checksums. */
async function pushAlong(
  parts: ServerParts,
  header: PushHeader,
  bytes: Bytes,
  context: ServerContext,
): Promise<number[]> {
  const [first, ...chain] = header.chain;
  if (first === undefined) throw new GfsError('INVALID_ARGUMENT', 'a range is pushed to nobody');
  const isSelf = first.server === parts.self();
  const receiver = isSelf
    ? await Intake.begin(parts, { ...header, chain }, context)
    : new NextInChain(parts, header, context);
  try {
    const all: number[] = [];
    for (const { bytes: piece, checksums } of pushPieces(bytes, header.chunkOffset)) {
      for (const checksum of checksums) all.push(checksum);
      await receiver.take(checksums, piece);
    }
    await receiver.finish();
    return all;
  } catch (error) {
    receiver.abandon(error);
    throw error;
  }
}

/** INVALID_ARGUMENT for what does not announce a push that this server takes. */
function checkedHeader(parts: ServerParts, header: PushHeader | undefined): PushHeader {
  if (header?.pushId === undefined) throw new GfsError('INVALID_ARGUMENT', 'a push begins with its header');
  const { length } = header;
  const lengthMax = Math.min(parts.mutationBytesMax(), parts.pushes.limitBytes);
  if (length === 0 || length > lengthMax) {
    throw new GfsError('INVALID_ARGUMENT', `a push of ${length} bytes; at most ${lengthMax}`);
  }
  return header;
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
    const checked = checkedHeader(parts, header);
    const { chunk, version, length } = checked;
    // A chunk that is not here begins with its first mutation.
    const held = parts.chunks.peek(chunk) ?? (await parts.chunks.hold(chunk));
    held?.checkVersion(version);
    const hasRoom = parts.checkRoom(length);
    if (hasRoom !== undefined) await hasRoom;
    const room = parts.pushes.reserve(length);
    if (room === undefined) {
      throw new GfsError(
        'NOT_READY',
        `no room for ${length} pushed bytes now: ${parts.pushes.usedBytes} are held`,
      );
    }
    try {
      const next = checked.chain.length === 0 ? undefined : new NextInChain(parts, checked, context);
      return new Intake(parts, checked, room, next);
    } catch (error) {
      room.release();
      throw error;
    }
  }

  async take(checksums: number[], payload: Bytes): Promise<void> {
    const { chunk, chunkOffset, length } = this.#header;
    const pieceOffset = chunkOffset + this.#receivedBytes;
    const pieceBytes = lengthOf(payload);
    if (this.#receivedBytes + pieceBytes > length) {
      throw new GfsError('INVALID_ARGUMENT', `more than the ${length} bytes that were announced`);
    }
    if (!checksumsMatch(payload, pieceOffset, checksums)) {
      throw new GfsError(
        'CHECKSUM_MISMATCH',
        `pushed data for chunk ${hex(chunk)} at ${pieceOffset} got damaged`,
      );
    }
    // A piece that begins inside a block: its checksums do not continue those of the piece before it.
    if (this.#receivedBytes > 0 && pieceOffset % CHECKSUM_BLOCK_BYTES !== 0) this.#cutAtBlocks = false;
    for (const checksum of checksums) this.#checksums.push(checksum);
    for (const buffer of payload) this.#buffers.push(buffer);
    this.#receivedBytes += pieceBytes;
    await this.#next?.take(checksums, payload);
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
    this.#next?.abandon(reason);
  }
}

/** The rest of the chain, as a stream to its first server. */
class NextInChain {
  readonly #header: PushHeader;
  readonly #stream: ClientStream<PushRequest, PushResponse>;
  readonly #server: Replica;
  readonly #answered: Promise<void>;
  #begun = false;
  #failure: unknown;

  constructor(parts: ServerParts, header: PushHeader, context: ServerContext) {
    const [first, ...chain] = header.chain;
    this.#server = must(first, 'there is a server in the chain');
    this.#header = { ...header, chain };
    const { requestId, deadlineMs, signal } = context;
    const { push } = ChunkserverDefinition.methods;
    this.#stream = parts.peers.at(this.#server.address).stream(push, { requestId, deadlineMs, signal });
    this.#answered = this.#stream.finished().then(
      () => undefined,
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }

  async take(checksums: number[], payload: Bytes): Promise<void> {
    if (this.#failure !== undefined) throw this.#told(this.#failure);
    const header = this.#begun ? undefined : this.#header;
    this.#begun = true;
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

  abandon(reason: unknown): void {
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
