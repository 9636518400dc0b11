import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Primary } from '../core/primary.ts';
import type { Member, VersionRecord } from '../core/replica-types.ts';
import type { Replica } from '../storage/replica-store.ts';
import { Lesson } from './lesson.ts';
import type { OrderInFlight } from './order-line.ts';
import type { RoleParts } from './primary-role.ts';

export interface TeachingOptions {
  readonly parts: RoleParts;
  readonly replica: Replica;
  readonly record: VersionRecord;
  /** Of the role's end. */
  readonly signal: AbortSignal;
  /** Undefined before the version is active. */
  readonly core: () => Primary | undefined;
  readonly committed: (serials: readonly number[] | undefined) => void;
  readonly leaveOut: (server: number, error: unknown) => void;
}

/** A primary's lessons: it teaches servers that are to become members, one at a time (P9). */
export class Teaching {
  readonly #options: TeachingOptions;
  /** The latest one. */
  #lesson: Lesson | undefined;

  constructor(options: TeachingOptions) {
    this.#options = options;
  }

  get isUnderWay(): boolean {
    return this.#lesson?.over === false;
  }

  /** From this serial on the learner has to apply what the members do. */
  get requiredFrom(): number | undefined {
    return this.#lesson?.requiredFrom;
  }

  /**
   * Makes the server's copy equal to this one and has it admitted (P9); resolves when it is a member. Who asks again meanwhile waits
   * for the same. INVALID_ARGUMENT for a member, NOT_READY while another server is taught.
   */
  async teach(learner: Member): Promise<void> {
    const { chunk, members } = this.#options.record;
    if (members.some(({ server }) => server === learner.server)) {
      throw new GfsError(
        'INVALID_ARGUMENT',
        `server ${learner.server} is a member of chunk ${hex(chunk)} already`,
      );
    }
    const isTaken = this.isUnderWay && this.#lesson?.server !== learner.server;
    if (isTaken || this.#lesson?.isToBeLeftOut) {
      throw new GfsError(
        'NOT_READY',
        `chunk ${hex(chunk)} is done with server ${this.#lesson?.server} first`,
      );
    }
    if (this.#lesson?.over !== false) this.#lesson = this.#begunLesson(learner);
    await this.#lesson.done;
  }

  order(order: OrderInFlight): void {
    this.#lesson?.order(order);
  }

  /** By a learner that the master may have made a member. */
  async confirmVersion(requestId: string): Promise<void> {
    await this.#lesson?.confirmVersion(requestId);
  }

  #begunLesson(learner: Member): Lesson {
    const { parts, replica, record, signal, core, committed, leaveOut } = this.#options;
    const { env, peers, tasks, admit, withoutRules } = parts;
    const lesson = new Lesson({
      ...{ env, peers, tasks, admit, withoutRules, learner, replica, record, signal },
      host: {
        nextSerial: () => core()?.nextSerial ?? 0,
        committedSerial: () => core()?.committedSerial ?? 0,
        require: (appliedSerial) => core()?.requireLearner(appliedSerial),
        release: () => committed(core()?.releaseLearner()),
        applied: (serial) => committed(core()?.learnerApplied(serial)),
        mend: (blockIndex) => parts.mend(replica, blockIndex),
        leaveOut,
      },
    });
    tasks.run(() => lesson.run());
    return lesson;
  }
}
