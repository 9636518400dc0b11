import type { ChunkHandle, InodeId } from '../base/ids.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';
import { unlessGone } from './gone-chunks.ts';
import type { Metadata } from './metadata.ts';

const PAGE_SIZE = 256;
/** Of one file at a time. */
const RAISE_COUNT_MAX = 8;

export interface FileFenceParts {
  readonly metadata: Metadata;
  readonly raiser: ChunkRaiser;
}

/**
 * Raises the versions of all chunks of a file, but for those that `isFenced` knows: what anybody has sent to them before cannot
 * arrive any more. `onFenced` hears of each, so that a second try need not begin anew.
 */
export async function fenceFile(
  { metadata, raiser }: FileFenceParts,
  inode: InodeId,
  {
    isFenced,
    onFenced,
  }: { isFenced: (chunk: ChunkHandle) => boolean; onFenced: (chunk: ChunkHandle) => void },
): Promise<void> {
  const { state } = metadata;
  for (let start = 0; ; ) {
    const extents = state.extents(inode, start, PAGE_SIZE);
    const chunks = extents.map(({ chunk }) => chunk).filter((chunk) => !isFenced(chunk));
    const worker = async () => {
      for (let chunk = chunks.pop(); chunk !== undefined; chunk = chunks.pop()) {
        await unlessGone(raiser.raise(chunk));
        onFenced(chunk);
      }
    };
    await Promise.all(Array.from({ length: RAISE_COUNT_MAX }, worker));
    const last = extents.at(-1);
    if (last === undefined || extents.length < PAGE_SIZE) return;
    start = last.start + 1;
  }
}
