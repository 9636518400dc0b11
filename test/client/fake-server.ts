// A chunkserver in memory. Its primary applies a mutation to all members at once, by hand instead of by Apply.
import { type Bytes, joined } from '../../src/base/bytes.ts';
import { checksumsMatch, checksumsOf, crc32OfBytes } from '../../src/base/crc.ts';
import { GfsError } from '../../src/base/errors.ts';
import {
  type ChunkserverDefinition,
  type MutateRequest,
  type MutateResponse,
  MutationKind,
  type PushHeader,
  type ReadRequest,
  type ReadResponse,
  type Replica,
} from '../../src/rpc/messages.ts';
import type { Handlers, Incoming, Outgoing } from '../../src/rpc/network.ts';
import type { FakeCluster } from './fake-cluster.ts';

const EMPTY = Buffer.alloc(0);

export interface FakeReplica {
  version: number;
  data: Buffer;
  length: number;
  sealed: boolean;
  isPrimary: boolean;
  /** Offsets of appends by writer and number. */
  readonly appended: Map<string, number>;
  /** A bit on the disk was flipped: reads answer other bytes than their checksums. */
  corrupt: boolean;
}

export class FakeServer {
  readonly id: number;
  address = '';
  readonly replicas = new Map<number, FakeReplica>();
  readonly #cluster: FakeCluster;
  readonly #pushed = new Map<string, Bytes>();
  /** Overwrites that are being applied, to catch two that overlap. */
  readonly #writing = new Map<number, { start: number; end: number }[]>();

  constructor(id: number, cluster: FakeCluster) {
    this.id = id;
    this.#cluster = cluster;
  }

  get place(): Replica {
    return { server: this.id, address: this.address, rack: '', incarnation: '' };
  }

  replica(chunk: number, version: number): FakeReplica {
    const replica = this.replicas.get(chunk);
    if (replica === undefined) throw new GfsError('NO_SUCH_CHUNK', `${chunk}`);
    if (replica.version !== version)
      throw new GfsError('VERSION_MISMATCH', `${chunk} is at ${replica.version}`);
    return replica;
  }

  handlers(): Partial<Handlers<typeof ChunkserverDefinition>> {
    return {
      read: async ({ message }) => this.#read(message),
      findData: async ({ message: { chunk, version, chunkOffset } }) => {
        const { data, length } = this.replica(chunk, version);
        const dataStart = data.subarray(0, length).findIndex((byte, at) => at >= chunkOffset && byte !== 0);
        const found = dataStart < 0 ? { dataStart: 0, dataEnd: 0 } : { dataStart, dataEnd: length };
        return { message: { ...found, chunkLength: length } };
      },
      push: async (requests) => {
        let header: PushHeader | undefined;
        const pieces: Uint8Array[] = [];
        let position = 0;
        for await (const { message, payload } of requests) {
          header ??= message.header;
          if (header === undefined) throw new GfsError('INVALID_ARGUMENT', 'no header');
          if (!checksumsMatch(payload, header.chunkOffset + position, message.checksums)) {
            throw new GfsError('CHECKSUM_MISMATCH', 'pushed data');
          }
          for (const piece of payload) {
            pieces.push(Buffer.from(piece));
            position += piece.length;
          }
        }
        if (header?.pushId === undefined) throw new GfsError('INVALID_ARGUMENT', 'no push id');
        if (position !== header.length) throw new GfsError('INVALID_ARGUMENT', 'pushed length');
        const names = [this.id, ...header.chain.map(({ server }) => server)];
        await this.#cluster.onCall?.({
          method: 'pushed',
          at: String(this.id),
          request: header,
          payloadBytes: position,
        });
        for (const id of names) {
          const { writer, number } = header.pushId;
          this.#cluster.server(id).#pushed.set(`${writer}.${number}`, pieces);
        }
        return { message: {} };
      },
      mutate: async (incoming) => ({ message: await this.#mutate(incoming) }),
      chunkLength: async ({ message: { chunk, version } }) => {
        const { length, sealed } = this.#asPrimary(chunk, version);
        return { message: { length, sealed } };
      },
      sync: async ({ message: { chunk, version } }) => {
        this.#asPrimary(chunk, version);
        return { message: { serial: 0 } };
      },
    };
  }

