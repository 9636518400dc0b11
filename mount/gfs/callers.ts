import { readFile } from 'node:fs/promises';
import type { Env } from '../../src/base/env.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type { Call, Identity } from '../../src/client/api.ts';
import type { Asked, Caller } from '../file-system.ts';

/** A process that joins a group waits so long for it to count; and a thread id that is used again is believed so long. */
const GROUPS_BELIEVED_MS = 1 * SECOND_MS;
const CALLER_COUNT_MAX = 1024;

/**
 * Who a caller is to the master. The kernel names user, group and thread; the supplementary groups are in /proc, and are
 * remembered briefly, so that a program pays for them once a second and not with each call.
 */
export class Callers {
  readonly #env: Env;
  readonly #known = new Map<number, KnownCaller>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** At once, most of the time. */
  call(caller: Caller): Call | Promise<Call> {
    const { uid, gid, pid } = caller;
    // Root needs no group, and a process of another namespace has no /proc here.
    if (uid === 0 || pid === 0) return new CallOf({ uid, gid, groups: [] }, caller);
    const known = this.#known.get(pid);
    if (known?.identity.uid === uid && known.identity.gid === gid) {
      if (this.#env.monotonicMs() < known.untilMs) return new CallOf(known.identity, caller);
    }
    return this.#read(caller);
  }

  async #read(caller: Caller): Promise<Call> {
    const { uid, gid, pid } = caller;
    const identity = { uid, gid, groups: await groupsOf(pid) };
    if (this.#known.size >= CALLER_COUNT_MAX) this.#known.clear();
    this.#known.set(pid, { identity, untilMs: this.#env.monotonicMs() + GROUPS_BELIEVED_MS });
    return new CallOf(identity, caller);
  }
}

/** What goes on to the client: who asks, and for which operation. */
class CallOf implements Call {
  readonly caller: Identity;
  readonly #asked: Asked;

  constructor(caller: Identity, asked: Asked) {
    this.caller = caller;
    this.#asked = asked;
  }

  get requestId(): string | undefined {
    return this.#asked.requestId;
  }
}

interface KnownCaller {
  readonly identity: Identity;
  readonly untilMs: number;
}

async function groupsOf(pid: number): Promise<readonly number[]> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'latin1');
    const groups = /^Groups:(.*)$/m.exec(status)?.[1] ?? '';
    return groups.split(/\s+/).filter(Boolean).map(Number);
  } catch {
    // It ended meanwhile: what it asked is done with the groups that the kernel named.
    return [];
  }
}
