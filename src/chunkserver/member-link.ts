import type { Bytes } from '../base/bytes.ts';
import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { SECOND_MS } from '../base/units.ts';
import type { BlockSums, Member, VersionRecord } from '../core/replica-types.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { Connection, Method } from '../rpc/network.ts';
import { callPatiently, type Peers } from './peers.ts';
import { sumsOf } from './wire.ts';

/** What a member has to record the version, which it is ordered at the same time as its primary. */
const RECORD_MS_MAX = 4 * SECOND_MS;
const RETRY_DELAYS = { delayMsMin: 20, delayMsMax: 500 };

/** What a primary compares its replica with. */
export type MemberSums = BlockSums & { readonly whole: boolean };

export interface MemberLinkParts {
  readonly env: Env;
  readonly peers: Peers;
  readonly record: VersionRecord;
  readonly signal: AbortSignal;
  /** It fails, and not just because it has not recorded the version yet. */
  readonly onFailing: (server: number, error: unknown) => void;
}

/** A member as the new primary of its version reaches it, until the version is over. */
export class MemberLink {
  readonly server: number;
  readonly #parts: MemberLinkParts;
  readonly #connection: Connection;

  constructor(parts: MemberLinkParts, member: Member) {
    this.server = member.server;
    this.#parts = parts;
    this.#connection = parts.peers.at(member.address);
  }

  /**
   * Tries again for as long as the version lasts: a member may come back, and it is not the primary's to leave it out. What
   * `isFinal` is thrown.
   */
  async persist<T>(work: () => Promise<T>, isFinal: (error: unknown) => boolean = never): Promise<T> {
    const { env, signal, onFailing } = this.#parts;
    const recordedByMs = env.monotonicMs() + RECORD_MS_MAX;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (isFinal(error)) throw error;
        if (env.monotonicMs() > recordedByMs || !this.#isBeginning(error)) onFailing(this.server, error);
        signal.throwIfAborted();
      }
      await env.sleep(backoffMs(env, attempt, RETRY_DELAYS), { signal });
    }
  }

  /** Undefined: it holds no replica. */
  async sums(): Promise<MemberSums | undefined> {
    const { chunk, version } = this.#parts.record;
    try {
      return sumsOf(await this.call(ChunkserverDefinition.methods.blockChecksums, { chunk, version }));
    } catch (error) {
      if (codeOf(error) === 'NO_SUCH_CHUNK') return undefined;
      throw error;
    }
  }

  async call<Req, Res>(method: Method<Req, Res>, request: Req, payload?: Bytes): Promise<Res> {
    return (await this.#call(method, request, payload)).message;
  }

  /** As `call`, of a method that answers with bytes. */
  async fetch<Req, Res>(method: Method<Req, Res>, request: Req): Promise<Bytes> {
    return (await this.#call(method, request)).payload;
  }

  #call<Req, Res>(method: Method<Req, Res>, request: Req, payload?: Bytes) {
    const { env, signal } = this.#parts;
    return callPatiently(env, this.#connection, method, request, { signal, payload });
  }

  /** It has not recorded the version, or not begun its copy, yet. */
  #isBeginning(error: unknown): boolean {
    switch (codeOf(error)) {
      case 'NOT_READY':
        return true;
      case 'VERSION_MISMATCH':
        return error instanceof GfsError && Number(error.fields.version ?? 0) < this.#parts.record.version;
      default:
        return false;
    }
  }
}

const never = () => false;