  #asPrimary(chunk: number, version: number): FakeReplica {
    const replica = this.replica(chunk, version);
    if (!replica.isPrimary) throw new GfsError('NOT_PRIMARY', `${this.id} of ${chunk}`);
    return replica;
  }

  #read({ chunk, version, chunkOffset, length }: ReadRequest): Outgoing<ReadResponse> {
    const replica = this.replica(chunk, version);
    const payload = [replica.data.subarray(chunkOffset, Math.min(replica.length, chunkOffset + length))];
    const checksums = checksumsOf(payload, chunkOffset);
    if (replica.corrupt && checksums[0] !== undefined) checksums[0] = (checksums[0] ^ 1) >>> 0;
    return { message: { chunkLength: replica.length, checksums, payload: EMPTY }, payload };
  }

  async #mutate({ message, payload }: Incoming<MutateRequest>): Promise<MutateResponse> {
    const { chunk, version, first } = message;
    if (first !== undefined && !this.replicas.has(chunk)) {
      for (const { server } of first.members) {
        this.#cluster.server(server).create(chunk, version, server === first.primary);
      }
    }
    const replica = this.#asPrimary(chunk, version);
    let data = payload;
    if (message.pushId !== undefined) {
      const key = `${message.pushId.writer}.${message.pushId.number}`;
      const pushed = this.#pushed.get(key);
      if (pushed === undefined) throw new GfsError('NO_SUCH_PUSH', key);
      data = pushed;
    }
    const bytes = Buffer.from(joined(data));
    if (bytes.length !== message.length) throw new GfsError('INVALID_ARGUMENT', 'length');
    if (message.kind === MutationKind.MUTATION_KIND_APPEND) return this.#append(replica, message, bytes);
    if (!checksumsMatch([bytes], message.chunkOffset, message.checksums)) {
      throw new GfsError('CHECKSUM_MISMATCH', 'mutation');
    }
    const end = message.chunkOffset + bytes.length;
    if (end > this.#cluster.chunkSizeBytes) throw new GfsError('INVALID_ARGUMENT', 'beyond the chunk');
    if (replica.sealed && end > replica.length) throw new GfsError('SEALED', `${chunk}`);
    const writing = this.#writing.get(chunk) ?? [];
    this.#writing.set(chunk, writing);
    if (writing.some((other) => other.start < end && other.end > message.chunkOffset)) {
      throw new GfsError('INTERNAL', 'two overlapping writes are in flight');
    }
    const mine = { start: message.chunkOffset, end };
    writing.push(mine);
    await this.#cluster.pause();
    writing.splice(writing.indexOf(mine), 1);
    // Raised meanwhile, it is carried over.
    const { version: reached } = replica;
    for (const member of this.#members(chunk, reached)) {
      bytes.copy(member.data, message.chunkOffset);
      member.length = Math.max(member.length, end);
    }
    return {
      chunkOffset: message.chunkOffset,
      chunkLength: replica.length,
      sealed: false,
      version: reached,
      taken,
    };
  }

  #append(replica: FakeReplica, message: MutateRequest, bytes: Buffer): MutateResponse {
    const { version } = message;
    if (message.checksums[0] !== crc32OfBytes([bytes])) throw new GfsError('CHECKSUM_MISMATCH', 'append');
    const key = `${message.writer}.${message.number}`;
    const found = replica.appended.get(key);
    if (found !== undefined)
      return { chunkOffset: found, chunkLength: replica.length, sealed: false, version, taken };
    const chunkOffset = Math.max(replica.length, message.chunkOffset);
    if (replica.sealed || chunkOffset + bytes.length > this.#cluster.chunkSizeBytes) {
      for (const member of this.#members(message.chunk, message.version)) {
        if (!member.sealed) member.length = Math.max(member.length, message.chunkOffset);
        member.sealed = true;
      }
      return { chunkOffset: 0, chunkLength: replica.length, sealed: true, version, taken };
    }
    for (const member of this.#members(message.chunk, message.version)) {
      bytes.copy(member.data, chunkOffset);
      member.length = chunkOffset + bytes.length;
      member.appended.set(key, chunkOffset);
    }
    return { chunkOffset, chunkLength: replica.length, sealed: false, version, taken };
  }

  #members(chunk: number, version: number): FakeReplica[] {
    return this.#cluster.servers.flatMap(({ replicas }) => {
      const replica = replicas.get(chunk);
      return replica?.version === version ? [replica] : [];
    });
  }

  create(chunk: number, version: number, isPrimary: boolean): void {
    const data = Buffer.alloc(this.#cluster.chunkSizeBytes);
    this.replicas.set(chunk, {
      version,
      data,
      length: 0,
      sealed: false,
      isPrimary,
      appended: new Map(),
      corrupt: false,
    });
  }
}

/** No records are numbered here. */
const taken = undefined;
