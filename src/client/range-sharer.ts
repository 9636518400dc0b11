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
   * shared. `commit` has the master know how long the target is: what lies behind that goes, so no record is on its way
   * there meanwhile, nor anything else.
   */
  share(
    source: CopyPlace,
    target: CopyPlace,
    length: number,
    patience: Patience,
    commit: () => Promise<void>,
  ): Promise<number> {
    return target.state.appends.whileClosed(async () => {
      await commit();
      return await this.#share(source, target, length, patience);
    });
  }

  async #share(source: CopyPlace, target: CopyPlace, length: number, patience: Patience): Promise<number> {
    const { state, access, start } = target;
    const { inode, caller, openId } = access;
    const from = {
      source: source.access.inode,
      sourceOpenId: source.access.openId,
      sourceStart: source.start,
    };
    const request = { context: undefined, ...from, inode, openId, start, length };
    const told = state.overwriting(start, start + length, caller);
    const asked = this.#known.asking();
    const answer = await this.#session.command(shareRange, request, caller, patience, true, openId);
    // What is copied instead is told of later.
    if (answer.attributes === undefined) return 0;
    this.#locations.forgetAll(inode);
    state.appendedTo = undefined;
    state.overwritten(start, start + answer.length);
    state.committed(answer, told);
    if (answer.beingWritten) this.#known.unknown(inode);
    else this.#known.changed(answer.attributes, asked);
    state.unsynced.replaced(start, start + answer.length);
    for (const extent of answer.extents) state.unsynced.add(extent);
    return answer.length;
  }
}
