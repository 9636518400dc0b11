import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { ROOT } from './cluster.ts';

/** Compiles a program of the tests (`test/...cc`) into a directory: its path, or undefined without a compiler. */
export function compile(source: string, directory: string): string | undefined {
  const program = join(directory, basename(source, '.cc'));
  for (const compiler of [process.env['CXX'], 'c++', 'g++', 'clang++']) {
    if (compiler === undefined || compiler === '') continue;
    const done = spawnSync(compiler, ['-O1', '-o', program, join(ROOT, source)], { encoding: 'utf8' });
    if (done.error !== undefined) continue;
    if (done.status !== 0) throw new Error(done.stderr);
    return program;
  }
  return undefined;
}
