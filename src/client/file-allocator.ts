import type { Attributes } from '../rpc/messages.ts';
import type { Allocation } from './api.ts';
import type { ExtentSpan } from './extent-map.ts';
import { type FileReports, NO_CHANGE } from './file-reports.ts';
import type { FileState } from './file-state.ts';
import type { Access, Locations } from './locations.ts';
import type { Patience } from './patience.ts';
import type { Range, RangeZeroer } from './range-zeroer.ts';

export interface FileAllocatorOptions {
  readonly chunkSizeBytes: number;
  readonly locations: Locations;
  readonly zeroer: RangeZeroer;
  readonly reports: FileReports;
  /** As the master has them. */
  readonly attributes: (state: FileState, access: Access, patience: Patience) => Promise<Attributes>;
}

/** What fallocate(2) does: ranges become zeros, files longer, or both. */
export class FileAllocator {
  readonly #options: FileAllocatorOptions;

  constructor(options: FileAllocatorOptions) {
    this.#options = options;
  }

  /** Nothing else of the file is on its way meanwhile, but for appends. */
  async allocate(
    state: FileState,
    access: Access,
    range: Range,
    how: Allocation,
    patience: Patience,
  ): Promise<void> {
    for (let { start } = range; start < range.end; ) {
      start = await this.#some(state, access, { start, end: range.end }, how, patience);
    }
    // It ends elsewhere than at the last record.
    if (!how.keepLength) state.appendedTo = undefined;
  }

  /** Returns how far it went. */
  async #some(
    state: FileState,
    access: Access,
    range: Range,
    { zeros = false, keepLength = false, hole = false }: Allocation,
    patience: Patience,
  ): Promise<number> {
    const { reports, attributes } = this.#options;
    const { start, end } = range;
    const holeSince = hole ? (await attributes(state, access, patience)).ctime : undefined;
    const lengthTo = (reached: number) => (keepLength ? 0 : reached);
    if (!zeros) {
      const change = { ...NO_CHANGE, length: lengthTo(end), start, end, holeSince };
      await reports.allocated(state, access, change, 0, patience);
      return end;
    }
    // From here on the master is told in any case, if need be with a later commit.
    const told = state.overwriting(start, end, access.caller);
    try {
      const { zeroer, chunkSizeBytes } = this.#options;
      const onZeroed = (span: ExtentSpan) => state.unsynced.acknowledged(span);
      const zeroed = await zeroer.zeroForDrop(access, range, patience, onZeroed);
      const { end: reached, zeroedBytes, left } = zeroed;
      const dropExtents = reached - start >= chunkSizeBytes;
      const change = {
        ...{ length: lengthTo(reached), start, end: reached },
        ...{ holeSince, zeroedBytes, dropExtents },
      };
      await reports.allocated(state, access, change, told, patience);
      if (dropExtents) await this.#dropped(state, access, left, patience);
      return reached;
    } finally {
      state.overwritten(start, end);
    }
  }

  /** What was left because it would be dropped is zeroed where that is not so: it changed meanwhile. */
  async #dropped(
    state: FileState,
    access: Access,
    left: readonly Range[],
    patience: Patience,
  ): Promise<void> {
    const { locations, zeroer, reports } = this.#options;
    locations.forgetAll(access.inode);
    state.appendedTo = undefined;
    const [first] = left;
    const last = left.at(-1);
    if (first === undefined || last === undefined) return;
    const told = state.overwriting(first.start, last.end, access.caller);
    for (const { start, end } of left) {
      await zeroer.zero(access, start, end, patience, (span) => state.unsynced.acknowledged(span));
    }
    await reports.allocated(state, access, NO_CHANGE, told, patience);
  }
}
