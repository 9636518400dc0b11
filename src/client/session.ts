import type { Env, Timer } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { inodeId, type SessionId, sessionId } from '../base/ids.ts';
import { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { ROOT_CALLER } from '../core/metadata/commands.ts';
import {
  type CommandContext,
  MasterDefinition,
  type OpenSessionRequest,
  type OpenSessionResponse,
  type RenewSessionResponse,
} from '../rpc/messages.ts';
import type { Method } from '../rpc/network.ts';
import type { Identity } from './api.ts';
import { ClosedFiles } from './closed-files.ts';
import { HeldLocks } from './held-locks.ts';
import { type HeldFile, KeptFiles } from './kept-files.ts';
import type { MasterLink } from './master-link.ts';
import { isTransient, Patience } from './patience.ts';
import { callerMessage } from './requests.ts';

const { openSession, renewSession, closeSession, close } = MasterDefinition.methods;
/** After a loss or a failed renewal. Well below any session's timeout. */
const RENEW_SOON_MS = 200;
const RENEW_ATTEMPT_MS = 10 * SECOND_MS;
const CLOSE_MS_MAX = 5 * SECOND_MS;

export interface SessionOptions {
  readonly env: Env;
  readonly link: MasterLink;
  readonly host: string;
  readonly program: string;
  readonly kernelWalksPaths: boolean;
}

/**
 * This client as the master knows it. Renews itself in the background; numbers commands, so that one that is sent
 * again after a lost answer gets its first answer; tells a master that forgot what is open.
 */
export class Session {
  /** What the master said of the file system. */
  readonly filesystem: OpenSessionResponse;
  readonly locks = new HeldLocks();
  /** Open at the master, and not here. */
  readonly kept: KeptFiles;
  readonly #options: SessionOptions;
  readonly #tasks: TaskGroup;
  readonly #openFiles = new Map<number, HeldFile>();
  /** Open for writing, or locked, in a session that ended, and not closed yet. */
  readonly #expired = new Set<number>();
  /** Lost a lock that was taken by them: nothing is done by them any more, but they are open. */
  readonly #lockless = new Set<number>();
  /** Files whose Close got no answer. For the master they are open, until it is told at last. */
  readonly #unclosed = new Map<number, (patience: Patience) => Promise<void>>();
  readonly #closedFiles: ClosedFiles;
  /** What the master was told to be open, or is just being told. */
  readonly #announced = new Set<number>();
  /** Numbers without an answer yet, in rising order. */
  readonly #unanswered = new Set<number>();
  #id: SessionId;
  /** Connections to masters that broke: each time, what a master was told may be forgotten. */
  #lossCount = 0;
  #nextNumber = 1;
  #replacing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #renewing = false;
  /** What is open has to be told once more after the renewal that is under way. */
  #announceNext = false;
  #closed = false;

  private constructor(options: SessionOptions, filesystem: OpenSessionResponse) {
    this.#options = options;
    this.filesystem = filesystem;
    this.#id = sessionId(filesystem.session);
    this.#tasks = new TaskGroup((error) =>
      options.env.log.of('sessions').warn({ error }, 'the session was not renewed'),
    );
    this.#closedFiles = new ClosedFiles({
      ...{ env: options.env, tasks: this.#tasks },
      tell: () => this.#tellClosed(),
    });
    this.kept = new KeptFiles({
      env: options.env,
      onReleased: (openId) => this.#closedFiles.add(openId),
    });
    options.link.onLost(() => {
      this.#lossCount += 1;
      this.#renewIn(RENEW_SOON_MS, true);
    });
    this.#renewIn(this.#intervalMs, false);
  }

  static async open(options: SessionOptions, patience: Patience): Promise<Session> {
    return new Session(options, await options.link.call(openSession, openRequest(options), patience));
  }

  get id(): SessionId {
    return this.#id;
  }

  get openFileCount(): number {
    return this.#openFiles.size + this.kept.size;
  }

  /** Why nothing can be done in it now; undefined: nothing is wrong with it. */
  get missing(): string | undefined {
    const { env, link } = this.#options;
    if (this.#closed) return 'the session is closed';
    if (this.#replacing !== undefined) return 'the session has ended: a new one is being opened';
    const silentMs = env.monotonicMs() - link.heardMs;
    if (silentMs < this.filesystem.timeoutMs) return undefined;
    return `the master has not answered for ${Math.round(silentMs / SECOND_MS)} s`;
  }

  /** Another number: of a command, of a mutation, of a push. Never dealt twice in a session. */
  nextNumber(): number {
    return this.#nextNumber++;
  }

  /** The first of so many further numbers, one after the other. */
  nextNumbers(count: number): number {
    const first = this.#nextNumber;
    this.#nextNumber += count;
    return first;
  }

  /**
   * A command. `repeatable`: carried out twice, it does no harm and answers the same; only such a one is given to a
   * new session when the old one ended before its answer came; otherwise that is SESSION_EXPIRED. `openId`: by the right
   * of which open file; 0: of none.
   */
  async command<Req extends { context: CommandContext | undefined }, Res>(
    method: Method<Req, Res>,
    request: Req,
    caller: Identity,
    patience: Patience,
    repeatable: boolean,
    openId = 0,
  ): Promise<Res> {
    return await this.#inSession(
      async (session) => {
        this.#mustBeOpen(openId);
        const number = this.nextNumber();
        this.#unanswered.add(number);
        const closed = this.#closedFiles.take();
        try {
          const acknowledged = this.#acknowledged(number);
          request.context = { caller: callerMessage(caller), session, number, acknowledged, closed };
          return await this.#options.link.call(method, request, patience);
        } catch (error) {
          if (session === this.#id) this.#closedFiles.putBack(closed);
          throw error;
        } finally {
          this.#unanswered.delete(number);
        }
      },
      patience,
      () => repeatable || patience.failures === 0,
    );
  }

  /** A question that names the session, or none. */
  async ask<Req, Res>(
    method: Method<Req, Res>,
    request: (session: SessionId) => Req,
    patience: Patience,
    attemptMs?: number,
  ): Promise<Res> {
    return await this.#inSession(
      async (session) => await this.#options.link.call(method, request(session), patience, attemptMs),
      patience,
      () => true,
    );
  }

  /** The master does not know this session any more: a new one is opened soon, if it was not yet. */
  ended(id: SessionId): void {
    if (this.#id === id) this.#renewIn(0, true);
  }

  opened(file: HeldFile): void {
    this.#openFiles.set(file.openId, file);
  }

  closed(openId: number): void {
    this.#openFiles.delete(openId);
    // It may have heard of the close first, and then, by what it was told on the way, that the file is open.
    if (this.#announced.delete(openId)) this.gaveBack(openId);
    this.#expired.delete(openId);
    this.#lockless.delete(openId);
  }

  /**
   * It was only read, and nothing is locked by it: the master hears of it by and by. `isKnown`: what the inode is like is
   * believed here, so that it is heard when that changes.
   */
  closedAfterReading(openId: number, isKnown: boolean): void {
    const file = this.#openFiles.get(openId);
    this.closed(openId);
    const isKept = isKnown && file?.mayBeKept === true && this.kept.keep(inodeId(file.inode), file);
    if (!isKept) this.gaveBack(openId);
  }

  /** Nobody here has it open, and the master may: it hears of it by and by. */
  gaveBack(openId: number): void {
    this.#closedFiles.add(openId);
  }

  /** These, by their numbers, are somebody else's now. */
  loseLocks(numbers: readonly number[]): void {
    if (numbers.length === 0) return;
    const lost = new Set(numbers);
    for (const openId of this.locks.lose((number) => lost.has(number))) this.#lockless.add(openId);
  }

  /**
   * Nobody waits for this Close any more, and whether the master heard it is not known: `tell` is tried with each renewal,
   * for as long as the session lasts. Otherwise the file would count as open, and as being written, until the session ends.
   */
  closeLater(openId: number, tell: (patience: Patience) => Promise<void>): void {
    this.#unclosed.set(openId, tell);
    this.#renewIn(RENEW_SOON_MS, true);
  }

  /** Whether somebody has it open for writing, and will tell the master of what was written here. */
  isWriting(inode: number): boolean {
    for (const file of this.#openFiles.values()) if (file.inode === inode && file.write) return true;
    return false;
  }

  isExpired(openId: number): boolean {
    return this.#expired.has(openId);
  }

  /** Before anything is done by the right of an open file. SESSION_EXPIRED: its turn is over, it has to be opened anew. */
  mustHold(openId: number): void {
    this.#mustBeOpen(openId);
    if (!this.#lockless.has(openId)) return;
    throw new GfsError('SESSION_EXPIRED', 'a lock was lost with the master: open the file anew');
  }

  /** Ends the session at the master, if that can be had quickly; otherwise the master lets it expire. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.kept.close();
    this.#closedFiles.close();
    await this.#tasks.drain();
    const { env, link } = this.#options;
    try {
      const deadlineMs = env.monotonicMs() + CLOSE_MS_MAX;
      await link.once(closeSession, { session: this.#id }, { deadlineMs });
    } catch (error) {
      env.log.of('sessions').info({ error }, 'the session was not closed; it will expire');
    }
  }

  #mustBeOpen(openId: number): void {
    if (openId === 0 || this.#openFiles.has(openId)) return;
    throw new GfsError(
      'SESSION_EXPIRED',
      this.#expired.has(openId)
        ? 'the master heard nothing of this client for too long: open the file anew'
        : 'the open file was given back meanwhile',
    );
  }

  /**
   * Does `work` in the session; when the master does not know it any more, again in a new one, and when a master that was
   * started anew does not know what is open, again after it was told: as often as that happens, while patience lasts.
   */
  async #inSession<T>(
    work: (session: SessionId) => Promise<T>,
    patience: Patience,
    mayRepeat: () => boolean,
  ): Promise<T> {
    let toldAtLoss: number | undefined;
    for (let attempt = 0; ; attempt += 1) {
      const id = this.#id;
      try {
        return await work(id);
      } catch (error) {
        const isUnknown = codeOf(error) === 'NO_SUCH_SESSION' && mayRepeat();
        // That nothing is open also has to be told. A master that was told and lives has said its last word.
        const isUntold = codeOf(error) === 'BAD_FILE' && toldAtLoss !== this.#lossCount;
        if (codeOf(error) === 'NO_SUCH_SESSION' && !isUnknown) {
          const message = 'the session ended before an answer came: it may have been carried out';
          throw new GfsError('SESSION_EXPIRED', message, { cause: error });
        }
        if (!isUnknown && !isUntold) throw error;
        if (attempt > 0) await patience.pause(error);
        if (isUntold) {
          await this.#announce(patience);
          toldAtLoss = this.#lossCount;
        } else if (this.#id === id) {
          await this.#replace(patience);
        }
      }
    }
  }

  /** One caller opens the new session, the others wait for it. */
  async #replace(patience: Patience): Promise<void> {
    this.#replacing ??= this.#openAnew(patience).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #openAnew(patience: Patience): Promise<void> {
    const { env, link } = this.#options;
    const answer = await link.call(openSession, openRequest(this.#options), patience);
    env.log
      .of('sessions')
      .warn({ session: this.#id, newSession: answer.session }, 'the session had ended; a new one is open');
    this.#id = sessionId(answer.session);
    // The master closed them with the old one.
    for (const openId of this.#unclosed.keys()) this.closed(openId);
    this.#unclosed.clear();
    this.kept.forget();
    this.#closedFiles.forget();
    this.#announced.clear();
    const locked = this.locks.lose(() => true);
    for (const { openId, write, append } of [...this.#openFiles.values()]) {
      // Others may have written since what this client still has to write. Who reads, or appends, goes on: a record comes
      // behind theirs, once, and the new session is registered before it (P21). But whoever locked went by that.
      if ((!write || append) && !locked.has(openId)) continue;
      this.#openFiles.delete(openId);
      this.#expired.add(openId);
    }
    if (this.#openFiles.size > 0) await this.#announce(patience);
  }

  async #announce(patience: Patience): Promise<void> {
    await this.#sayWhatIsHeld(patience);
  }

  async #sayWhatIsHeld(patience: Patience): Promise<RenewSessionResponse> {
    const openFiles = [...this.#openFiles.values()];
    for (const { openId } of openFiles) this.#announced.add(openId);
    const request = { session: this.#id, openFiles, complete: true, locks: this.locks.messages() };
    const answer = await this.#options.link.call(renewSession, request, patience);
    if (request.session !== this.#id) return answer;
    this.loseLocks(answer.lostLocks);
    // It may have been told more than once, the last time when these were closed.
    for (const { openId } of openFiles) if (!this.#openFiles.has(openId)) this.gaveBack(openId);
    return answer;
  }

  /** By a command that does nothing else. */
  async #tellClosed(): Promise<void> {
    const request = { context: undefined, inode: 0, openId: 0, commit: undefined };
    const patience = new Patience(this.#options.env, undefined, RENEW_ATTEMPT_MS);
    await this.command(close, request, ROOT_CALLER, patience, true);
  }

  async #closeUnclosed(): Promise<void> {
    const { env } = this.#options;
    for (const [openId, tell] of this.#unclosed) {
      try {
        await tell(new Patience(env, undefined, RENEW_ATTEMPT_MS));
      } catch (error) {
        if (isTransient(error)) throw error;
        env.log
          .of('sessions')
          .warn({ openId, error: messageOf(error) }, 'a file could not be closed at the master');
      }
      // A new session may have dropped it meanwhile.
      if (this.#unclosed.delete(openId)) this.closed(openId);
    }
  }

  #acknowledged(number: number): number {
    for (const oldest of this.#unanswered) return Math.min(oldest, number) - 1;
    return number - 1;
  }

  get #intervalMs(): number {
    return this.filesystem.timeoutMs / 4;
  }

  #renewIn(delayMs: number, announce: boolean): void {
    if (this.#closed) return;
    const { env } = this.#options;
    this.#timer?.cancel();
    // Spread: a restarted master would otherwise hear from all its clients at once.
    this.#timer = env.setTimer(delayMs * (0.5 + env.random() / 2), () => {
      this.#tasks.run(() => this.#renew(announce));
    });
  }

  async #renew(announce: boolean): Promise<void> {
    if (this.#renewing) {
      this.#announceNext ||= announce;
      return;
    }
    this.#renewing = true;
    const { env, link } = this.#options;
    const patience = new Patience(env, undefined, RENEW_ATTEMPT_MS);
    let next = RENEW_SOON_MS;
    let again = announce;
    try {
      const bare = { session: this.#id, openFiles: [], complete: false, locks: [] };
      const answer = announce
        ? await this.#sayWhatIsHeld(patience)
        : await link.call(renewSession, bare, patience);
      if (answer.sendOpenFiles && !announce) await this.#announce(patience);
      await this.#closeUnclosed();
      next = this.#intervalMs;
      again = false;
    } catch (error) {
      if (codeOf(error) !== 'NO_SUCH_SESSION') throw error;
      await this.#replace(patience);
      next = this.#intervalMs;
      again = false;
    } finally {
      this.#renewing = false;
      const announces = again || this.#announceNext;
      this.#announceNext = false;
      this.#renewIn(announces ? RENEW_SOON_MS : next, announces);
    }
  }
}

function openRequest({ host, program, kernelWalksPaths }: SessionOptions): OpenSessionRequest {
  return { host, program, kernelWalksPaths };
}
