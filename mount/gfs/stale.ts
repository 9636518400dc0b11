import { codeOf, messageOf } from '../../src/base/errors.ts';
import { ErrnoError, ESTALE } from '../errno.ts';

/**
 * The kernel asks of a node that it knows by a name which it looked up some time ago. When another machine has removed the node
 * since, ESTALE has the kernel look the name up anew: the name may well be there, for another node (an editor's save).
 * With ENOENT, open(2) would fail for a file that exists.
 */
export async function staleWhenGone<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') throw new ErrnoError(ESTALE, messageOf(error));
    throw error;
  }
}
