import { MasterDefinition } from '../rpc/messages.ts';
import type { CopyPlace } from './file-copier.ts';
import type { KnownEntries } from './known-entries.ts';
import type { Locations } from './locations.ts';
import type { Patience } from './patience.ts';
import type { Session } from './session.ts';

const { shareRange } = MasterDefinition.methods;

/** Has whole extents of one file become another's too, instead of copying what is in them (P20, §3.4). */
export class RangeSharer {
  readonly #session: Session;
  readonly #locations: Locations;
  readonly #known: KnownEntries;

  constructor(session: Session, locations: Locations, known: KnownEntries) {
    this.#session = session;
    this.#locations = locations;
    this.#known = known;
  }

  /**
   * Shares some of `length` bytes that begin with an extent of the source; resolves to how many. 0: none of it can be
   * shared. The master knows how long the target is, and nothing of it is on its way.
   */
  async share(source: CopyPlace, target: CopyPlace, length: number, patience: Patience): Promise<number> {
    const { state, access, start } = target;
    const { caller, openId } = access;
    const request = {
      context: undefined,
      source: source.access.inode,
      sourceOpenId: source.access.openId,
      sourceStart: source.start,
      inode: access.inode,
      openId,
      start,
      length,
    };
    const told = state.overwriting(start, start + length, caller);
    const asked = this.#known.asking();
    const answer = await this.#session.command(shareRange, request, caller, patience, true, openId);
    // What is copied instead is told of later.
    if (answer.attributes === undefined) return 0;
    this.#locations.forgetAll(access.inode);
    const end = start + answer.length;
    state.overwritten(start, end);
    state.committed(answer, told);
    if (answer.beingWritten) this.#known.unknown(access.inode);
    else this.#known.changed(answer.attributes, asked);
    for (const { chunk, version, start: extentStart } of answer.extents)
      state.stillUnsynced(chunk, { start: extentStart, version });
    return answer.length;
  }
}
