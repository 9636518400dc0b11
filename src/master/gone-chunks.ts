import { codeOf } from '../base/errors.ts';

/**
 * What is done to a chunk that is truncated away, copied over or replaced by a clone meanwhile is not to be done any more: whoever
 * asked looks anew at what there is.
 */
export async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) !== 'NO_SUCH_CHUNK') throw error;
  }
}
