import { codeOf } from '../base/errors.ts';
import {
  type AllocateRequest,
  type CommitLengthResponse,
  type LengthCommit,
  MasterDefinition,
} from '../rpc/messages.ts';
import type { Entries } from './entries.ts';
import type { FileState } from './file-state.ts';
import type { FileStates } from './file-states.ts';
import type { Asked, KnownEntries } from './known-entries.ts';
import type { Access } from './locations.ts';
import { isTransient, type Patience } from './patience.ts';
import type { Session } from './session.ts';

const { allocate, close, commitLength } = MasterDefinition.methods;

export interface FileReportsOptions {
  readonly session: Session;
  readonly states: FileStates;
  readonly entries: Entries;
  readonly known: KnownEntries;
}

/** What an `Allocate` tells, or not. */
export type FileChange = Omit<AllocateRequest, 'context' | 'inode'>;
/** But for the times. */
export const NO_CHANGE: FileChange = {
  ...{ length: 0, start: 0, end: 0, holeSince: undefined, zeroedBytes: 0, dropExtents: false },
};

/** What the master is told of what was done to files at the cluster. */
export class FileReports {
  readonly #options: FileReportsOptions;

  constructor(options: FileReportsOptions) {
    this.#options = options;
  }

  /** Tells the master of acknowledged writes, if it was not told yet. */
  async commit(state: FileState, access: Access, patience: Patience): Promise<void> {
    if (!state.isUncommitted) return;
    using _ = await state.committing.acquire();
    const { session } = this.#options;
    const { openId } = access;
    const { inode } = state;
    await this.#telling(state, access, patience, (commit) => {
      const caller = state.untold.writer ?? access.caller;
      return session.command(
        commitLength,
        { context: undefined, inode, commit },
        caller,
        patience,
        true,
        openId,
      );
    });
  }

  /**
   * What the master is told of is a lower bound of the length, and it believes it unless the file was truncated since it was
   * known last. Then it is told no more than what is there now, lest bytes that were cut off come back as zeros. False: there
   * was nothing to tell.
   */
  async #telling(
    state: FileState,
    access: Access,
    patience: Patience,
    tell: (commit: LengthCommit) => Promise<CommitLengthResponse>,
  ): Promise<boolean> {
    const { known, entries } = this.#options;
    while (state.isUncommitted) {
      const told = state.writesToTell;
      const { commit } = state.untold;
      const asked = known.asking();
      try {
        const answer = await tell(commit);
        this.#committed(state, answer, told, asked, commit);
        return true;
      } catch (error) {
        if (codeOf(error) !== 'TRUNCATED') throw error;
      }
      await entries.learnCut(state, access.caller, patience);
    }
    return false;
  }

  #committed(
    state: FileState,
    answer: CommitLengthResponse,
    told: number,
    asked: Asked,
    commit?: LengthCommit,
  ): void {
    const { known } = this.#options;
    state.committed(answer, told, commit);
    if (answer.attributes === undefined || answer.beingWritten) known.unknown(state.inode);
    else known.changed(answer.attributes, asked);
  }

  /** The master is told what became of the file without a byte written. `told`: so many changes it hears of by that. */
  async allocated(
    state: FileState,
    access: Access,
    change: FileChange,
    told: number,
    patience: Patience,
  ): Promise<void> {
    const { session, known } = this.#options;
    const { caller, openId } = access;
    const { inode } = state;
    const asked = known.asking();
    const request = { context: undefined, inode, ...change };
    const answer = await session.command(allocate, request, caller, patience, true, openId);
    this.#committed(state, answer, told, asked);
  }

  /**
   * Gives the open file back, with what the master does not know yet of its writes. It is closed when this fails, too: the
   * session tells the master when it can.
   */
  async close(state: FileState, access: Access, mayWrite: boolean, patience: Patience): Promise<void> {
    const { session, states } = this.#options;
    const hasLocks = session.locks.isHeldBy(state.inode, access.openId);
    // With it go its locks; the master hears of them by this.
    session.locks.closed(state.inode, access.openId);
    if (session.isExpired(access.openId)) {
      // The master has closed it. What was acknowledged is there; what was not is told as an error. Who has opened it since speaks
      // for all that was written here.
      session.closed(access.openId);
      if (!session.isWriting(state.inode)) state.leftToTheMaster();
      states.release(state);
      return;
    }
    if (!mayWrite && !hasLocks) {
      session.closedAfterReading(access.openId, this.#options.known.attributes(state.inode) !== undefined);
      states.release(state);
      return;
    }
    try {
      await this.#tellClosed(state, access, mayWrite, patience);
      session.closed(access.openId);
    } catch (error) {
      const mayBeTold = isTransient(error) || codeOf(error) === 'CANCELLED';
      if (mayBeTold)
        session.closeLater(access.openId, (again) => this.#tellClosed(state, access, mayWrite, again));
      else session.closed(access.openId);
      throw error;
    } finally {
      states.release(state);
    }
  }

  async #tellClosed(state: FileState, access: Access, mayWrite: boolean, patience: Patience): Promise<void> {
    const { session } = this.#options;
    const { inode } = state;
    const { openId } = access;
    const tells = mayWrite && state.isUncommitted;
    // What a commit of another open file is just telling is not told twice.
    using _ = tells ? await state.committing.acquire() : undefined;
    const tell = (commit: LengthCommit | undefined) => {
      const caller = state.untold.writer ?? access.caller;
      return session.command(
        close,
        { context: undefined, inode, openId, commit },
        caller,
        patience,
        true,
        openId,
      );
    };
    try {
      const isTold = tells && (await this.#telling(state, access, patience, tell));
      if (!isTold) await tell(undefined);
    } catch (error) {
      // The master that forgot it has nothing to close.
      if (codeOf(error) !== 'BAD_FILE' || tells) throw error;
    }
  }
}
