import { codeOf } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import {
  type Attributes,
  type EntryResponse,
  type ExtentLocation,
  MasterDefinition,
} from '../rpc/messages.ts';
import type { Identity } from './api.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { FileState } from './file-state.ts';
import type { FileStates } from './file-states.ts';
import type { Patience } from './patience.ts';
import type { RecentChanges } from './recent-changes.ts';
import { attributesOf, callerMessage } from './requests.ts';
import type { Session } from './session.ts';

const { getAttributes } = MasterDefinition.methods;

interface EntriesParts {
  readonly session: Session;
  readonly states: FileStates;
  readonly writer: ChunkWriter;
  readonly changes: RecentChanges;
}

interface Question {
  readonly inode: number;
  readonly caller: Identity;
  readonly ownWrites: boolean;
}

/**
 * Attributes as they are: of a file that another session may be writing, the length is asked where it grows, at the
 * primary of its last chunk (design, section 6). So no length is behind what was acknowledged to anybody.
 */
export class Entries {
  readonly #session: Session;
  readonly #states: FileStates;
  readonly #writer: ChunkWriter;
  readonly #changes: RecentChanges;

  constructor(parts: EntriesParts) {
    this.#session = parts.session;
    this.#states = parts.states;
    this.#writer = parts.writer;
    this.#changes = parts.changes;
  }

  async attributes(inode: number, caller: Identity, patience: Patience): Promise<Attributes> {
    const question: Question = { inode, caller, ownWrites: false };
    return await this.exact(await this.#ask(question, 0, 0, patience), caller, patience);
  }

  /** The answer's attributes with the length as it is. */
  async exact(answer: EntryResponse, caller: Identity, patience: Patience): Promise<Attributes> {
    const { inode } = attributesOf(answer);
    const attributes = await this.#found(answer, { inode, caller, ownWrites: false }, patience);
    const state = this.#states.find(inodeId(inode));
    if (state === undefined || !state.mayBeCut(attributes)) return attributes;
    return await this.learnCut(state, caller, patience);
  }

  /** The file was truncated while the master was not told of what this client wrote: what of it is still there is learnt. */
  async learnCut(state: FileState, caller: Identity, patience: Patience): Promise<Attributes> {
    const question: Question = { inode: state.inode, caller, ownWrites: true };
    const { commit } = state.untold;
    const attributes = await this.#found(await this.#ask(question, 0, 0, patience), question, patience);
    state.truncatedElsewhere(attributes, commit);
    return attributes;
  }

  async #found(answer: EntryResponse, question: Question, patience: Patience): Promise<Attributes> {
    let current = answer;
    let lengthBefore = 0;
    for (;;) {
      const attributes = attributesOf(current);
      if (!current.beingWritten) return attributes;
      // What its writer did not tell yet may lie in a hole: some of the file is data.
      const holeBytes = Math.min(attributes.holeBytes, Math.max(0, attributes.length - 1));
      // Whoever writes will not tell when it grows: this answer is good for now, and no longer.
      this.#changes.note(attributes.inode);
      const { tail } = current;
      if (tail === undefined) return { ...attributes, holeBytes };
      const found = await this.#lengthOf(tail, patience);
      if (typeof found !== 'number') {
        current = await this.#ask(question, lengthBefore, found.suspectVersion, patience);
      } else if (found > 0 || tail.start === 0) {
        return { ...attributes, holeBytes, length: Math.max(attributes.length, tail.start + found) };
      } else {
        // Added, and not written yet: the file ends before it.
        lengthBefore = tail.start;
        current = await this.#ask(question, lengthBefore, 0, patience);
      }
    }
  }

  /** Or what to tell the master, after a pause, when the primary does not say. */
  async #lengthOf(tail: ExtentLocation, patience: Patience): Promise<number | { suspectVersion: number }> {
    try {
      return (await this.#writer.lengthAt(tail, patience)).length;
    } catch (error) {
      // Before anything was written to a new chunk, nobody has it (P23).
      if (codeOf(error) === 'NO_SUCH_CHUNK' && tail.version === 1) return 0;
      const remedy = this.#writer.remedyFor(error, tail);
      await patience.pause(error);
      return { suspectVersion: remedy.kind === 'suspect' ? remedy.suspicion.version : 0 };
    }
  }

  async #ask(
    { inode, caller, ownWrites }: Question,
    lengthBefore: number,
    suspectVersion: number,
    patience: Patience,
  ): Promise<EntryResponse> {
    const wanted = { caller: callerMessage(caller), inode, lengthBefore, suspectVersion, ownWrites };
    return await this.#session.ask(getAttributes, (session) => ({ ...wanted, session }), patience);
  }
}
