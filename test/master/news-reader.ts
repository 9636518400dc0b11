// Sessions that hear of changes, one message at a time.
import { type ListenRequest, type ListenResponse, MasterDefinition } from '../../src/rpc/messages.ts';
import type { ClientStream } from '../../src/rpc/network.ts';
import { type Client, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;

/** A session's channel, read by hand. */
export class Channel {
  readonly stream: ClientStream<ListenRequest, ListenResponse>;
  readonly #answers: AsyncIterator<{ readonly message: ListenResponse }>;
  readonly #session: number;

  private constructor({ connection, session }: Client) {
    this.stream = connection.stream(methods.listen);
    this.#answers = this.stream.answers[Symbol.asyncIterator]();
    this.#session = session;
  }

  static async open(client: Client): Promise<Channel> {
    const channel = new Channel(client);
    await channel.passOn();
    await channel.next();
    return channel;
  }

  async next(): Promise<ListenResponse> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error('the channel has ended');
    return (value as { message: ListenResponse }).message;
  }

  /** Says that all was passed on; or how much was. */
  async passOn(words: Partial<ListenRequest> = {}): Promise<void> {
    await this.stream.send({ session: this.#session, taken: 0, passedOn: 0, ping: 0, ...words });
  }
}

export const lookup = (client: Client, name: string) =>
  client.call(methods.lookup, {
    caller: ROOT,
    parent: 1,
    name: Buffer.from(name),
    session: client.session,
  });
