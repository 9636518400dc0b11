import { join } from 'node:path';
import { compileProgram } from '../compile-program.ts';
import { ROOT } from '../e2e/cluster.ts';

/** Compiles timer-writer.cc into a directory: the program's path, or undefined without a compiler. */
export function compileTimerWriter(directory: string): string | undefined {
  return compileProgram(join(ROOT, 'test/chaos/timer-writer.cc'), directory);
}
