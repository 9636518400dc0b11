import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { nameKey } from '../base/name-key.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { type ListenRequest, type ListenResponse, MasterDefinition } from '../rpc/messages.ts';
import type { ChangeListener } from './api.ts';
import type { MasterLink } from './master-link.ts';
import type { RecentChanges } from './recent-changes.ts';
import type { Session } from './session.ts';
import { Touch } from './touch.ts';

const RETRY_DELAY = { delayMsMin: 20, delayMsMax: 2 * SECOND_MS };

export interface NewsChannelOptions {
  readonly env: Env;
  readonly link: MasterLink;
  readonly session: Session;
  readonly changes: RecentChanges;
  /** First this library, then whoever uses it. */
  readonly listener: ChangeListener;
  /** Somebody read it: its time of access is another, and nothing else. Kernels ask for that when they ask anyway. */
  readonly onAccessTime: (inode: InodeId) => void;
  readonly tasks: TaskGroup;
  /** The master is to be heard all the time: when it is not, nothing is believed. */
  readonly staysInTouch: boolean;
}

/**
 * Hears from the master what others change. While the channel is open, an answer may be believed until it is told to be
 * old; without one, nothing may be.
 */
export class NewsChannel {
  readonly #options: NewsChannelOptions;
  readonly #closing = sharedAbort();
  readonly #closed: Promise<void>;

  constructor(options: NewsChannelOptions) {
    this.#options = options;
    this.#closed = new Promise((resolve) => {
      this.#closing.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** Keeps a channel open until `close`. */
  async run(): Promise<void> {
    const { env, changes, listener, session } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const { id } = session;
      let heard = false;
      try {
        await this.#listen(id, () => {
          heard = true;
          attempt = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        env.log
          .of('news')
          .debug({ code: codeOf(error), error: messageOf(error) }, 'changes by others are not told');
        if (codeOf(error) === 'NO_SUCH_SESSION') session.ended(id);
      }
      changes.goBlind();
      if (heard) listener.everythingChanged();
      try {
        await env.sleep(backoffMs(env, attempt, RETRY_DELAY), { signal });
      } catch {
        return;
      }
    }
  }

  close(): void {
    this.#closing.abort();
  }

  async #listen(session: number, onHeard: () => void): Promise<void> {
    const { env, link, changes, tasks } = this.#options;
    const stream = link.stream(MasterDefinition.methods.listen, { signal: this.#closing.signal });
    let touch: Touch | undefined;
    let passedOn = 0;
    /** When the stream is over its answers end, too. */
    const say = (words: Partial<ListenRequest>) => {
      stream.send({ session, taken, passedOn, ping: 0, ...words }).catch(() => stream.cancel());
    };
    let taken = 0;
    try {
      const askedMs = env.monotonicMs();
      await stream.send({ session, taken: 0, passedOn: 0, ping: 0 });
      let first = true;
      for await (const { message } of stream.answers) {
        if (first) {
          onHeard();
          changes.see();
          touch = this.#watch(askedMs, (ping) => say({ ping }));
          first = false;
          continue;
        }
        if (message.pong !== 0) {
          touch?.ponged(message.pong);
          continue;
        }
        this.#take(message);
        taken += 1;
        const number = taken;
        const passing = this.#options.listener.passedOn?.();
        const pass = () => {
          passedOn = number;
          say({});
        };
        if (passing === undefined) {
          pass();
          continue;
        }
        // A kernel may keep us waiting for what others still have to be told of; more news come meanwhile.
        say({});
        tasks.run(async () => {
          await Promise.race([passing, this.#closed]);
          pass();
        });
      }
    } finally {
      touch?.close();
      stream.cancel();
    }
  }

  #watch(heardMs: number, ping: (number: number) => void): Touch | undefined {
    const { env, changes, listener, staysInTouch } = this.#options;
    if (!staysInTouch) return undefined;
    const onLost = () => {
      env.log.of('news').warn({}, 'the master is not heard: nothing is believed any more');
      changes.goBlind();
      listener.everythingChanged();
    };
    return new Touch({ env, ping, onLost, onFound: () => changes.see() }, heardMs);
  }

  #take({ everything, inodes, names, accessedInodes }: ListenResponse): void {
    const { changes, listener, onAccessTime } = this.#options;
    if (everything) {
      changes.noteEverything();
      listener.everythingChanged();
    }
    for (const { parent, name, removedInode } of names) {
      changes.note(nameKey(parent, name));
      listener.nameChanged({ parent: inodeId(parent), name, removed: removedInode as InodeId | 0 });
    }
    for (const inode of inodes) {
      changes.note(inode);
      listener.inodeChanged(inodeId(inode));
    }
    for (const inode of accessedInodes) {
      changes.note(inode);
      onAccessTime(inodeId(inode));
    }
  }
}
