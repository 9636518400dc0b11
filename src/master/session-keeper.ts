import type { Env } from '../base/env.ts';
import type { SessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { SECOND_MS } from '../base/units.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import type { SessionDescription, SessionTable } from '../core/session-table.ts';
import { Background } from './background.ts';
import type { LengthSettler } from './length-settler.ts';
import type { LockKeeper } from './lock-keeper.ts';
import type { Metadata } from './metadata.ts';
import type { NewsChannels } from './news-channels.ts';
import type { OrphanReaper } from './orphan-reaper.ts';

const INTERVAL_MS_MAX = 5 * SECOND_MS;

/** Begins and ends sessions, and ends those that fell silent. Sweeps up leases that ran out, too. */
export class SessionKeeper {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #sessions: SessionTable;
  readonly #leases: LeaseTable;
  readonly #reaper: OrphanReaper;
  readonly #channels: NewsChannels;
  readonly #settler: LengthSettler;
  readonly #locks: LockKeeper;
  readonly #work: Background;

  constructor(parts: {
    env: Env;
    metadata: Metadata;
    sessions: SessionTable;
    leases: LeaseTable;
    reaper: OrphanReaper;
    channels: NewsChannels;
    settler: LengthSettler;
    locks: LockKeeper;
    sessionTimeoutMs: number;
  }) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#sessions = parts.sessions;
    this.#leases = parts.leases;
    this.#reaper = parts.reaper;
    this.#channels = parts.channels;
    this.#settler = parts.settler;
    this.#locks = parts.locks;
    const intervalMs = Math.min(INTERVAL_MS_MAX, parts.sessionTimeoutMs / 4);
    this.#work = new Background(parts.env, {
      name: 'ending silent sessions',
      component: 'sessions',
      retryDelayMs: intervalMs,
      round: async () => {
        await this.#sweep();
        return intervalMs;
      },
    });
    this.#work.wake();
  }

  async begin(opened: Omit<SessionDescription, 'session'>): Promise<SessionId> {
    const { host, program, kernelWalksPaths } = opened;
    const session = this.#metadata.dealSession();
    const description = { session, host, program, kernelWalksPaths };
    unwrap(await this.#metadata.execute(INTERNAL, 'openSession', description));
    this.#sessions.begin(description, this.#env.monotonicMs());
    this.#locks.sessionBegan(session);
    this.#env.log.of('sessions').info(description, 'a session began');
    return session;
  }

  /** One that has ended before is fine. */
  async end(session: SessionId): Promise<void> {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return;
    const written = [...entry.files.values()].filter(({ write }) => write).map(({ inode }) => inode);
    // First here, so that nothing is opened in it any more; durable afterwards. All that it held goes in this place.
    this.#reaper.consider(this.#sessions.end(session));
    this.#locks.sessionEnded(session, new Set(written));
    this.#settler.wake();
    this.#channels.end(session);
    const ended = await this.#metadata.execute(INTERNAL, 'closeSession', { session });
    if (!ended.ok && ended.error.code !== 'NO_SUCH_SESSION') unwrap(ended);
    this.#env.log.of('sessions').info({ session }, 'a session ended');
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#env.monotonicMs();
    this.#leases.sweep(nowMs);
    for (const session of this.#sessions.expired(nowMs)) {
      this.#env.log.of('sessions').warn({ session }, 'a session said nothing for too long');
      await this.end(session);
    }
  }
}
