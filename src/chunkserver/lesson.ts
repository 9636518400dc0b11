import { assert } from '../base/assert.ts';
import type { Bytes } from '../base/bytes.ts';
import { lengthOf, NO_BYTES, NO_PAYLOAD } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES, MUTATION_BYTES_MAX } from '../base/constants.ts';
import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, type ErrorCode, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import {
  differingBlocks,
  digestOf,
  Learner,
  type LearnerBlocks,
  type LearnerStep,
} from '../core/learners.ts';
import type { LostBlock, Member, SerialStream, VersionRecord } from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import { ChunkserverDefinition, type LearnRequest } from '../rpc/messages.ts';
import type { Connection } from '../rpc/network.ts';
import type { ReadInTurn, Replica } from '../storage/replica-store.ts';
import type { MendOutcome } from './block-mender.ts';
import { batchCountOf, type OrderInFlight, pushData } from './order-line.ts';
import { callPatiently, PATIENT_CALL_MS_MAX, type Peers } from './peers.ts';
import { messageOfEntry, messageOfRecord, noSuchChunk, wrongVersion } from './wire.ts';

/** That long it may take to say which version it is at. */
const CONFIRM_MS_MAX = 2 * SECOND_MS;
const ASK_DELAYS = { delayMsMin: 50, delayMsMax: 1 * SECOND_MS };

const { learn, checkVersion } = ChunkserverDefinition.methods;

/** Who is to become a member, as the master is asked (P9). */
export interface Admission {
  readonly chunk: number;
  readonly version: number;
  readonly learner: number;
}

/** Asks the master to admit a learner; resolves to the chunk's version then. */
export type Admit = (admission: Admission) => Promise<number>;

/** What a lesson needs of the role that gives it. */
export interface LessonHost {
  /** The serial of the next order; 0 before the version is active. */
  nextSerial(): number;
  committedSerial(): number;
  /** From now on nothing is committed that the learner has not applied. */
  require(appliedSerial: number): void;
  /** It is not required any more: nothing was asked of the master. */
  release(): void;
  applied(serial: number): void;
  /** Puts a bad block of this replica right, from another member. */
  mend(blockIndex: number): Promise<MendOutcome>;
  /** The learner has to be left out by a higher version. */
  leaveOut(server: number, error: unknown): void;
}

export interface LessonOptions {
  readonly env: Env;
  readonly peers: Peers;
  readonly tasks: TaskGroup;
  readonly admit: Admit;
  readonly withoutRules: Rules;
  readonly replica: Replica;
  readonly record: VersionRecord;
  readonly learner: Member;
  readonly host: LessonHost;
  /** Ends with the role. */
  readonly signal: AbortSignal;
}

type Item =
  | { readonly kind: 'order'; readonly order: OrderInFlight }
  | { readonly kind: 'step'; readonly step: LearnerStep; readonly request: Promise<StepRequest | LostBlock> };

interface StepRequest {
  readonly serial: number;
  readonly step: LearnRequest['step'];
  readonly payload: Bytes;
}

/**
 * A primary makes another server's copy equal to its own, and has it admitted (P9). The learner is sent all orders from one
 * serial on, and between them blocks as they are here at that very place among the orders: one thing after another, each
 * when the one before was answered. So a block that was copied is the primary's from then on, and when all are, so is the
 * whole. A call that fails ends the lesson, and the next one finds what still matches.
 */
export class Lesson {
  /** Resolves when the learner is admitted. */
  readonly done: Promise<void>;
  readonly #options: LessonOptions;
  readonly #id: string;
  readonly #learner: Learner;
  readonly #connection: Connection;
  readonly #items: Item[] = [];
  #waitingBytes = 0;
  #asked = false;
  #isAsking = false;
  /** What the master said to it, for good. */
  #refusal: unknown;
  #over = false;
  #wake: () => void = () => undefined;
  #finish: (error?: unknown) => void = () => undefined;

  constructor(options: LessonOptions) {
    this.#options = options;
    this.#id = options.env.uniqueId();
    this.#learner = new Learner(options.host.nextSerial(), options.withoutRules);
    this.#connection = options.peers.at(options.learner.address);
    this.done = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.done.catch(() => undefined);
  }

  get server(): number {
    return this.#options.learner.server;
  }

  get over(): boolean {
    return this.#over;
  }

  /** It failed after its admission was asked for: nobody else is taught before a higher version leaves it out. */
  get isToBeLeftOut(): boolean {
    return this.#over && this.#asked;
  }

  /** What the learner has to have applied for anything to be committed; undefined: nothing. */
  get requiredFrom(): number | undefined {
    return this.#learner.required && !this.#over ? this.#learner.appliedSerial : undefined;
  }

