import { compile } from '../e2e/compile.ts';

/** Compiles timer-writer.cc into a directory: the program's path, or undefined without a compiler. */
export function compileTimerWriter(directory: string): string | undefined {
  return compile('test/chaos/timer-writer.cc', directory);
}
