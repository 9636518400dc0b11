import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../e2e/cluster.ts';

const SOURCE = join(ROOT, 'test/chaos/timer-writer.cc');

/** Compiles timer-writer.cc into a directory: the program's path, or undefined without a compiler. */
export function compileTimerWriter(directory: string): string | undefined {
  const program = join(directory, 'timer-writer');
  for (const compiler of [process.env['CXX'], 'c++', 'g++', 'clang++']) {
    if (compiler === undefined || compiler === '') continue;
    const done = spawnSync(compiler, ['-O1', '-o', program, SOURCE], { encoding: 'utf8' });
    if (done.error !== undefined) continue;
    if (done.status !== 0) throw new Error(done.stderr);
    return program;
  }
  return undefined;
}
