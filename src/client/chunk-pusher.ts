import { type Bytes, lengthOf, NO_PAYLOAD } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { pushPieces } from '../base/pieces.ts';
import { SECOND_MS } from '../base/units.ts';
import {
  ChunkserverDefinition,
  type ExtentLocation,
  type PushHeader,
  type PushId,
  type PushRequest,
  type PushResponse,
  type Replica,
} from '../rpc/messages.ts';
import type { CallOptions, ClientStream } from '../rpc/network.ts';
import { watched } from '../rpc/watched-call.ts';
import { nearestFirst } from './nearness.ts';
import type { Patience } from './patience.ts';
import type { ServerPool } from './server-pool.ts';

/** One attempt at servers that answer questions meanwhile: they may be waiting for a disk, or for a new version. */
export const ATTEMPT_MS_MAX = 15 * SECOND_MS;

const { push, pushRange } = ChunkserverDefinition.methods;

export interface ChunkPusherOptions {
  readonly env: Env;
  readonly pool: ServerPool;
  readonly host: string;
}

/** What members keep until it is mutated with. */
interface Pushed {
  /** Checksums are cut as if it went there. */
  readonly chunkOffset: number;
  readonly bytes: Bytes;
}

/** What members hold now, under this name. */
export interface PushedRange {
  readonly pushId: PushId;
  readonly checksums: number[];
}

/** A part of a chunk, at one of its members. */
export interface RangeAt {
  readonly chunk: number;
  readonly version: number;
  readonly chunkOffset: number;
  readonly member: Replica;
}

/** Brings the data of large mutations to a chunk's members, ahead of the mutation (§3.2). */
export class ChunkPusher {
  readonly #options: ChunkPusherOptions;
  readonly #newId: () => PushId;

  constructor(options: ChunkPusherOptions, newId: () => PushId) {
    this.#options = options;
    this.#newId = newId;
  }

  /**
   * Pushes the data to the members, past those that are silent: their primary sends it to them itself (P11), and when
   * they do not take it from there either, has them evicted (P12). A primary that is silent fails the attempt.
   */
  async push(location: ExtentLocation, data: Pushed, patience: Patience): Promise<PushedRange> {
    for (;;) {
      // Each push is a new one: of a broken one, some servers may still hold a part.
      const pushId = this.#newId();
      const chain = this.#chainOf(location);
      const suspectCount = this.#suspectCount(chain);
      try {
        return { pushId, checksums: await this.#push(location, chain, pushId, data, patience) };
      } catch (error) {
        // A probe has found those that are silent, if there are any; otherwise the error tells.
        if (this.#suspectCount(chain) === suspectCount) this.#suspectWhoFailed(error, chain);
        const next = this.#chainOf(location);
        if (next.length === chain.length || this.#options.env.monotonicMs() >= patience.deadlineMs)
          throw error;
      }
    }
  }

  /** As `push`, of what another chunk's member has, which sends it along the chain by itself. One attempt. */
  async pushRange(
    location: ExtentLocation,
    { member, ...range }: RangeAt,
    { chunkOffset, length }: { chunkOffset: number; length: number },
    patience: Patience,
  ): Promise<PushedRange> {
    const { pool, env } = this.#options;
    const { chunk, version } = location;
    const pushId = this.#newId();
    // Where the member is one of the chain, it is the first, and takes the data from itself.
    const others = this.#chainOf(location);
    const own = others.filter(({ server }) => server === member.server);
    const chain = [...own, ...others.filter(({ server }) => server !== member.server)];
    const header = { pushId, chunk, version, chunkOffset, length, chain };
    const probe = this.#probeOf([member, ...chain]);
    const limits = patience.attempt(ATTEMPT_MS_MAX);
    const reply = await watched(env, { signal: patience.signal, probe }, (signal) =>
      pool.call(member.address, pushRange, { ...range, header }, { ...limits, signal }),
    );
    return { pushId, checksums: reply.message.checksums };
  }

  /** All of them answer, or one is suspect from then on. */
  #probeOf(servers: readonly Replica[]): (options: CallOptions) => Promise<unknown> {
    const addresses = new Set(servers.map(({ address }) => address));
    return (options) =>
      Promise.all([...addresses].map((address) => this.#options.pool.probe(address, options)));
  }

  /** Members to push to, nearest first: without suspects, but never without the primary. */
  #chainOf({ chunk, members, primary }: ExtentLocation): Replica[] {
    const { pool, host } = this.#options;
    const isSuspect = ({ address }: Replica) => pool.isSuspect(address);
    return nearestFirst(members, host, chunk, isSuspect).filter(
      (member) => member.server === primary || !isSuspect(member),
    );
  }

  #suspectCount(chain: readonly Replica[]): number {
    return chain.filter(({ address }) => this.#options.pool.isSuspect(address)).length;
  }

  /** The server that an error of a push names; without a name it is the first one's. */
  #suspectWhoFailed(error: unknown, chain: readonly Replica[]): void {
    const code = codeOf(error);
    if (code !== 'UNAVAILABLE' && code !== 'DEADLINE_EXCEEDED') return;
    const named = serverNamedBy(error);
    const failed = named === undefined ? chain[0] : chain.find(({ server }) => server === named);
    if (failed !== undefined) this.#options.pool.suspect(failed.address);
  }

  /** Sends the data along the chain, and returns its checksums (§3.2). */
  async #push(
    { chunk, version }: ExtentLocation,
    [first, ...chain]: readonly Replica[],
    pushId: PushId,
    { chunkOffset, bytes }: Pushed,
    patience: Patience,
  ): Promise<number[]> {
    const { pool, env } = this.#options;
    if (first === undefined) throw new GfsError('NOT_READY', `chunk ${hex(chunk)} has no members`);
    const probe = this.#probeOf([first, ...chain]);
    const all: number[] = [];
    const limits = patience.attempt(ATTEMPT_MS_MAX);
    const send = async (stream: ClientStream<PushRequest, PushResponse>) => {
      // The answer may come at any time, when a server refuses; nobody may be sending by then.
      const finished = stream.finished();
      finished.catch(() => undefined);
      try {
        const length = lengthOf(bytes);
        let header: PushHeader | undefined = { pushId, chunk, version, chunkOffset, length, chain };
        for (const { bytes: piece, checksums } of pushPieces(bytes, chunkOffset)) {
          for (const sum of checksums) all.push(sum);
          await stream.send({ header, checksums, payload: NO_PAYLOAD }, piece);
          header = undefined;
        }
        stream.end();
      } catch (error) {
        // What the server said says more than that sending failed.
        await finished;
        throw error;
      }
      await finished;
    };
    await watched(env, { signal: patience.signal, probe }, (signal) =>
      pool.streaming(first.address, push, { ...limits, signal }, send),
    );
    return all;
  }
}

/** Which of a chunk's servers an error is about. */
export function serverNamedBy(error: unknown): number | undefined {
  const named = error instanceof GfsError ? Number(error.fields.server ?? 0) : 0;
  return named > 0 ? named : undefined;
}
