import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { type InodeId, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import type { CommandContext } from '../core/metadata/commands.ts';
import { SessionNews, type Unheard } from '../core/session-news.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { ListenRequest, ListenResponse } from '../rpc/messages.ts';
import type { ServerStream } from '../rpc/network.ts';
import { NewsStream } from './news-stream.ts';

/** Of one session: some ten megabytes at the worst, as for a mount whose kernel keeps that many files in mind. */
const KNOWN_COUNT_MAX = 65_536;
/**
 * How long an answer is held back for a session that believes what it changes. A session that does not take its news for so
 * long is told no more: it finds its channel broken, or the master silent, and believes nothing (`client/touch.ts`).
 */
const HEAR_MS_MAX = 1 * SECOND_MS;

/**
 * The session channels: brings each session the news that `SessionNews` has for it, one message at a time, and knows what of
 * it was taken and passed on. What a session changes is answered when the others have heard of it.
 */
export class NewsChannels {
  readonly news: SessionNews;
  readonly #env: Env;
  readonly #sessions: SessionTable;
  readonly #streams = new Map<SessionId, NewsStream>();
  /** Commands that were carried out, and who has to hear of them before their answer. */
  readonly #held = new Map<string, Promise<void>>();
  /** How many calls of a session wait for others. */
  readonly #waiting = new Map<SessionId, number>();
  #closed = false;

  constructor({ env, sessions, knownCountMax }: NewsChannelsParts) {
    this.#env = env;
    this.#sessions = sessions;
    this.news = new SessionNews({
      knownCountMax: knownCountMax ?? KNOWN_COUNT_MAX,
      onNews: (session) => this.#streams.get(session)?.wake(),
    });
  }

  /** One session's channel, until it breaks, the session opens another one, or the master stops. */
  async serve(stream: ServerStream<ListenRequest, ListenResponse>, signal: AbortSignal): Promise<void> {
    const requests = stream.requests[Symbol.asyncIterator]();
    const first = await requests.next();
    if (first.done === true) return;
    if (this.#closed) throw new GfsError('UNAVAILABLE', 'the master is stopping');
    const session = sessionId(first.value.message.session);
    unwrap(this.#sessions.touch(session, this.#env.monotonicMs()));
    const channel = new NewsStream({
      env: this.#env,
      stream,
      requests,
      take: () => this.news.take(session),
      onHeard: (number) => {
        this.#sessions.touch(session, this.#env.monotonicMs());
        this.news.heard(session, number);
      },
    });
    const onAbort = () => channel.end();
    signal.addEventListener('abort', onAbort);
    this.#streams.get(session)?.end();
    this.#streams.set(session, channel);
    this.news.listen(session);
    try {
      await channel.run();
    } finally {
      signal.removeEventListener('abort', onAbort);
      channel.end();
      if (this.#streams.get(session) === channel) {
        this.#streams.delete(session);
        this.news.end(session);
      }
    }
  }

  /** Somebody is about to change the file and will not ask us each time: who was answered about it hears of that first. */
  async tellFirst(inode: InodeId, by: SessionId | 0): Promise<void> {
    this.news.inodeChanged(inode, by);
    const unheard = this.news.unheard({ inodes: [inode], names: [] }, by);
    if (unheard !== undefined) await this.#hear(unheard, by);
  }

  /** A command was carried out, and these (too) believe what it changed. Its session's answer waits for them (`heard`). */
  hold({ session, number }: Pick<CommandContext, 'session' | 'number'>, unheard: readonly Unheard[]): void {
    if (session === 0) return;
    const key = `${session}:${number}`;
    const heard: Promise<void> = Promise.all([this.#held.get(key), this.#hear(unheard, session)]).then(() => {
      if (this.#held.get(key) === heard) this.#held.delete(key);
    });
    this.#held.set(key, heard);
  }

  /** When this may be answered; undefined: now. Of a command that is sent again, too. */
  heard(session: number, number: number): Promise<void> | undefined {
    return this.#held.size === 0 ? undefined : this.#held.get(`${session}:${number}`);
  }

  /** At the latest after a second. */
  async #hear(unheard: readonly Unheard[], by: SessionId | 0): Promise<void> {
    const waits = unheard.flatMap(({ session, number }) => {
      const channel = this.#streams.get(session);
      return channel === undefined ? [] : [{ session, number, channel }];
    });
    if (by !== 0) this.#nowWaiting(by, 1);
    let late = false;
    const timer = this.#env.setTimer(HEAR_MS_MAX, () => {
      late = true;
      for (const { channel } of waits) channel.wake();
    });
    for (const { session, number, channel } of waits) {
      while (!late && !this.#mayAnswer(session, number, channel)) await channel.change();
      if (late && !channel.ended && channel.passedOn < number) this.#isLate(session, number, channel);
    }
    timer.cancel();
    if (by !== 0) this.#nowWaiting(by, -1);
  }

  /**
   * Whoever was told has passed it on; or he believes it no more himself, and only his kernel does not know yet, for it may
   * be waiting for a call of his that waits, by way of others, for this one.
   */
  #mayAnswer(session: SessionId, number: number, channel: NewsStream): boolean {
    if (channel.ended || channel.passedOn >= number) return true;
    return channel.taken >= number && (channel.lags || this.#waiting.has(session));
  }

  #isLate(session: SessionId, number: number, channel: NewsStream): void {
    if (channel.taken >= number) {
      // An operation of its kernel takes long, and keeps it from forgetting a name. Nobody waits for that again and again.
      channel.lags = true;
      this.#env.log.of('news').info({ session }, 'a kernel was waited for in vain to take what it is told');
      return;
    }
    this.#env.log
      .of('news')
      .warn({ session }, 'a session was waited for in vain to take its news: it is told no more');
    channel.end();
  }

  #nowWaiting(session: SessionId, more: number): void {
    const count = (this.#waiting.get(session) ?? 0) + more;
    if (count === 0) this.#waiting.delete(session);
    else this.#waiting.set(session, count);
    if (more > 0) this.#streams.get(session)?.wake();
  }

  /** Whether the session knows of all changes that others made to this inode, and has passed them on. */
  isUpToDate(session: SessionId, inode: InodeId): boolean {
    const channel = this.#streams.get(session);
    return channel !== undefined && !channel.ended && this.news.knows(session, inode);
  }

  /** The session is over. */
  end(session: SessionId): void {
    this.#streams.get(session)?.end();
  }

  /** Ends all channels, and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const channel of this.#streams.values()) channel.end();
  }
}

export interface NewsChannelsParts {
  readonly env: Env;
  readonly sessions: SessionTable;
  /** What is remembered for one session at most. */
  readonly knownCountMax?: number | undefined;
}