  /** An order that was just given to this server's own replica. */
  order(order: OrderInFlight): void {
    if (this.#over) return;
    this.#items.push({ kind: 'order', order });
    this.#waitingBytes += lengthOf(order.bytes);
    this.#wake();
  }

  /** Runs until the version is over or the lesson fails; never rejects. Begins in this turn, before any other order. */
  async run(): Promise<void> {
    const { signal, host } = this.#options;
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#begin();
      await this.#teach();
    } catch (error) {
      this.#over = true;
      this.#items.length = 0;
      const wayOut = this.#learner.end();
      if (!signal.aborted) {
        this.#log('a learner could not be taught', error);
        if (wayOut === 'forget') host.release();
        else host.leaveOut(this.server, error);
      }
      // The version that makes the learner a member ends this one before the master has answered.
      if (!this.#isAsking) this.#finish(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Resolves when a learner that may be a member by now has said that it is not (P22). */
  async confirmVersion(requestId: string): Promise<void> {
    if (!this.#asked || this.#over) return;
    const { env, record } = this.#options;
    const { chunk, version } = record;
    const deadlineMs = env.monotonicMs() + CONFIRM_MS_MAX;
    const reply = await this.#connection.call(checkVersion, { chunks: [chunk] }, { deadlineMs, requestId });
    const [state] = reply.message.chunks;
    if (state === undefined) throw noSuchChunk(chunk);
    if (state.version !== version) throw wrongVersion(chunk, state.version, version);
  }

  async #begin(): Promise<void> {
    const { replica, record, host } = this.#options;
    const serial = host.nextSerial();
    const own = await replica.blockChecksums();
    this.#mustBeAt(own.stream, serial);
    const { length, sealed, table } = own;
    const value = { record: messageOfRecord(record), length, sealed, table: table.map(messageOfEntry) };
    const { checksums } = await this.#call(serial, { $case: 'begin', value });
    const differing = differingBlocks(own, checksums);
    this.#log(`teaching a learner: ${differing.length} of ${own.checksums.length} blocks differ`);
    this.#learner.begun(differing);
  }

  async #teach(): Promise<void> {
    const { signal } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      if (this.#refusal !== undefined) throw this.#refusal;
      this.#decide();
      this.#planSteps();
      const [item] = this.#items;
      if (item === undefined) await this.#somethingToDo();
      else if (item.kind === 'order') await this.#sendOrders();
      else await this.#sendStep(item);
    }
  }

  #decide(): void {
    const { host } = this.#options;
    const state = { committedSerial: host.committedSerial(), waitingBytes: this.#waitingBytes };
    switch (this.#learner.next(state)) {
      case 'require':
        host.require(this.#learner.appliedSerial);
        this.#decide();
        break;
      case 'ask':
        this.#asked = true;
        this.#options.tasks.run(() => this.#ask());
        break;
      case 'nothing':
        break;
    }
  }

  /** What is asked of the replica in this turn is answered as of its place among the orders. */
  #planSteps(): void {
    const { host, replica } = this.#options;
    for (let step = this.#learner.takeStep(); step !== undefined; step = this.#learner.takeStep()) {
      const serial = host.nextSerial();
      const request =
        step.kind === 'end'
          ? replica.blockChecksums().then((sums) => this.#endRequest(serial, sums.stream, digestOf(sums)))
          : replica
              .readInTurn(step.firstBlock * CHECKSUM_BLOCK_BYTES, step.count * CHECKSUM_BLOCK_BYTES)
              .then((read) => this.#blocksRequest(serial, step, read));
      request.catch(() => undefined);
      this.#items.push({ kind: 'step', step, request });
    }
  }

  #endRequest(serial: number, stream: SerialStream, digest: number): StepRequest {
    this.#mustBeAt(stream, serial);
    return { serial, step: { $case: 'end', value: { digest } }, payload: NO_BYTES };
  }

  /** Or the block that is bad here. */
  #blocksRequest(
    serial: number,
    { firstBlock, lost }: LearnerBlocks,
    read: ReadInTurn,
  ): StepRequest | LostBlock {
    this.#mustBeAt(read.stream, serial);
    if (!('badBlock' in read)) {
      const value = { firstBlock, checksums: [...read.checksums], lostBytes: 0 };
      return { serial, step: { $case: 'blocks', value }, payload: read.payload };
    }
    const { length, checksum } = read.badBlock;
    if (!lost) return read.badBlock;
    const value = { firstBlock, checksums: [checksum], lostBytes: length };
    return { serial, step: { $case: 'blocks', value }, payload: NO_BYTES };
  }

  async #sendStep({ step, request }: Item & { readonly kind: 'step' }): Promise<void> {
    this.#items.shift();
    const ready = await request;
    if ('blockIndex' in ready) {
      assert(step.kind === 'blocks', 'only blocks are read');
      await this.#mend(ready.blockIndex);
      this.#learner.stepAgain(step);
      return;
    }
    const { serial, step: message, payload } = ready;
    await this.#call(serial, message, payload);
    this.#learner.stepDone(step);
  }

  async #mend(blockIndex: number): Promise<void> {
    switch (await this.#options.host.mend(blockIndex)) {
      case 'mended':
        break;
      case 'lost':
        this.#learner.blockLost(blockIndex);
        break;
      case 'unknown':
        throw new GfsError('CHECKSUM_MISMATCH', `block ${blockIndex} is bad here, and nobody gives it now`);
    }
  }

