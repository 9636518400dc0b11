import { loadFuseNative } from '../../../mount/fuse-native/package.ts';
import { messageOf } from '../../../src/base/errors.ts';

/** Whether a test that needs libfuse must be skipped on this machine; then it passes, and its log says why. */
export function skipsLibfuse(t: { log(text: string): void; pass(): void }): boolean {
  try {
    loadFuseNative();
    return false;
  } catch (error) {
    t.log(`skipped: ${messageOf(error)}`);
    t.pass();
    return true;
  }
}
