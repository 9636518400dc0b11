// Compiles the addon, native/*.cc -> dist/native/gfs.node, with the C++ compiler called directly: nothing is downloaded. The
// addon uses Node-API alone, so one binary is good for every version of Node.js.
//
// The build calls it. A package brings the addon of the machine where it was packed, rather than compile it when it is
// installed: most machines have no compiler, and npm hides what install scripts say, warns of them, and often may not run them.
// Where that one does not run (another processor, an older C library) this compiles it, run by itself; what needs no addon works
// without it, and what does says how to call this (native/binding.ts).
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const OUTPUT = join(ROOT, 'dist/native/gfs.node');
const require = createRequire(import.meta.url);

export const FLAGS = [
  '-std=c++17',
  '-O2',
  '-g',
  '-Wall',
  '-Wextra',
  '-fPIC',
  '-fvisibility=hidden',
  '-shared',
  '-pthread',
];

/** What the addon is made of. */
export function nativeSources() {
  return readdirSync(join(ROOT, 'native'))
    .filter((name) => /\.(cc|h)$/.test(name))
    .sort()
    .map((name) => join('native', name));
}

/** Undefined where there is none. */
function findCompiler() {
  return [process.env.CXX, 'c++', 'g++', 'clang++'].find(
    (name) => name && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

/** Says whether it worked; the compiler says why not. A binary that somebody has loaded is replaced, not written to. */
export function compileNative(compiler) {
  const made = `${OUTPUT}.${process.pid}`;
  mkdirSync(dirname(OUTPUT), { recursive: true });
  const done = spawnSync(
    compiler,
    [
      ...FLAGS,
      `-I${require('node-api-headers').include_dir}`,
      ...nativeSources().filter((file) => file.endsWith('.cc')),
      ...['-o', made],
    ],
    { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (done.status === 0) renameSync(made, OUTPUT);
  else rmSync(made, { force: true });
  return done.status === 0;
}

function whyNotLoaded() {
  try {
    require(OUTPUT);
    return undefined;
  } catch (error) {
    return error.message.split('\n', 1)[0];
  }
}

/** For a person: one line tells what came of it. */
function ensure() {
  const place = `${process.platform}-${process.arch}`;
  if (whyNotLoaded() === undefined) return `the native addon runs on ${place}: nothing to do`;
  const compiler = findCompiler();
  if (compiler === undefined) {
    throw new Error(
      'there is no C++ compiler: install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++)',
    );
  }
  if (!compileNative(compiler)) throw new Error(`${compiler} cannot compile the native addon on ${place}`);
  const still = whyNotLoaded();
  if (still !== undefined) throw new Error(`the native addon is compiled, and does not run: ${still}`);
  return `the native addon is compiled for ${place}`;
}

if (realpathSync(process.argv[1] ?? '.') === import.meta.filename) {
  try {
    process.stdout.write(`gfs: ${ensure()}\n`);
  } catch (error) {
    process.stderr.write(`gfs: ${error.message}\n`);
    process.exitCode = 1;
  }
}
