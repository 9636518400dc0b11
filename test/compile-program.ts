import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';

/** Compiles a C++ source of the tests into a directory: the program's path, or undefined without a compiler. */
export function compileProgram(source: string, directory: string): string | undefined {
  const program = join(directory, basename(source, '.cc'));
  for (const compiler of [process.env.CXX, 'c++', 'g++', 'clang++']) {
    if (compiler === undefined || compiler === '') continue;
    const done = spawnSync(compiler, ['-std=c++17', '-O1', '-o', program, source], { encoding: 'utf8' });
    if (done.error !== undefined) continue;
    if (done.status !== 0) throw new Error(done.stderr);
    return program;
  }
  return undefined;
}
