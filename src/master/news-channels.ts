import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { type InodeId, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import { type News, SessionNews } from '../core/session-news.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { ListenRequest, ListenResponse } from '../rpc/messages.ts';
import type { ServerStream } from '../rpc/network.ts';

/** Of one session: some ten megabytes at the worst, as for a mount whose kernel keeps that many files in mind. */
const KNOWN_COUNT_MAX = 65_536;
/** A session that does not pass news on for so long is left alone: it finds its channel broken, and believes nothing. */
const PASS_ON_MS_MAX = 15 * SECOND_MS;
/** How long a new writer waits for those who believe the file's length to hear of him: what kernels believe by default. */
const TELL_FIRST_MS_MAX = 1 * SECOND_MS;

const NO_NEWS: ListenResponse = { everything: false, inodes: [], names: [] };

/**
 * The session channels: brings each session the news that `SessionNews` has for it, one message at a time, each followed by
 * the session's word that it passed the message on.
 */
export class NewsChannels {
  readonly news: SessionNews;
  readonly #env: Env;
  readonly #sessions: SessionTable;
  readonly #channels = new Map<SessionId, Channel>();
  #closed = false;

  constructor({ env, sessions, knownCountMax }: NewsChannelsParts) {
    this.#env = env;
    this.#sessions = sessions;
    this.news = new SessionNews({
      knownCountMax: knownCountMax ?? KNOWN_COUNT_MAX,
      onNews: (session) => this.#channels.get(session)?.wake(),
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
    const channel = new Channel();
    const onAbort = () => channel.end();
    signal.addEventListener('abort', onAbort);
    this.#channels.get(session)?.end();
    this.#channels.set(session, channel);
    this.news.listen(session);
    try {
      await stream.send(NO_NEWS);
      while (!channel.ended) await this.#turn(session, channel, stream, requests);
    } finally {
      signal.removeEventListener('abort', onAbort);
      channel.end();
      if (this.#channels.get(session) === channel) {
        this.#channels.delete(session);
        this.news.end(session);
      }
    }
  }

  /** Waits for news, and for the session to have passed them on. */
  async #turn(
    session: SessionId,
    channel: Channel,
    stream: ServerStream<ListenRequest, ListenResponse>,
    requests: AsyncIterator<unknown>,
  ): Promise<void> {
    const news = this.news.take(session);
    if (news === undefined) {
      await channel.change();
      return;
    }
    channel.carried = news;
    await stream.send({ ...news, inodes: [...news.inodes], names: news.names.map(nameMessage) });
    const timer = this.#env.setTimer(PASS_ON_MS_MAX, () => channel.end());
    try {
      const answer = await Promise.race([requests.next(), channel.whenEnded]);
      if (answer === undefined || answer.done === true) {
        channel.end();
        return;
      }
    } finally {
      timer.cancel();
    }
    this.#sessions.touch(session, this.#env.monotonicMs());
    channel.carried = undefined;
    channel.wake();
  }

  /**
   * Somebody is about to change the file and will not ask us each time. Resolves when all who were answered about it have
   * passed that on (or cannot any more); at the latest after a second.
   */
  async tellFirst(inode: InodeId, by: SessionId | 0): Promise<void> {
    this.news.inodeChanged(inode, by);
    let waiting: Promise<void>[] | undefined;
    for (const [session, channel] of this.#channels) {
      if (session === by || !this.#isToHear(session, channel, inode)) continue;
      waiting ??= [];
      waiting.push(this.#heard(session, channel, inode));
    }
    if (waiting === undefined) return;
    const inTime = new AbortController();
    const late = this.#env.sleep(TELL_FIRST_MS_MAX, { signal: inTime.signal }).catch(() => undefined);
    await Promise.race([Promise.all(waiting), late]);
    inTime.abort();
  }

  /** Whether the session knows of all changes that others made to this inode, and has passed them on. */
  isUpToDate(session: SessionId, inode: InodeId): boolean {
    const channel = this.#channels.get(session);
    if (channel === undefined || channel.ended || !this.news.knows(session, inode)) return false;
    return !this.#isToHear(session, channel, inode);
  }

  async #heard(session: SessionId, channel: Channel, inode: InodeId): Promise<void> {
    while (!channel.ended && this.#isToHear(session, channel, inode)) await channel.change();
  }

  #isToHear(session: SessionId, channel: Channel, inode: InodeId): boolean {
    const { carried } = channel;
    if (carried !== undefined && (carried.everything || carried.inodes.includes(inode))) return true;
    return this.news.isUntold(session, inode);
  }

  /** The session is over. */
  end(session: SessionId): void {
    this.#channels.get(session)?.end();
  }

  /** Ends all channels, and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const channel of this.#channels.values()) channel.end();
  }
}

export interface NewsChannelsParts {
  readonly env: Env;
  readonly sessions: SessionTable;
  /** What is remembered for one session at most. */
  readonly knownCountMax?: number | undefined;
}

/** One stream's state: what is on its way, and those who wait for something to happen to it. */
class Channel {
  readonly whenEnded: Promise<undefined>;
  /** Sent, and not passed on yet as far as we know. */
  carried: News | undefined;
  ended = false;
  #onEnded: (value: undefined) => void = () => undefined;
  #waiting: (() => void)[] = [];

  constructor() {
    this.whenEnded = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
  }

  /** Resolves when there is news, when some were passed on, or when the channel has ended. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      if (this.ended) resolve();
      else this.#waiting.push(resolve);
    });
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  end(): void {
    this.ended = true;
    this.#onEnded(undefined);
    this.wake();
  }
}

function nameMessage({ parent, name, removed }: News['names'][number]) {
  return { parent, name, removedInode: removed };
}
