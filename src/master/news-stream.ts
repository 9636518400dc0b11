import type { Env, Timer } from '../base/env.ts';
import { SECOND_MS } from '../base/units.ts';
import type { News } from '../core/session-news.ts';
import type { ListenRequest, ListenResponse } from '../rpc/messages.ts';
import type { Incoming, ServerStream } from '../rpc/network.ts';

/** A session that does not take news for so long is left alone: it finds its channel broken, and believes nothing. */
const TAKE_MS_MAX = 15 * SECOND_MS;

const NO_NEWS: ListenResponse = { everything: false, inodes: [], names: [], accessedInodes: [], pong: 0 };

export interface NewsStreamOptions {
  readonly env: Env;
  readonly stream: ServerStream<ListenRequest, ListenResponse>;
  /** What comes after the first request. */
  readonly requests: AsyncIterator<Incoming<ListenRequest>>;
  readonly take: () => News | undefined;
  /** The session lives, and has passed on all news up to this number. */
  readonly onHeard: (passedOn: number) => void;
}

/** One session's stream: what was sent, taken and passed on, and those who wait for something to happen to it. */
export class NewsStream {
  readonly #options: NewsStreamOptions;
  #sent = 0;
  #taken = 0;
  #passedOn = 0;
  #pong = 0;
  #ended = false;
  #untaken: Timer | undefined;
  readonly #whenEnded: Promise<undefined>;
  #onEnded: (value: undefined) => void = () => undefined;
  #waiting: (() => void)[] = [];
  /** The kernel behind the session was waited for in vain, until it has caught up. */
  lags = false;

  constructor(options: NewsStreamOptions) {
    this.#options = options;
    this.#whenEnded = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
  }

  get ended(): boolean {
    return this.#ended;
  }
  /** The number of the last news that the session itself does not believe otherwise any more. */
  get taken(): number {
    return this.#taken;
  }
  /** The number of the last news that nobody behind the session does. */
  get passedOn(): number {
    return this.#passedOn;
  }

  async run(): Promise<void> {
    await Promise.all([this.#send(), this.#read()]);
  }

  /** Resolves when there is news, when some were taken or passed on, or when the channel has ended. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) resolve();
      else this.#waiting.push(resolve);
    });
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#untaken?.cancel();
    this.#onEnded(undefined);
    this.wake();
  }

  async #send(): Promise<void> {
    try {
      await this.#options.stream.send(NO_NEWS);
      while (!this.#ended) await this.#turn();
    } finally {
      this.end();
    }
  }

  /** Sends what there is to send, or waits for it. News wait for those before them to be taken: so they gather. */
  async #turn(): Promise<void> {
    const { stream, take } = this.#options;
    const news = this.#taken < this.#sent ? undefined : take();
    if (news !== undefined) {
      const { number, everything, inodes, names, accessed } = news;
      this.#sent = number;
      this.#untaken = this.#options.env.setTimer(TAKE_MS_MAX, () => this.end());
      await stream.send({
        ...{ everything, inodes: [...inodes], names: names.map(nameMessage), pong: 0 },
        accessedInodes: [...accessed],
      });
    } else if (this.#pong !== 0 && this.#taken === this.#sent) {
      const pong = this.#pong;
      this.#pong = 0;
      await stream.send({ ...NO_NEWS, pong });
    } else {
      await this.change();
    }
  }

  async #read(): Promise<void> {
    try {
      while (!this.#ended) {
        const next = await Promise.race([this.#options.requests.next(), this.#whenEnded]);
        if (next === undefined || next.done === true) return;
        this.#hear(next.value.message);
      }
    } finally {
      this.end();
    }
  }

  #hear({ taken, passedOn, ping }: ListenRequest): void {
    const saysNothing = taken === 0 && passedOn === 0 && ping === 0;
    this.#taken = saysNothing ? this.#sent : Math.min(this.#sent, Math.max(this.#taken, taken, passedOn));
    this.#passedOn = saysNothing ? this.#sent : Math.min(this.#sent, Math.max(this.#passedOn, passedOn));
    if (ping !== 0) this.#pong = ping;
    if (this.#taken === this.#sent) this.#untaken?.cancel();
    if (this.#passedOn === this.#sent) this.lags = false;
    this.#options.onHeard(this.#passedOn);
    this.wake();
  }
}

function nameMessage({ parent, name, removed }: News['names'][number]) {
  return { parent, name, removedInode: removed };
}