  async #sendOrders(): Promise<void> {
    const { host, record, signal, env } = this.#options;
    const batch = this.#takeBatch();
    const [first] = batch;
    const { chunk, version } = record;
    const requestId = joinedRequestIds(batch.map((order) => order.requestId));
    const isPushed = first !== undefined && lengthOf(first.bytes) > MUTATION_BYTES_MAX;
    if (isPushed) {
      const deadlineMs = env.monotonicMs() + PATIENT_CALL_MS_MAX;
      await pushData(this.#connection, { chunk, version }, first, { deadlineMs, signal, requestId });
    }
    // What clients pushed, they pushed to members only.
    const orders = batch.map(({ message }) => (isPushed ? message : { ...message, pushId: undefined }));
    const payload = isPushed ? NO_BYTES : batch.flatMap(({ bytes }) => bytes);
    const serial = first?.message.serial ?? 0;
    await this.#call(serial, { $case: 'orders', value: { orders } }, payload, requestId);
    for (const { message, bytes } of batch) {
      this.#waitingBytes -= lengthOf(bytes);
      this.#learner.applied(message.serial);
      host.applied(message.serial);
    }
  }

  /** Orders up to the next step; one whose data goes ahead of it goes alone. */
  #takeBatch(): OrderInFlight[] {
    const orders: OrderInFlight[] = [];
    for (const item of this.#items) {
      if (item.kind !== 'order') break;
      const isLong = lengthOf(item.order.bytes) > MUTATION_BYTES_MAX;
      if (isLong && orders.length > 0) break;
      orders.push(item.order);
      if (isLong) break;
    }
    const batch = orders.slice(0, batchCountOf(orders));
    this.#items.splice(0, batch.length);
    return batch;
  }

  /** Again and again: once asked, only a higher version ends it, with the learner in it or without. */
  async #ask(): Promise<void> {
    const { env, admit, record, signal } = this.#options;
    const { chunk, version } = record;
    for (let attempt = 0; !signal.aborted && !this.#over; attempt += 1) {
      try {
        this.#isAsking = true;
        await admit({ chunk, version, learner: this.server });
        this.#finish();
        return;
      } catch (error) {
        this.#isAsking = false;
        if (signal.aborted || this.#over) this.#finish(error);
        if (!signal.aborted) this.#log('a learner is not admitted yet', error);
        if (!isPassing(codeOf(error))) {
          this.#refusal = error;
          this.#wake();
          return;
        }
      }
      await env.sleep(backoffMs(env, attempt, ASK_DELAYS), { signal }).catch(() => undefined);
    }
  }

  /** An order, the end of the version, or the master's refusal. */
  async #somethingToDo(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = () => undefined;
  }

  async #call(serial: number, step: LearnRequest['step'], payload: Bytes = NO_BYTES, requestId?: string) {
    const { env, signal, record } = this.#options;
    const request = {
      chunk: record.chunk,
      server: this.server,
      lesson: this.#id,
      serial,
      step,
      payload: NO_PAYLOAD,
    };
    const options = { signal, payload, requestId };
    return (await callPatiently(env, this.#connection, learn, request, options)).message;
  }

  /** Before a version is active, its primary holds what it will hold before the first order. */
  #mustBeAt(stream: SerialStream, serial: number): void {
    const isThere =
      stream.version === this.#options.record.version ? stream.nextSerial === serial : serial === 0;
    if (isThere) return;
    throw new GfsError('NOT_READY', `this replica is not where its orders are, before ${serial}`);
  }

  #log(message: string, error?: unknown): void {
    const { env, record } = this.#options;
    const fields = { chunk: hex(record.chunk), version: record.version, learner: this.server };
    const failure = error === undefined ? {} : { code: codeOf(error), error: messageOf(error) };
    env.log.of('repair').info({ ...fields, ...failure }, message);
  }
}

/** The master is away, or cannot now. */
function isPassing(code: ErrorCode): boolean {
  switch (code) {
    case 'UNAVAILABLE':
    case 'DEADLINE_EXCEEDED':
    case 'CANCELLED':
    case 'NOT_READY':
    case 'NOT_FOUND':
    case 'TOO_FEW_REPLICAS':
      return true;
    default:
      return false;
  }
}
