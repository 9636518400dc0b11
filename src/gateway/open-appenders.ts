import type { Env, Timer } from '../base/env.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../base/units.ts';
import type { Call, GfsClient, GfsFile, Identity, NamedAppender } from '../client/api.ts';
import { Patience, within } from '../client/patience.ts';
import type { Attributes } from '../rpc/messages.ts';

/** So long a caller appends by what was opened for him: then he may do so no more, if somebody took his right away. */
const KEPT_MS = 5 * SECOND_MS;
const KEPT_MAX = 1024;

/** A file that is open for somebody, and his appender of it. */
interface OpenAppender {
  readonly file: GfsFile;
  readonly appender: NamedAppender;
}

/** Somebody appends by it. */
export interface TakenAppender {
  readonly appender: NamedAppender;
  /** Once. `isDoubtful`: nobody else is to take it. */
  giveBack(isDoubtful: boolean): void;
}

interface Kept {
  readonly opening: Promise<OpenAppender>;
  readonly timer: Timer;
  users: number;
  isKept: boolean;
}

/** Files that are open for appends, each for one caller and client id: records that come one by one open it once in some seconds. */
export class OpenAppenders {
  readonly #env: Env;
  readonly #client: GfsClient;
  readonly #kept = new Map<string, Kept>();

  constructor(env: Env, client: GfsClient) {
    this.#env = env;
    this.#client = client;
  }

  /** Of a regular file that the caller found. */
  async take(attributes: Attributes, clientId: Buffer, call: Call): Promise<TakenAppender> {
    const key = keyOf(attributes, clientId, call.caller);
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      kept = this.#open(key, inodeId(attributes.inode), clientId, call.caller);
      for (const oldest of this.#kept.keys()) {
        if (this.#kept.size <= KEPT_MAX) break;
        this.#drop(oldest);
      }
    }
    const taken = kept;
    taken.users += 1;
    const giveBack = (isDoubtful: boolean) => {
      taken.users -= 1;
      if (isDoubtful && taken.isKept) this.#drop(key);
      else this.#closeIfUnused(taken);
    };
    try {
      const patience = new Patience(this.#env, call, MINUTE_MS);
      const opened = taken.opening.then(() => undefined);
      await within(this.#env, opened, patience, 'the file was not opened');
      return { appender: (await taken.opening).appender, giveBack };
    } catch (error) {
      giveBack(false);
      throw error;
    }
  }

  /** Nobody takes any more. */
  close(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key);
  }

  /** Others may wait for it, too: it goes on when this call has ended. */
  #open(key: string, inode: InodeId, clientId: Buffer, caller: Identity): Kept {
    const kept: Kept = {
      opening: this.#opened(inode, clientId, caller),
      timer: this.#env.setTimer(KEPT_MS, () => this.#drop(key)),
      users: 0,
      isKept: true,
    };
    this.#kept.set(key, kept);
    kept.opening.catch(() => {
      if (kept.isKept) this.#drop(key);
    });
    return kept;
  }

  async #opened(inode: InodeId, clientId: Buffer, caller: Identity): Promise<OpenAppender> {
    const { file } = await this.#client.open(inode, { append: true }, { caller });
    try {
      return { file, appender: await file.appender(clientId) };
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    kept.timer.cancel();
    kept.isKept = false;
    this.#closeIfUnused(kept);
  }

  #closeIfUnused({ opening, users, isKept }: Kept): void {
    if (users > 0 || isKept) return;
    // What became of the records is told by now.
    void opening.then(({ file }) => file.close()).catch(() => undefined);
  }
}

/** Another owner or mode may mean another answer to whether the caller may append. */
function keyOf({ inode, uid, gid, mode }: Attributes, clientId: Buffer, caller: Identity): string {
  const { uid: user, gid: group, groups } = caller;
  return [inode, uid, gid, mode, user, group, groups.join(), clientId.toString('hex')].join(' ');
}
