import type { NativeMount, NativeOperations } from './package.ts';

/**
 * In the package, `getxattr` and `listxattr` are not told how much room there is: of what does not fit they leave out the rest,
 * and libfuse gives the kernel as many bytes as there would have been, of its own memory. So these take their place.
 */
export function mendXattrs(fuse: NativeMount, { getxattr, listxattr }: NativeOperations): void {
  fuse._op_getxattr = (signal, path, name, into) => {
    getxattr(path, name, into, (result) => signal(result, into.buffer));
  };
  fuse._op_listxattr = (signal, path, into) => {
    listxattr(path, into, (result) => signal(result, into.buffer));
  };
}
