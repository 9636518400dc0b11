import type { Env } from '../base/env.ts';
import { SECOND_MS } from '../base/units.ts';
import type { Attributes } from '../rpc/messages.ts';
import type { AtomicMode, Call, GfsClient, GfsFile, Place } from './api.ts';

/** So long what is written may take to arrive once the file is closed: it was flushed, or nobody will ever see it. */
const CLOSE_MS_MAX = 2 * SECOND_MS;

/** As much of a client as it takes to write a file in one step. */
export type AtomicWriter = Pick<GfsClient, 'createUnnamed' | 'makeLink' | 'setAttributes'>;

/** See `GfsClient.writeAtomically`. */
export async function writeAtomically(
  { client, env }: { client: AtomicWriter; env: Env },
  place: Place,
  how: AtomicMode,
  write: (file: GfsFile) => Promise<void>,
  call: Call,
): Promise<Attributes> {
  const { exclusive = false, sync = false, changes = {}, ...mode } = how;
  const unnamed = { ...mode, read: true, write: true, linkable: true };
  const { file } = await client.createUnnamed(place.parent, unnamed, call);
  try {
    await write(file);
    await (sync ? file.sync(call) : file.flush(call));
    if (Object.keys(changes).length > 0) await client.setAttributes(file.inode, changes, call);
    call.signal?.throwIfAborted();
    return await client.makeLink(file.inode, place, { replace: !exclusive }, call);
  } finally {
    // All that could fail has been told by the flush.
    await file.close({ deadlineMs: env.monotonicMs() + CLOSE_MS_MAX }).catch(() => undefined);
  }
}
