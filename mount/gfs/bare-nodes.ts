import type { GfsClient } from '../../src/client/api.ts';
import type { KernelNotifier } from './kernel-belief.ts';

/**
 * Kernels ask of each file that is looked at whether it has an ACL, and most have none. As long as that is known here, it is
 * answered where it is asked.
 */
export function tellBareNodes(
  client: Pick<GfsClient, 'onXattrsKnown' | 'knownForMs'>,
  kernel: KernelNotifier,
): void {
  client.onXattrsKnown({
    none: (inode) => {
      const forMs = client.knownForMs;
      if (forMs > 0) kernel.bare(inode, forMs);
    },
    maybeSome: (inode) => kernel.unbare(inode),
  });
}
