import { codeOf } from '../base/errors.ts';
import {
  type Attributes,
  type EntryResponse,
  type ExtentLocation,
  MasterDefinition,
} from '../rpc/messages.ts';
import type { Identity } from './api.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { Patience } from './patience.ts';
import type { RecentChanges } from './recent-changes.ts';
import { attributesOf, callerMessage } from './requests.ts';
import type { Session } from './session.ts';

const { getAttributes } = MasterDefinition.methods;

/**
 * Attributes as they are: of a file that another session may be writing, the length is asked where it grows, at the
 * primary of its last chunk (design, section 6). So no length is behind what was acknowledged to anybody.
 */
export class Entries {
  readonly #session: Session;
  readonly #writer: ChunkWriter;
  readonly #changes: RecentChanges;

  constructor(parts: { session: Session; writer: ChunkWriter; changes: RecentChanges }) {
    this.#session = parts.session;
    this.#writer = parts.writer;
    this.#changes = parts.changes;
  }

  async attributes(inode: number, caller: Identity, patience: Patience): Promise<Attributes> {
    return await this.exact(await this.#ask(inode, caller, 0, 0, patience), caller, patience);
  }

  /** The answer's attributes with the length as it is. */
  async exact(answer: EntryResponse, caller: Identity, patience: Patience): Promise<Attributes> {
    let current = answer;
    let lengthBefore = 0;
    for (;;) {
      const attributes = attributesOf(current);
      if (!current.beingWritten) return attributes;
      const { inode } = attributes;
      // Whoever writes will not tell when it grows: this answer is good for now, and no longer.
      this.#changes.note(inode);
      const { tail } = current;
      if (tail === undefined) return attributes;
      const found = await this.#lengthOf(tail, patience);
      if (typeof found !== 'number') {
        current = await this.#ask(inode, caller, lengthBefore, found.suspectVersion, patience);
      } else if (found > 0 || tail.start === 0) {
        return { ...attributes, length: Math.max(attributes.length, tail.start + found) };
      } else {
        // Added, and not written yet: the file ends before it.
        lengthBefore = tail.start;
        current = await this.#ask(inode, caller, lengthBefore, 0, patience);
      }
    }
  }

  /** Or what to tell the master, after a pause, when the primary does not say. */
  async #lengthOf(tail: ExtentLocation, patience: Patience): Promise<number | { suspectVersion: number }> {
    if (tail.sealed) return tail.sealedLength;
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
    inode: number,
    caller: Identity,
    lengthBefore: number,
    suspectVersion: number,
    patience: Patience,
  ): Promise<EntryResponse> {
    return await this.#session.ask(
      getAttributes,
      (session) => ({ caller: callerMessage(caller), inode, session, lengthBefore, suspectVersion }),
      patience,
    );
  }
}
